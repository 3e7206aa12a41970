"""Over 2,000 draws of an engine's own noise: how often the interval holds the truth, and how wide it is.

At an exact 95 %, fewer than 1,846 of 2,000 has probability 4e-8 (binomial), and fewer than 30 such tests share the
run: a false alarm in one run has less than 3e-6, and far less where an interval holds more than it says.
"""

import csv
import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from dpjobs.engines.base import Noisy
from dpjobs.plan import Cell, Plan
from dpjobs.query import Bounds, Query
from dpjobs.statistics.base import Estimate
from evidence.drawing import Draw, answer, draws_of, steps_of, totals_of
from library.plans import plan, separate

pytestmark = pytest.mark.slow
DRAWS = 2000
LEAST = 1846
WIDEST = 1.6


def truth(values: list[float], of: Plan) -> float:
    """The statistic of the clamped values; SUM's interval covers the sum of the rounded ones."""
    if of.query is Query.COUNT or of.grid is None:
        return len(values)
    if of.query is Query.SUM:
        return sum(steps_of(of, values)) * of.grid.step
    clamped = [Fraction(min(max(x, of.grid.bounds.lower), of.grid.bounds.upper)) for x in values]
    mean = sum(clamped) / len(clamped)
    if of.query is Query.MEAN:
        return float(mean)
    return float(sum((x - mean) ** 2 for x in clamped) / len(clamped))


@cache
def tracts() -> list[float]:
    """Populations like those of census tracts; the generator is for test data, never for noise."""
    source = random.Random(20260101)
    return [float(round(math.exp(source.gauss(8.3, 0.5)))) for _ in range(20_000)]


@cache
def counties() -> list[float]:
    path = Path(__file__).parents[3] / "shared" / "data" / "acs2017_county_data.csv"
    if not path.exists():
        pytest.skip(f"the real census table is not here: {path}")
    with path.open(newline="") as file:
        return [float(row["TotalPop"]) for row in csv.DictReader(file)]


def answers(values: list[float], of: Plan, draw: Draw) -> list[Estimate]:
    totals = totals_of(of, steps_of(of, values))
    return [answer(of, totals, draw) for _ in range(DRAWS)]


CASES = {
    "tracts": (tracts, Bounds(0, 20_000), Decimal(1)),
    "skewed": (tracts, Bounds(0, 200_000), Decimal(1)),  # the mean lies near a bound
    "counties": (counties, Bounds(0, 2_000_000), Decimal(2)),
}
# The engine `tumult` draws as tumult-core does, and its cells are separate.
WAYS = {
    "pipelinedp": ("pipelinedp", plan),
    "opendp": ("opendp", plan),
    "tumult-core": ("tumult-core", plan),
    "tumult": ("tumult-core", separate),
}
# The noise of a COUNT and a SUM knows nothing of the table, and one cell is not shared.
ASKED = [
    *(
        (way, query, "tracts")
        for way in ("pipelinedp", "opendp", "tumult-core")
        for query in (Query.COUNT, Query.SUM)
    ),
    *((way, query, "skewed") for way in WAYS for query in (Query.MEAN, Query.VARIANCE)),
    *((way, query, "tracts") for way in ("pipelinedp", "tumult") for query in (Query.MEAN, Query.VARIANCE)),
    *(("opendp", query, "counties") for query in (Query.MEAN, Query.VARIANCE)),
]


@pytest.mark.parametrize(("way", "query", "case"), ASKED)
def test_interval_covers_and_is_narrow(way: str, query: Query, case: str) -> None:
    engine, recipe = WAYS[way]
    table, bounds, epsilon = CASES[case]
    of = recipe(query, None if query is Query.COUNT else bounds, epsilon)
    true = truth(table(), of)
    found = answers(table(), of, draws_of(engine))
    assert sum(e.low <= true <= e.high for e in found) >= LEAST
    assert all(e.low <= e.value <= e.high for e in found)
    assert ratio(found, true) <= WIDEST


def ratio(found: list[Estimate], true: float) -> float:
    """How wide the intervals are on average, in spreads of the values: from the 2.5th to the 97.5th percentile."""
    errors = sorted(e.value - true for e in found)
    empirical = errors[int(0.975 * len(found))] - errors[int(0.025 * len(found))]
    return sum(e.high - e.low for e in found) / len(found) / empirical


TABLES = {
    "all at a bound": [0.0],
    "all alike": [0.3],
    "97 of 100 at a bound": [0.0] * 97 + [1.0] * 3,
    "half at each bound": [0.0, 1.0],
    "even": [i / 16 for i in range(17)],
}
FEW = 300
LEAST_OF_FEW = 255  # fewer of 300 have probability 3e-10 at an exact 95 %


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE], ids=lambda q: q.value)
@pytest.mark.parametrize(
    ("rows", "epsilon"), [(1, "1"), (1, "100"), (10, "1"), (1000, "0.03"), (100, "1"), (10**6, "0.000001")]
)
def test_intervals_of_few_rows_hold_wherever_the_values_lie(
    rows: int, epsilon: str, query: Query, table: str
) -> None:
    values = TABLES[table]
    of = plan(query, Bounds(0, 1), Decimal(epsilon))
    totals = totals_of(of, steps_of(of, values), rows)
    mean = sum(values) / len(values)
    true = mean if query is Query.MEAN else sum((x - mean) ** 2 for x in values) / len(values)
    draw = draws_of("pipelinedp")
    found = [answer(of, totals, draw) for _ in range(FEW)]
    assert sum(e.low - 1e-9 <= true <= e.high + 1e-9 for e in found) >= LEAST_OF_FEW


def test_the_coverage_test_can_fail() -> None:
    """Intervals for noise of half the scale that is drawn miss far too often."""
    of = plan(Query.MEAN, Bounds(0, 20_000), Decimal(1))
    true = truth(tracts(), of)
    draw = draws_of("pipelinedp")

    def doubled(cell: Cell, total: int) -> Noisy:
        noisy = draw(cell, total)
        return Noisy(cell, 2 * noisy.value - total, noisy.noise)

    assert sum(e.low <= true <= e.high for e in answers(tracts(), of, doubled)) < LEAST


@pytest.mark.parametrize("recipe", [plan, separate])
@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE])
def test_a_table_that_may_be_empty_gets_the_whole_range(query: Query, recipe: Callable[..., Plan]) -> None:
    of = recipe(query, Bounds(10, 20), Decimal("0.1"))
    # a number of rows whose interval leaves 0 by chance may give less, as 5 % of them may
    draw = draws_of("pipelinedp")
    narrow = sum(f.high - f.low < (10 if query is Query.MEAN else 25) for f in answers([], of, draw))
    assert narrow < DRAWS * 0.05
