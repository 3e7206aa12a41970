"""The margin of `dpcloud plan` is kept in 99 of 100 runs: by runs with the engines' own noise, on the worst tables.

Tables of two values were searched for the worst, which exceeds it in 0.6 % of runs; where 1 % do, a test of 500 of
them fails with a probability below 2e-8, and ten such tests share the run.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from dpjobs.estimate import estimate
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, Measurement, Plan, plan

from dpcloud.planning import Expected, epsilon_for, expected
from dpjobs.engines.base import Noisy
from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric
from dpjobs.query import Bounds, Query

pytestmark = pytest.mark.slow
RUNS = 500
EXPECTED_AT_MOST = 0.01
FALSE_ALARM = 2e-8
BOUNDS = Bounds(0, 100)
Draw = Callable[[], int]


def allowed() -> int:
    """The fewest runs above which a share of 1 % is refuted, at that false alarm."""
    tail, k = 1.0, 0
    p = EXPECTED_AT_MOST
    while tail > FALSE_ALARM:
        tail -= math.comb(RUNS, k) * p**k * (1 - p) ** (RUNS - k)
        k += 1
    return k


def tumult(m: Measurement) -> Draw:
    from tmlt.core.measurements.noise_mechanisms import AddGeometricNoise
    from tmlt.core.utils.exact_number import ExactNumber

    mechanism = AddGeometricNoise(ExactNumber(m.scale))
    return lambda: int(mechanism(0))


def pipelinedp(m: Measurement) -> Draw:
    from dpjobs.engines.pipelinedp import Mechanism

    mechanism = Mechanism(m.sensitivity, m.epsilon)
    return lambda: mechanism.add_noise(0)


ENGINES: dict[type[Noise], Callable[[Measurement], Draw]] = {TwoSidedGeometric: tumult, RoundedLaplace: pipelinedp}
TABLES = {
    "all at a bound": [0],
    "97 of 100 at a bound": [0] * 97 + [100] * 3,  # found to be the worst: nothing of the interval is cut away
}


def integers(of: Plan, values: list[int], rows: int) -> dict[str, int]:
    """The exact measurements of a table that holds these values equally often."""
    grid, squares = of.grid, of.squares
    ks = [round((Fraction(v) - Fraction(grid.middle)) / Fraction(grid.step)) for v in values]
    exact = {COUNT: rows, SUM: round(Fraction(rows * sum(ks), len(ks)))}
    if squares is not None:
        half = (1 << squares.shift) >> 1
        exact[SUM_OF_SQUARES] = round(
            Fraction(rows * sum((k * k - squares.centre + half) >> squares.shift for k in ks), len(ks))
        )
    return exact


def exceeding(query: Query, epsilon: Decimal, rows: int, noise: type[Noise], table: str, margin: float) -> int:
    """In how many runs half of the interval is wider than planned."""
    of = plan(query, BOUNDS, epsilon)
    exact = integers(of, TABLES[table], rows)
    draws = [ENGINES[noise](m) for m in of.measurements]
    wide = 0
    for _ in range(RUNS):
        noisy = [
            Noisy(m, exact[m.name] + draw(), noise(m.scale)) for m, draw in zip(of.measurements, draws, strict=True)
        ]
        found = estimate(of, noisy, 0.95)
        wide += max(found.high - found.value, found.value - found.low) > margin * (1 + 1e-9)
    return wide


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE], ids=lambda q: q.value)
@pytest.mark.parametrize("noise", ENGINES, ids=lambda n: n.__name__)
def test_the_worst_case_is_kept(noise: type[Noise], query: Query, table: str) -> None:
    rows, epsilon = (100, Decimal(1)) if query is Query.MEAN else (1000, Decimal("0.3"))
    planned = expected(query, BOUNDS, epsilon, rows, noise, 0.95)
    assert planned.worst < (10 if query is Query.MEAN else 250)  # it says something
    assert exceeding(query, epsilon, rows, noise, table, planned.worst) <= allowed()


def test_the_epsilon_for_a_margin_keeps_it() -> None:
    epsilon = epsilon_for(10.0, Query.MEAN, BOUNDS, 150, RoundedLaplace, 0.95)
    assert exceeding(Query.MEAN, epsilon, 150, RoundedLaplace, "97 of 100 at a bound", 10.0) <= allowed()


def test_without_the_counts_noise_it_would_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was: a third of these runs have a wider interval than was planned with no noise in the count."""
    import dpcloud.planning

    monkeypatch.setattr(dpcloud.planning, "MARGIN_HOLDS", 1e-9)  # whose quantile is 0
    planned: Expected = expected(Query.MEAN, BOUNDS, Decimal(1), 100, RoundedLaplace, 0.95)
    table = "97 of 100 at a bound"
    assert (
        exceeding(Query.MEAN, Decimal(1), 100, RoundedLaplace, table, planned.worst) > 3 * allowed()
    )  # of about 170
