"""PipelineDP keeps the engines' contract, is never asked for more than its epsilon, and rounds no noise."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from pipeline_dp import dp_computations
from pydp.algorithms import numerical_mechanisms

from dpjobs.engines.pipelinedp import Mechanism
from library.engines.contract import EngineContract

pytestmark = pytest.mark.slow


class TestPipelineDP(EngineContract):
    name = "pipelinedp"


@pytest.mark.parametrize("epsilon", ["0.1", "0.3", "0.7", "1", "0.000001", "0.100000001", "999.999999999"])
def test_its_libraries_get_no_double_above_epsilon(epsilon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double 0.1 is more than 0.1; what is claimed and what is drawn must be of one that is not."""
    asked: list[float] = []
    drawn, claimed = numerical_mechanisms.LaplaceMechanism, dp_computations.LaplaceMechanism.create_from_epsilon

    def drawing(epsilon: float, sensitivity: float) -> object:
        asked.append(epsilon)
        return drawn(epsilon, sensitivity)

    def claiming(epsilon: float, sensitivity: float) -> object:
        asked.append(epsilon)
        return claimed(epsilon, sensitivity)

    monkeypatch.setattr(numerical_mechanisms, "LaplaceMechanism", drawing)
    monkeypatch.setattr(dp_computations.LaplaceMechanism, "create_from_epsilon", claiming)
    Mechanism(5, Decimal(epsilon))
    exact = Fraction(epsilon)
    assert len(asked) >= 2
    assert all(exact * (1 - Fraction(1, 2**52)) < Fraction(double) <= exact for double in asked)


SMALL = [(1, "1000"), (1, "0.5"), (3, "0.7"), (2**24, "0.0003"), (2**24, "0.000030517")]


@pytest.mark.parametrize(("sensitivity", "epsilon"), SMALL)
def test_up_to_a_scale_of_2_to_the_40_it_draws_whole_numbers_and_rounds_none(sensitivity: int, epsilon: str) -> None:
    """PyDP's grid is 1 and is that of its noise: of a finer one it would round its noise, halves away from 0.

    Its noise on doubles shows the grid: 200 draws are all on a coarser one with probability 2⁻²⁰⁰.
    """
    mechanism = Mechanism(sensitivity, Decimal(epsilon))
    draws = [mechanism._laplace.add_noise(0.0) for _ in range(200)]
    assert all(x == int(x) for x in draws)
    assert math.gcd(*map(int, draws)) == 1
    parts = mechanism._parts
    assert parts & (parts - 1) == 0
    assert 2**39 < mechanism.noise.scale * parts <= 2**40
    assert dp_computations.LaplaceMechanism(mechanism._laplace).sensitivity == sensitivity * parts


@pytest.mark.parametrize(("sensitivity", "epsilon", "grid"), [(2**24, "0.000001", 16), (2**40, "0.5", 2)])
def test_beyond_it_rounds_the_total_and_accounts_for_that(sensitivity: int, epsilon: str, grid: int) -> None:
    mechanism = Mechanism(sensitivity, Decimal(epsilon))
    draws = [mechanism.add_noise(10**15 + 7) for _ in range(200)]
    assert math.gcd(*draws) == grid


def test_a_noisy_total_in_parts_is_rounded_to_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the noisy total alone: parts of the total and of the noise are never rounded apart."""
    mechanism = Mechanism(5 * 10**11, Decimal(2))  # four parts
    assert mechanism._parts == 4
    for noise, rounded in ((0, 0), (1, 0), (2, 1), (3, 1), (-1, 0), (-2, 0), (-3, -1), (-4, -1), (-6, -1), (-7, -2)):
        rigged = type("Rigged", (), {"add_noise": lambda _, value, noise=noise: value + noise})()
        monkeypatch.setattr(mechanism, "_laplace", rigged)
        for total in (0, -5, 2**62, -(2**62)):
            assert mechanism.add_noise(total) == total + rounded
