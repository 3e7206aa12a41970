"""Frozen noise: thousands of neighbours, of which one has a row more. Their totals differ by at most K in L1.

With the same draws the noisy totals then differ by just as much, for which the noise of scale K / epsilon is made.
Here rows are counted by the definition (`Formula.value`); the backends' own tests replay them through each backend.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpjobs.engines import ENGINES
from dpjobs.engines.base import Noisy, is_enough
from dpjobs.epsilon import Epsilon
from dpjobs.plan import SEPARATE, Plan, is_possible
from dpjobs.query import Bounds, Query
from library.plans import plan, separate

NUMBERS = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-1000, 1000).map(float),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, float("inf"), float("-inf"), 5e-324, 0.5, 2.0**53]),
)
BOUNDS = st.builds(
    lambda a, b: Bounds(min(a, b), max(a, b)),
    *[st.one_of(st.floats(-(2.0**100), 2.0**100), st.integers(-100, 100).map(float))] * 2,
)
EPSILON = st.integers(1_000, 10**10).map(lambda billionths: Epsilon.of_billionths(billionths))


def totals(of: Plan, numbers: Sequence[float]) -> list[int]:
    """What a backend has to count for these rows: in doubles, as all of them compute."""
    sums = [0] * len(of.cells)
    for x in numbers:
        for i, cell in enumerate(of.cells):
            sums[i] += cell.formula.value(steps(of, x))
    return sums


def steps(of: Plan, x: float) -> int:
    if of.grid is None:
        return 0
    clamped = min(max(x, of.grid.bounds.lower), of.grid.bounds.upper)
    return min(max(round((clamped - of.grid.origin) / of.grid.step), of.grid.lower), of.grid.upper)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(Query), BOUNDS, EPSILON, st.lists(NUMBERS, min_size=12, max_size=12))
def test_a_row_more_moves_the_totals_by_at_most_its_tokens(
    query: Query, bounds: Bounds, epsilon: Decimal, numbers: list[float]
) -> None:
    """Each table has a row more than the one before."""
    of = plan(query, None if query is Query.COUNT else bounds, epsilon)
    tokens = max(cell.sensitivity for cell in of.cells)
    before = totals(of, [])
    for rows in range(1, len(numbers) + 1):
        after = totals(of, numbers[:rows])
        assert is_possible(of, [t for t, c in zip(after, of.cells, strict=True) if not c.constant])
        assert sum(abs(a - b) for a, b in zip(after, before, strict=True)) <= tokens
        # which costs no more than epsilon: every cell's noise has the scale of all tokens
        if of.live:
            cost = sum(Fraction(abs(a - b)) / c.scale for a, b, c in zip(after, before, of.cells, strict=True))
            assert cost <= Fraction(epsilon) == Fraction(of.epsilon)
        before = after


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([Query.MEAN, Query.VARIANCE]), BOUNDS, EPSILON, st.lists(NUMBERS, min_size=8, max_size=8))
def test_separate_cells_cost_their_shares(
    query: Query, bounds: Bounds, epsilon: Decimal, numbers: list[float]
) -> None:
    epsilon = max(epsilon, Decimal("0.000003"))
    of = separate(query, bounds, epsilon)
    assert of.epsilon <= epsilon
    for x in numbers:
        moved = totals(of, [x])
        assert all(abs(m) <= cell.sensitivity for m, cell in zip(moved, of.cells, strict=True))
        costs = [Fraction(abs(m)) / c.scale for m, c in zip(moved, of.cells, strict=True) if not c.constant]
        assert sum(costs) <= Fraction(of.epsilon)


@pytest.mark.parametrize("recipe", [plan, separate])
def test_some_row_moves_them_by_as_much(recipe: Callable[..., Plan]) -> None:
    """So none of the noise is for nothing, and a smaller K would be noticed above."""
    for query in (Query.SUM, Query.MEAN, Query.VARIANCE):
        of = recipe(query, Bounds(-3, 10), Decimal(1))
        costs = []
        for x in (-3.0, 3.5, 10.0):
            costs.append(sum(Fraction(abs(t)) / c.scale for t, c in zip(totals(of, [x]), of.cells, strict=True)))
        assert max(costs) == (of.epsilon if of.recipe != SEPARATE or query is not Query.SUM else 1)


def test_the_base_class_asks_for_the_noise_of_all_tokens() -> None:
    """That of a cell's own share, as if epsilon were split by tokens, is refused."""
    kind = ENGINES["opendp"].noise
    for query in (Query.MEAN, Query.VARIANCE):
        of = plan(query, Bounds(0, 1), Decimal(1))
        for cell in of.cells:
            assert is_enough(Noisy(cell, 0, kind(cell.scale)).noise, cell)
            assert not is_enough(kind(cell.scale / 2), cell)
