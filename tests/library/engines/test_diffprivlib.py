"""DiffPrivLib keeps the engines' contract, and says that it is not hardened."""

import secrets
from decimal import Decimal
from fractions import Fraction

import pytest

from dpjobs.engines import ENGINES
from dpjobs.engines.diffprivlib import FloatGeometric
from library.engines.contract import NoiseContract


class TestDiffPrivLib(NoiseContract):
    name = "diffprivlib"
    without = ("pyspark",)


def test_it_alone_is_not_hardened() -> None:
    assert [name for name, engine in ENGINES.items() if not engine.hardened] == ["diffprivlib"]


def test_its_numbers_come_from_the_system() -> None:
    """With a seed, or numpy's generator, everybody could draw its noise once more."""
    assert type(FloatGeometric(1, Decimal(1))._geometric._rng) is secrets.SystemRandom


@pytest.mark.parametrize("epsilon", ["0.1", "0.7", "1", "0.100000001"])
def test_its_library_gets_no_double_above_epsilon(epsilon: str) -> None:
    """A double 0.1 is more than 0.1."""
    given = FloatGeometric(5, Decimal(epsilon))._geometric
    assert Fraction(epsilon) * (1 - Fraction(1, 2**52)) < Fraction(given.epsilon) <= Fraction(epsilon)
    assert given.sensitivity == 5


def test_the_logarithm_of_nothing_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with probability 2⁻⁵³: no run may fail because of what its noise is."""
    mechanism = FloatGeometric(1, Decimal(1))
    numbers = iter([0.5, 0.5, 0.9])
    monkeypatch.setattr(mechanism._geometric, "_rng", type("Rigged", (), {"random": lambda _: next(numbers)})())
    assert abs(mechanism.draw(2**62) - 2**62) < 10
    assert list(numbers) == []
