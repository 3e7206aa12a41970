"""What the base class of engines does not let pass: less noise than epsilon asks, a bin or a measurement too few."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from dpjobs.measurement import COUNT, SUM, Measurement

from dpjobs.engines.base import Engine, Noisy
from dpjobs.noise import TwoSidedGeometric

ONE = Fraction(1)
COUNTED = Measurement(COUNT, 1, 1, ONE, Decimal("0.1"))
SUMMED = Measurement(SUM, -7, 3, ONE, Decimal("0.5"))
CONSTANT = Measurement("constant", 0, 0, ONE, Decimal(0))


@dataclass
class Careless(Engine):
    """Answers 5 to everything, with `noise` times the noise that is asked for, or for a bin too few."""

    noise: Fraction = ONE
    bins_less: int = 0
    without: bool = False
    name = "careless"
    version = "0"

    def _measure(self, frame: Any, measurements: Any) -> list[Noisy]:
        self.asked = list(measurements)
        return [
            Noisy(m, 5, None if self.without else TwoSidedGeometric(m.scale * self.noise))
            for m in reversed(measurements)
        ]

    def _histogram(self, frame: Any, column: str, bins: Any, measurement: Measurement) -> Any:
        return [5] * (len(bins) - self.bins_less), TwoSidedGeometric(measurement.scale * self.noise)


def test_what_is_asked_is_answered_in_order_and_a_constant_is_not_asked() -> None:
    engine = Careless()
    found = engine.measure(None, [CONSTANT, COUNTED, SUMMED])
    assert [noisy.measurement for noisy in found] == [CONSTANT, COUNTED, SUMMED]
    assert [noisy.value for noisy in found] == [0, 5, 5]
    assert found[0].noise is None
    assert engine.asked == [COUNTED, SUMMED]
    assert engine.histogram(None, "bin", range(9), COUNTED)[0] == [5] * 9


@pytest.mark.parametrize("noise", ["0.5", "0.999", "0.000001"])
def test_less_noise_than_epsilon_asks_is_refused(noise: str) -> None:
    engine = Careless(Fraction(noise))
    for asked in (COUNTED, SUMMED):
        with pytest.raises(AssertionError, match="noise"):
            engine.measure(None, [asked])
    with pytest.raises(AssertionError, match="noise"):
        engine.histogram(None, "bin", range(9), COUNTED)


def test_no_noise_is_refused() -> None:
    with pytest.raises(AssertionError, match="noise"):
        Careless(without=True).measure(None, [SUMMED])


def test_more_noise_and_a_roundings_less_are_taken() -> None:
    for noise in (Fraction(2), 1 - Fraction(1, 10**10)):
        assert Careless(noise).measure(None, [SUMMED])[0].value == 5
        assert Careless(noise).histogram(None, "bin", range(9), COUNTED)[0] == [5] * 9


@pytest.mark.parametrize("less", [1, -1])
def test_another_number_of_bins_is_refused(less: int) -> None:
    with pytest.raises(AssertionError, match="every bin"):
        Careless(bins_less=less).histogram(None, "bin", range(9), COUNTED)
