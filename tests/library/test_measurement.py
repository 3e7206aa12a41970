"""The plan: what follows from bounds and epsilon alone, in exact arithmetic."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, WIDTH, Measurement, plan
from hypothesis import example, given
from hypothesis import strategies as st

from dpjobs.query import Bounds, Query

finite = st.floats(-(2.0**100), 2.0**100, allow_nan=False)
bounds = st.builds(lambda a, b: Bounds(min(a, b), max(a, b)), finite, finite)


@given(bounds, st.sampled_from([Query.SUM, Query.MEAN, Query.VARIANCE]))
@example(Bounds(10.0**12, 10.0**12 + 1), Query.VARIANCE)
@example(Bounds(2.0**99, math.nextafter(2.0**99, math.inf)), Query.MEAN)
@example(Bounds(-(2.0**100), 2.0**100), Query.VARIANCE)
@example(Bounds(5e-324, 5e-324), Query.SUM)
@example(Bounds(0.0, 5e-324), Query.VARIANCE)
@example(Bounds(0.0, 2.0**-210), Query.VARIANCE)
@example(Bounds(7.0, 7.0), Query.MEAN)
def test_integers_fit_24_bits_and_rounding_is_as_said(limits: Bounds, query: Query) -> None:
    of = plan(query, limits, Decimal(1))
    grid = of.grid
    assert grid is not None
    assert math.frexp(grid.step)[0] == 0.5  # a power of two
    assert grid.step >= 2.0**-200  # so that its square is an ordinary double
    assert all(m.sensitivity <= WIDTH for m in of.measurements)
    assert Fraction(grid.middle) % Fraction(grid.step) == 0
    for x in (limits.lower, limits.upper, (limits.lower / 2 + limits.upper / 2)):
        x = min(max(x, limits.lower), limits.upper)
        k = min(max(round((x - grid.middle) / grid.step), grid.lower), grid.upper)
        off = abs(Fraction(grid.middle) + k * Fraction(grid.step) - Fraction(x))
        assert off <= Fraction(of.rounding_per_row)
    if grid.step > 2.0**-199 and of.query is Query.SUM:
        assert max(abs(limits.lower), abs(limits.upper)) > grid.step / 2 * WIDTH  # the smallest step that fits


@pytest.mark.parametrize("query", [Query.SUM, Query.MEAN, Query.VARIANCE])
@pytest.mark.parametrize("cell", ["36028797018963971", "36028797018963980.5", "36028797018964029"])
def test_rounding_holds_what_is_lost_when_a_cell_is_read(query: Query, cell: str) -> None:
    """Beyond 2⁵³ doubles lie further apart than the steps of narrow bounds: a cell is off before it is measured."""
    of = plan(query, Bounds(2.0**55, 2.0**55 + 64), Decimal(1))
    grid = of.grid
    k = min(max(round((float(cell) - grid.middle) / grid.step), grid.lower), grid.upper)
    off = abs(Fraction(grid.middle) + k * Fraction(grid.step) - Fraction(cell))
    assert 1 < off <= Fraction(of.rounding_per_row)


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


@pytest.mark.parametrize(("lower", "upper", "largest"), [(-7, 3, 7), (-3, 7, 7), (5, 5, 5), (-9, -4, 9), (0, 0, 0)])
def test_one_row_moves_a_sum_by_its_largest_cell(lower: int, upper: int, largest: int) -> None:
    """Not by the distance of the bounds: a row comes or goes, it does not change."""
    measurement = Measurement(SUM, lower, upper, Fraction(1), Decimal("0.3"))
    assert measurement.sensitivity == largest
    assert measurement.scale == largest / Fraction("0.3")
    assert measurement.constant == (largest == 0)


def test_a_63_bit_sum_holds_as_many_rows_as_is_said() -> None:
    assert WIDTH * 2**38 < 2**63
    assert COUNT != SUM != SUM_OF_SQUARES


def test_a_query_is_answered_from_these_measurements() -> None:
    """The steps give the sums their unit: that of the column, and its square."""
    names = {query: [m.name for m in plan(query, Bounds(0, 100), Decimal(3)).measurements] for query in Query}
    assert names == {
        Query.COUNT: [COUNT],
        Query.SUM: [SUM],
        Query.MEAN: [COUNT, SUM],
        Query.VARIANCE: [COUNT, SUM, SUM_OF_SQUARES],
    }
    for query in Query:
        of = plan(query, Bounds(0, 100), Decimal(3))
        assert of.query is query
        assert (of.grid is None) == (query is Query.COUNT)
        assert (of.squares is None) == (query is not Query.VARIANCE)
        for m in of.measurements:
            unit = {COUNT: 1, SUM: of.grid and of.grid.step}.get(m.name) or of.grid.step**2 * 2**of.squares.shift
            assert m.step == Fraction(unit)
            assert m.name != COUNT or (m.lower, m.upper, m.sensitivity) == (1, 1, 1)
    assert plan(Query.SUM, Bounds(10, 20), Decimal(1)).grid.middle == 0
    assert plan(Query.MEAN, Bounds(10, 20), Decimal(1)).grid.middle == 15
    assert plan(Query.COUNT, None, Decimal(1)).rounding_per_row == 0


@pytest.mark.parametrize("limits", [Bounds(0, 100), Bounds(-100, 0), Bounds(-1, 1), Bounds(5, 5)], ids=str)
def test_a_sum_with_a_bound_at_0_has_its_share(limits: Bounds) -> None:
    for query in Query:
        live = [m for m in plan(query, limits, Decimal(3)).measurements if not m.constant]
        assert [m.epsilon for m in live] == [Decimal(3) / len(live)] * len(live)


@given(bounds)
def test_squares_are_centred_and_reach_their_bounds(limits: Bounds) -> None:
    of = plan(Query.VARIANCE, limits, Decimal(1))
    largest = max(abs(of.grid.lower), abs(of.grid.upper)) ** 2
    centre, shift = of.squares.centre, of.squares.shift
    assert centre == largest // 2
    for square, bound in ((0, of.squares.lower), (largest, of.squares.upper)):
        assert bound == math.floor(Fraction(square - centre, 2**shift) + (Fraction(1, 2) if shift else 0))


@pytest.mark.parametrize("query", [Query.SUM, Query.MEAN, Query.VARIANCE])
def test_a_sum_without_bounds_is_refused(query: Query) -> None:
    with pytest.raises(ValueError, match=f"^{query.value} needs bounds$"):
        plan(query, None, Decimal(1))


@given(bounds)
def test_no_integer_is_wasted(limits: Bounds) -> None:
    """The smallest step: half of it would not fit, or bounds are as fine as a double can say them."""
    of = plan(Query.MEAN, limits, Decimal(1))
    half = (Fraction(limits.upper) - Fraction(limits.lower)) / 2
    if of.grid.step > 2.0**-199:
        finest = math.ulp(max(abs(limits.lower), abs(limits.upper)))
        assert half > Fraction(of.grid.step) / 2 * (WIDTH - 1) or of.grid.step <= finest
    squares = plan(Query.VARIANCE, limits, Decimal(1)).squares
    if squares.shift:
        largest = max(abs(of.grid.lower), abs(of.grid.upper)) ** 2
        assert (largest // 2) >> (squares.shift - 1) >= WIDTH
