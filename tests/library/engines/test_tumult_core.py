"""Tumult Core keeps the engines' contract, at exactly the scale that epsilon asks for, or a double above."""

from decimal import Decimal
from fractions import Fraction

import pytest
from tmlt.core.utils.exact_number import ExactNumber

from dpjobs.engines.tumult_core import Geometric
from library.engines.contract import NoiseContract


class TestTumultCore(NoiseContract):
    name = "tumult-core"
    without = ()  # Tumult Core itself imports pyspark and pandas


@pytest.mark.parametrize("epsilon", ["0.000001", "0.1", "0.3", "1000"])
@pytest.mark.parametrize("sensitivity", [1, 2**24 - 1])
def test_it_is_asked_for_no_more_than_epsilon(sensitivity: int, epsilon: str) -> None:
    mechanism = Geometric(sensitivity, Decimal(epsilon))
    assert mechanism._add.privacy_function(sensitivity) == ExactNumber(Fraction(epsilon))
    least = Fraction(sensitivity) / Fraction(epsilon)
    assert least <= mechanism.noise.scale <= least * (1 + Fraction(1, 2**50))
