"""OpenDP keeps the engines' contract, at the least scale for which its own map gives no more than epsilon."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest

from dpjobs.engines import opendp
from library.engines.contract import NoiseContract


class TestOpenDP(NoiseContract):
    name = "opendp"
    without = ("pyspark", "pandas", "scipy", "sklearn", "polars")


@pytest.mark.parametrize("sensitivity", [1, 3, 2**24])
@pytest.mark.parametrize("epsilon", ["0.000001", "0.1", "0.3", "0.7", "1", "999.999999999"])
def test_its_own_map_gives_no_more_than_epsilon_and_no_smaller_scale_would_do(sensitivity: int, epsilon: str) -> None:
    """A double 0.1 is more than 0.1, and its map rounds up."""
    mechanism = opendp.DiscreteLaplace(sensitivity, Decimal(epsilon))
    assert Fraction(mechanism._measurement.map(sensitivity)) <= Fraction(epsilon)
    scale = mechanism.noise.scale
    least = Fraction(sensitivity) / Fraction(epsilon)
    assert least * (1 - Fraction(1, 2**52)) <= scale <= least * (1 + Fraction(1, 2**50))
    smaller = math.nextafter(float(scale), 0.0)
    assert Fraction(smaller) < least or opendp._cost(smaller, sensitivity) > Fraction(epsilon)


def test_its_integers_have_64_bits() -> None:
    """Its `int` has 32, and holds what is larger at their end."""
    mechanism = opendp.DiscreteLaplace(1, Decimal(1000))
    assert mechanism.draw(2**62) == 2**62
    assert mechanism.draw(-(2**62)) == -(2**62)
