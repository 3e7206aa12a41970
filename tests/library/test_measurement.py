"""The plan: what follows from bounds and epsilon alone, in exact arithmetic."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpjobs.measurement import SUM_OF_SQUARES, WIDTH, plan
from dpjobs.query import Bounds, Query

finite = st.floats(-(2.0**100), 2.0**100, allow_nan=False)
bounds = st.builds(lambda a, b: Bounds(min(a, b), max(a, b)), finite, finite)


@given(bounds, st.sampled_from([Query.SUM, Query.MEAN, Query.VARIANCE]))
@example(Bounds(10.0**12, 10.0**12 + 1), Query.VARIANCE)
@example(Bounds(2.0**99, math.nextafter(2.0**99, math.inf)), Query.MEAN)
@example(Bounds(-(2.0**100), 2.0**100), Query.VARIANCE)
@example(Bounds(5e-324, 5e-324), Query.SUM)
@example(Bounds(0.0, 5e-324), Query.VARIANCE)
@example(Bounds(7.0, 7.0), Query.MEAN)
def test_integers_fit_24_bits_and_rounding_is_as_said(limits: Bounds, query: Query) -> None:
    of = plan(query, limits, Decimal(1))
    grid = of.grid
    assert grid is not None
    assert math.frexp(grid.step)[0] == 0.5  # a power of two
    assert all(m.sensitivity <= WIDTH for m in of.measurements)
    assert Fraction(grid.middle) % Fraction(grid.step) == 0
    for x in (limits.lower, limits.upper, (limits.lower / 2 + limits.upper / 2)):
        x = min(max(x, limits.lower), limits.upper)
        k = min(max(round((x - grid.middle) / grid.step), grid.lower), grid.upper)
        off = abs(Fraction(grid.middle) + k * Fraction(grid.step) - Fraction(x))
        assert off <= Fraction(of.rounding_per_row)
    if grid.step > 2.0**-199 and of.query is Query.SUM:
        assert max(abs(limits.lower), abs(limits.upper)) > grid.step / 2 * WIDTH  # the smallest step that fits


@given(bounds, st.integers(-WIDTH, WIDTH))
def test_squares_lie_within_their_bounds(limits: Bounds, k: int) -> None:
    of = plan(Query.VARIANCE, limits, Decimal(1))
    k = min(max(k, of.grid.lower), of.grid.upper)
    shifted = (k * k - of.squares.centre + ((1 << of.squares.shift) >> 1)) >> of.squares.shift
    assert of.squares.lower <= shifted <= of.squares.upper
    step = of.measurement(SUM_OF_SQUARES).step
    exact = (k * k - of.squares.centre) * Fraction(of.grid.step) ** 2
    assert abs(shifted * step - exact) <= step / 2


@pytest.mark.parametrize("query", Query)
@given(billionths=st.integers(3000, 10**12))
def test_shares_are_even_and_never_exceed_epsilon(query: Query, billionths: int) -> None:
    epsilon = Decimal(billionths) / 10**9
    shares = [m.epsilon for m in plan(query, Bounds(-1, 3), epsilon).measurements]
    assert sum(shares) <= epsilon
    assert epsilon - sum(shares) < Decimal("0.000000003")
    assert len(set(shares)) == 1


def test_a_constant_column_gives_all_of_epsilon_to_the_rest() -> None:
    count, total = plan(Query.MEAN, Bounds(5, 5), Decimal(1)).measurements
    assert (count.epsilon, total.epsilon) == (1, 0)
    assert total.constant
    assert not plan(Query.SUM, Bounds(5, 5), Decimal(1)).measurements[0].constant


def test_whole_numbers_within_24_bits_are_exact() -> None:
    of = plan(Query.SUM, Bounds(0, WIDTH), Decimal(1))
    assert of.grid.step == 1
    assert (of.grid.lower, of.grid.upper) == (0, WIDTH)
