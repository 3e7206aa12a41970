"""The recipe for an engine that accounts by itself: a count and sums, each with its share, as they always were."""

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.interval import Term, quantile
from dpjobs.noise import TwoSidedGeometric
from dpjobs.plan import SEPARATE, WIDTH
from dpjobs.query import Bounds, Query
from dpjobs.statistics import STATISTICS
from dpjobs.statistics.separate import COUNT, SUM, SUM_OF_SQUARES, centred_grid, squares_of
from library.plans import plan, separate

finite = st.floats(-(2.0**100), 2.0**100, allow_nan=False)
bounds = st.builds(lambda a, b: Bounds(min(a, b), max(a, b)), finite, finite)
SUMS = [Query.MEAN, Query.VARIANCE]

# As the version that knew no tokens planned them (it was compared on 20,000 random bounds when they came): the grid,
# the bounds of the sum of squares, and the squares' centre and shift.
AS_EVER = {
    (0.0, 20_000.0): ((10_000.0, 2.0**-10, -10_240_000, 10_240_000), (52_428_800_000_000, 22)),
    (-3.0, 10.0): ((3.5, 2.0**-21, -13_631_488, 13_631_488), (92_908_732_547_072, 23)),
    (5.0, 5.0): ((5.0, 2.0**-200, 0, 0), (0, 0)),
    (0.1, 0.7): ((0.4, 2.0**-25, -10_066_330, 10_066_329), (50_665_499_834_450, 22)),
    (-(2.0**100), 2.0**99): ((-(2.0**98), 2.0**76, -12_582_912, 12_582_912), (79_164_837_199_872, 23)),
    (1e12, 1e12 + 1): ((1e12 + 0.5, 2.0**-25, -(2**24), 2**24), (2**47, 23)),
}


@pytest.mark.parametrize("limits", AS_EVER, ids=str)
def test_the_plans_are_those_of_ever(limits: tuple[float, float]) -> None:
    grid = centred_grid(Bounds(*limits))
    (middle, step, low, high), squares = AS_EVER[limits]
    assert (grid.step, grid.lower, grid.upper) == (step, low, high)
    assert grid.origin == pytest.approx(middle, abs=step / 2)
    assert squares_of(grid) == squares
    [_, total, _] = separate(Query.VARIANCE, Bounds(*limits), Epsilon(1)).cells
    assert total.sensitivity == max(abs(low), abs(high))


@given(bounds)
@example(Bounds(2.0**99, math.nextafter(2.0**99, math.inf)))  # whose middle is no double
@example(Bounds(-(2.0**100), 2.0**100))
@example(Bounds(0.0, 5e-324))
@example(Bounds(7.0, 7.0))
def test_integers_fit_24_bits_and_none_is_wasted(limits: Bounds) -> None:
    of = separate(Query.VARIANCE, limits, Epsilon(1))
    grid = of.grid
    assert math.frexp(grid.step)[0] == 0.5
    assert grid.step >= 2.0**-200
    assert all(cell.sensitivity <= WIDTH for cell in of.cells)
    assert Fraction(grid.origin) % Fraction(grid.step) == 0
    for x in (limits.lower, limits.upper):
        k = min(max(round((Fraction(x) - Fraction(grid.origin)) / Fraction(grid.step)), grid.lower), grid.upper)
        assert abs(Fraction(grid.origin) + k * Fraction(grid.step) - Fraction(x)) <= Fraction(of.rounding_per_row)
    half = (Fraction(limits.upper) - Fraction(limits.lower)) / 2
    if grid.step > 2.0**-199:
        finest = math.ulp(max(abs(limits.lower), abs(limits.upper)))
        assert half > Fraction(grid.step) / 2 * (WIDTH - 1) or grid.step <= finest


@given(bounds, st.integers(-WIDTH, WIDTH))
def test_squares_lie_within_their_bounds(limits: Bounds, k: int) -> None:
    of = separate(Query.VARIANCE, limits, Epsilon(1))
    k = min(max(k, of.grid.lower), of.grid.upper)
    square = of.cell(SUM_OF_SQUARES)
    given_ = square.formula.value(k)
    assert square.lower <= given_ <= square.upper
    centre, _ = squares_of(of.grid)
    exact = (k * k - centre) * Fraction(of.grid.step) ** 2
    assert abs(given_ * square.step - exact) <= square.step / 2
    assert [of.cell(name).formula.value(k) for name in (COUNT, SUM)] == [1, k]


