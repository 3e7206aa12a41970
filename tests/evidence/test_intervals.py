"""Over 2,000 draws of an engine's own noise: how often the interval holds the truth, and how wide it is.

At an exact 95 %, fewer than 1,846 of 2,000 has probability 4e-8 (binomial), and 24 such tests share the run: a
false alarm in one run has less than 1e-6.
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
from dpjobs.estimate import Estimate, estimate
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, Measurement, Plan, plan

from dpjobs.engines.base import Noisy
from dpjobs.query import Bounds, Query

pytestmark = pytest.mark.slow
DRAWS = 2000
LEAST = 1846
WIDEST = 1.6

Draw = Callable[[], int]


def tumult(measurement: Measurement) -> tuple[Draw, object]:
    from tmlt.core.measurements.noise_mechanisms import AddGeometricNoise
    from tmlt.core.utils.exact_number import ExactNumber

    from dpjobs.noise import TwoSidedGeometric

    mechanism = AddGeometricNoise(ExactNumber(measurement.scale))
    return lambda: int(mechanism(0)), TwoSidedGeometric(measurement.scale)


def pipelinedp(measurement: Measurement) -> tuple[Draw, object]:
    from dpjobs.engines.pipelinedp import Mechanism

    mechanism = Mechanism(measurement.sensitivity, measurement.epsilon)
    return lambda: mechanism.add_noise(0), mechanism.noise


def integers(values: list[float], of: Plan) -> dict[str, int]:
    """The exact measurements of a table, by the definition of the plan (Spark's are tested against it)."""
    exact = {COUNT: len(values), SUM: 0, SUM_OF_SQUARES: 0}
    if of.grid is None:
        return exact
    g, s = of.grid, of.squares
    for x in values:
        clamped = min(max(x, g.bounds.lower), g.bounds.upper)
        k = min(max(round((clamped - g.middle) / g.step), g.lower), g.upper)
        exact[SUM] += k
        if s is not None:
            exact[SUM_OF_SQUARES] += min(max((k * k - s.centre + ((1 << s.shift) >> 1)) >> s.shift, s.lower), s.upper)
    return exact


def truth(values: list[float], of: Plan) -> float:
    """The statistic of the clamped values; SUM's interval covers the sum of the rounded ones."""
    if of.query is Query.COUNT or of.grid is None:
        return len(values)
    if of.query is Query.SUM:
        return integers(values, of)[SUM] * of.grid.step
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


def answers(values: list[float], of: Plan, engine: Callable[[Measurement], tuple[Draw, object]]) -> list[Estimate]:
    exact = integers(values, of)
    live = [(m, *engine(m)) for m in of.measurements]
    return [
        estimate(of, [Noisy(m, exact[m.name] + draw(), noise) for m, draw, noise in live], 0.95) for _ in range(DRAWS)
    ]


CASES = {
    "tracts": (tracts, Bounds(0, 20_000), Decimal(1)),
    "skewed": (tracts, Bounds(0, 200_000), Decimal(1)),  # the mean lies near a bound: the count's noise matters
    "counties": (counties, Bounds(0, 2_000_000), Decimal(2)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("query", Query, ids=lambda q: q.value)
@pytest.mark.parametrize("engine", [tumult, pipelinedp], ids=lambda e: e.__name__)
def test_interval_covers_and_is_narrow(engine, query: Query, case: str) -> None:
    table, bounds, epsilon = CASES[case]
    of = plan(query, None if query is Query.COUNT else bounds, epsilon)
    true = truth(table(), of)
    found = answers(table(), of, engine)
    assert sum(e.low <= true <= e.high for e in found) >= LEAST
    assert all(e.low <= e.value <= e.high for e in found)
    errors = sorted(e.value - true for e in found)
    empirical = errors[int(0.975 * DRAWS)] - errors[int(0.025 * DRAWS)]
    assert sum(e.high - e.low for e in found) / DRAWS <= WIDEST * empirical


def test_the_coverage_test_can_fail() -> None:
    """Intervals for noise of half the scale that is drawn miss far too often."""
    of = plan(Query.MEAN, Bounds(0, 20_000), Decimal(1))
    true = truth(tracts(), of)

    def doubled(measurement: Measurement) -> tuple[Draw, object]:
        draw, noise = pipelinedp(measurement)
        return lambda: 2 * draw(), noise

    assert sum(e.low <= true <= e.high for e in answers(tracts(), of, doubled)) < LEAST


@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE])
def test_a_table_that_may_be_empty_gets_the_whole_range(query: Query) -> None:
    of = plan(query, Bounds(10, 20), Decimal("0.1"))
    # a count whose interval leaves 0 by chance may give less, as 5 % of them may
    narrow = sum(f.high - f.low < (10 if query is Query.MEAN else 25) for f in answers([], of, pipelinedp))
    assert narrow < DRAWS * 0.05
