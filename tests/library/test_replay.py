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
from dpjobs.left_out import with_checks
from dpjobs.plan import ANSWER, CHECK, LEFT_OUT, SEPARATE, Cell, Plan, Rows, is_possible
from dpjobs.query import Bounds, Query
from library.plans import plan, separate

NUMBERS = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-1000, 1000).map(float),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, float("inf"), float("-inf"), 5e-324, 0.5, 2.0**53]),
)
ROWS = st.one_of(NUMBERS, NUMBERS, st.sampled_from(LEFT_OUT))
BOUNDS = st.builds(
    lambda a, b: Bounds(min(a, b), max(a, b)),
    *[st.one_of(st.floats(-(2.0**100), 2.0**100), st.integers(-100, 100).map(float))] * 2,
)
EPSILON = st.integers(1_000, 10**10).map(lambda billionths: Epsilon.of_billionths(billionths))


def totals(of: Plan, rows: Sequence[float | Rows]) -> list[int]:
    """What a backend has to count for these rows, some without a number: in doubles, as all of them compute."""
    sums = [0] * len(of.cells)
    for row in rows:
        for i, cell in enumerate(of.cells):
            sums[i] += gives(of, row, cell)
    return sums


def gives(of: Plan, row: float | Rows, cell: Cell) -> int:
    if cell.formula is not None:
        return cell.formula.value(steps(of, row)) if isinstance(row, float) else 0
    if isinstance(row, float) and of.grid is not None:
        bounds = of.grid.bounds
        row = Rows.BELOW if row < bounds.lower else Rows.ABOVE if row > bounds.upper else Rows.WITHIN
    return cell.upper if row is cell.rows else 0


def costs_of(of: Plan, before: Sequence[int], after: Sequence[int]) -> dict[str, Fraction]:
    """What a move of the totals costs in each vector."""
    costs = dict.fromkeys((cell.vector for cell in of.cells), Fraction(0))
    for a, b, cell in zip(after, before, of.cells, strict=True):
        costs[cell.vector] += Fraction(abs(a - b)) / cell.scale if not cell.constant else 0
    return costs


def steps(of: Plan, x: float) -> int:
    if of.grid is None:
        return 0
    clamped = min(max(x, of.grid.bounds.lower), of.grid.bounds.upper)
    return min(max(round((clamped - of.grid.origin) / of.grid.step), of.grid.lower), of.grid.upper)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(Query), BOUNDS, EPSILON, EPSILON, st.lists(ROWS, min_size=12, max_size=12))
def test_a_row_more_moves_the_totals_by_at_most_its_tokens(
    query: Query, bounds: Bounds, epsilon: Decimal, check: Decimal, rows: list[float | Rows]
) -> None:
    """Each table has a row more than the one before."""
    bare = plan(query, None if query is Query.COUNT else bounds, epsilon)
    of = with_checks(bare, epsilon, check, has_lines=True)
    vectors = {cell.vector for cell in of.cells}
    before = totals(of, [])
    for end in range(1, len(rows) + 1):
        after = totals(of, rows[:end] if query is not Query.COUNT else [0.0] * end)
        assert is_possible(of, [t for t, c in zip(after, of.cells, strict=True) if not c.constant])
        moved = list(zip(of.cells, after, before, strict=True))
        assert all(
            sum(abs(a - b) for cell, a, b in moved if cell.vector == vector)
            <= max(cell.sensitivity for cell in of.cells if cell.vector == vector)
            for vector in vectors
        )
        # which costs no more than epsilon: every cell's noise has the scale of all tokens of its vector
        costs = costs_of(of, before, after)
        assert all(cost <= Fraction({ANSWER: epsilon, CHECK: check}[vector]) for vector, cost in costs.items())
        assert sum(costs.values()) <= Fraction(of.epsilon)
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