@given(bounds)
def test_squares_are_centred_and_reach_their_bounds(limits: Bounds) -> None:
    of = separate(Query.VARIANCE, limits, Epsilon(1))
    largest = max(abs(of.grid.lower), abs(of.grid.upper)) ** 2
    centre, shift = squares_of(of.grid)
    assert centre == largest // 2
    cell = of.cell(SUM_OF_SQUARES)
    for square, bound in ((0, cell.lower), (largest, cell.upper)):
        assert bound == math.floor(Fraction(square - centre, 2**shift) + (Fraction(1, 2) if shift else 0))
    if shift:
        assert (largest // 2) >> (shift - 1) >= WIDTH


@pytest.mark.parametrize("query", Query)
@given(billionths=st.integers(3000, 10**12))
def test_shares_are_even_and_never_exceed_epsilon(query: Query, billionths: int) -> None:
    epsilon = Epsilon.of_billionths(billionths)
    of = separate(query, Bounds(-1, 3), epsilon)
    shares = [cell.epsilon for cell in of.cells]
    assert of.epsilon == sum(shares) <= epsilon
    assert epsilon - sum(shares) < Decimal("0.000000003")
    assert len(set(shares)) == 1


def test_a_constant_column_gives_all_of_epsilon_to_the_rest() -> None:
    of = separate(Query.MEAN, Bounds(5, 5), Epsilon(1))
    count, total = of.cells
    assert (count.epsilon, total.epsilon, of.epsilon) == (1, 0, 1)
    assert total.constant
    assert of.live == (count,)


@pytest.mark.parametrize("limits", [Bounds(0, 100), Bounds(-100, 0), Bounds(-1, 1), Bounds(5, 5)], ids=str)
def test_a_sum_with_a_bound_at_0_has_its_share(limits: Bounds) -> None:
    for query in Query:
        live = separate(query, limits, Epsilon(3)).live
        assert [cell.epsilon for cell in live] == [Decimal(3) / len(live)] * len(live)


def test_a_query_is_answered_from_these_cells() -> None:
    """The steps give the sums their unit: that of the column, and its square."""
    for query in SUMS:
        of = separate(query, Bounds(0, 100), Epsilon(3))
        assert of.recipe == SEPARATE
        assert [cell.name for cell in of.cells] == [COUNT, SUM, SUM_OF_SQUARES][: 2 if query is Query.MEAN else 3]
        assert of.grid.origin == 50
        for cell in of.cells:
            square = of.grid.step**2 * 2 ** squares_of(of.grid)[1]
            assert cell.step == Fraction({COUNT: 1.0, SUM: of.grid.step}.get(cell.name, square))
            assert cell.name != COUNT or (cell.lower, cell.upper, cell.sensitivity) == (1, 1, 1)
            assert cell.sensitivity == max(abs(cell.lower), abs(cell.upper))
    for query in (Query.COUNT, Query.SUM):  # one cell cannot share
        limits = None if query is Query.COUNT else Bounds(0, 100)
        assert separate(query, limits, Decimal(3)) == replace(plan(query, limits, Epsilon(3)), recipe=SEPARATE)


def test_a_variance_spends_its_error_probability_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it for where the mean lies, the rest for all else: no sample is large enough to see a tenth more."""
    asked: set[float] = set()

    def noting(terms: list[Term], alpha: float) -> float:
        if len(terms) > 1:  # of the count alone only whether there may be no row is asked
            asked.add(alpha)
        return quantile(terms, alpha)

    monkeypatch.setattr("dpjobs.statistics.separate.quantile", noting)
    of = separate(Query.VARIANCE, Bounds(0, 100), Epsilon(1))
    noisy = [Noisy(cell, 10_000 * cell.sensitivity // 3, TwoSidedGeometric(cell.scale)) for cell in of.cells]
    STATISTICS[Query.VARIANCE].estimate(of, noisy, 0.95)
    assert len(asked) == 2
    assert sum(asked) <= 0.05 * (1 + 1e-9)


@given(bounds, st.data())
def test_nothing_in_between_leaves_63_bits(limits: Bounds, data: st.DataObject) -> None:
    of = separate(Query.VARIANCE, limits, Epsilon(1))
    k = data.draw(st.sampled_from([of.grid.lower, of.grid.upper, 0]))
    centre, shift = squares_of(of.grid)
    assert k * k + centre + 2**shift + ((WIDTH + 1) << shift) < 2**62
    assert of.cell(SUM_OF_SQUARES).formula.value(k) == (k * k - centre + ((1 << shift) >> 1)) >> shift


@pytest.mark.parametrize("query", SUMS)
def test_without_bounds_it_is_refused(query: Query) -> None:
    with pytest.raises(ValueError, match=f"^{query.value} needs bounds$"):
        separate(query, None, Epsilon(1))
