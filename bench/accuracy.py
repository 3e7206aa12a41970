"""Measures the accuracy at equal epsilon beside the libraries' own answers: `make accuracy`.

The totals of every table are computed once; each way's noise is drawn from the mechanism that draws it in a run, and
the same draws meet every table. No data set of anybody is read. Results are in docs/benchmarks/accuracy.md and .csv.
"""

import csv
import math
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import accuracy_libraries as libraries
import accuracy_report as report
from dpjobs.engines import load
from dpjobs.engines.base import Mechanism, NoiseEngine, Noisy
from dpjobs.formula import Formula
from dpjobs.plan import Grid, Plan
from dpjobs.query import Bounds, Query
from dpjobs.statistics import STATISTICS
from dpjobs.statistics.shares import value_of
from dpjobs.statistics.variance import value_of as variance_of

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
UPPER = 10_000
"""Of whole numbers from 0: every library then takes the column for integers."""
ROWS = (10**3, 10**4, 10**5, 10**6)
EPSILONS = ("0.01", "0.1", "1", "10")
QUERIES = (Query.MEAN, Query.VARIANCE)
DRAWS = 10_000
INTERVALS = 100
FULL_RUNS = 2_000
FEW = 150
"""Rows times epsilon, up to which the data are few beside the noise."""
Values = NDArray[np.float64]

say = Console(stderr=True, highlight=False, soft_wrap=True).print


def shapes(rows: int) -> dict[str, Values]:
    """Five shapes of data, made anew for each size; the generator is for test data, never for noise."""
    source = np.random.default_rng(20261126)
    made = {
        "even": source.uniform(0, 1, rows),
        "in the middle": source.normal(0.5, 0.15, rows),
        "skewed": source.exponential(0.1, rows),
        "near a bound": np.exp(source.normal(math.log(0.01), 0.8, rows)),
        "at both bounds": (source.uniform(0, 1, rows) < 0.5).astype(float),
    }
    return {name: np.rint(np.clip(x, 0, 1) * UPPER) for name, x in made.items()}


class Pool(NamedTuple):
    """An engine's draws for the cells of a plan."""

    plan: Plan
    noise: list[Mechanism]
    draws: list[list[int]]


class Answers(NamedTuple):
    """The values of many runs, and how wide their intervals are on average."""

    values: Values
    width: float


def pool(engine: str, plan: Plan, draws: int) -> Pool:
    """Draw, as a run draws, so many times for each cell."""
    loaded = load(engine)
    if not isinstance(loaded, NoiseEngine):
        raise TypeError(engine)
    mechanisms = [loaded.mechanism(cell.sensitivity, cell.epsilon) for cell in plan.cells]
    return Pool(plan, mechanisms, [[m.draw(0) for _ in range(draws)] for m in mechanisms])


_counted: dict[tuple[Grid | None, tuple[Formula | None, ...], str], list[int]] = {}


def totals(plan: Plan, table: str, values: Values) -> list[int]:
    """The exact totals of a table, computed once, whatever epsilon is."""
    key = plan.grid, tuple(cell.formula for cell in plan.cells), table
    if key not in _counted:
        _counted[key] = _totals(plan, values)
    return _counted[key]


def _totals(plan: Plan, values: Values) -> list[int]:
    grid = plan.grid
    if grid is None:
        raise ValueError("a plan with a grid")
    numbers, times = np.unique(values, return_counts=True)
    sums = [0] * len(plan.cells)
    for x, n in zip(numbers.tolist(), times.tolist(), strict=True):
        k = min(max(round((x - grid.origin) / grid.step), grid.lower), grid.upper)
        for i, cell in enumerate(plan.cells):
            sums[i] += n * (cell.formula.value(k) if cell.formula else 0)
    return sums


def noisy(pool_: Pool, exact: list[int], run: int) -> list[Noisy]:
    """The noisy cells of one run."""
    return [
        Noisy(cell, total + draws[run], mechanism.noise)
        for cell, total, draws, mechanism in zip(pool_.plan.cells, exact, pool_.draws, pool_.noise, strict=True)
    ]


def tokens_value(query: Query, cells: list[Noisy]) -> float:
    """What `estimate` gives for tokens, without the interval, which takes longest."""
    share = value_of((1.0, 0.0), cells) if query is Query.MEAN else variance_of(cells)
    return share * (UPPER if query is Query.MEAN else UPPER**2)


def split_value(query: Query, plan: Plan, cells: list[Noisy]) -> float:
    """What `estimate` gives for separate cells, without the interval."""
    values = [float(n.value * n.cell.step) for n in cells]
    n, middle = max(values[0], 1.0), UPPER / 2
    if query is Query.MEAN:
        return middle + min(max(values[1] / n, -middle), middle)
    from dpjobs.statistics.separate import squares_of

    grid = plan.grid
    if grid is None:
        raise ValueError("a plan with a grid")
    centre = squares_of(grid)[0] * grid.step**2
    return min(max(values[2] / n + centre - (values[1] / n) ** 2, 0.0), UPPER**2 / 4)


def ours(query: Query, pool_: Pool, exact: list[int], value: Callable[[list[Noisy]], float], few: bool) -> Answers:
    """All values of a table, and the mean width of some intervals.

    Where the data are few beside the noise, an interval often cuts its value, so that all of `estimate` is asked.
    """
    draws = len(pool_.draws[0])
    runs = min(draws, FULL_RUNS if few else INTERVALS)
    found = [STATISTICS[query].estimate(pool_.plan, noisy(pool_, exact, run), 0.95) for run in range(runs)]
    width = sum(e.high - e.low for e in found) / runs
    if few:
        return Answers(np.array([e.value for e in found]), width)
    for run, e in enumerate(found):
        alone = value(noisy(pool_, exact, run))
        if not math.isclose(e.value, min(max(alone, e.low), e.high), rel_tol=1e-6, abs_tol=1e-3):
            raise AssertionError(f"{e.value} is not {alone}")
    return Answers(np.array([value(noisy(pool_, exact, run)) for run in range(draws)]), width)


def main() -> None:
    """Measure everything; `--quick` draws a tenth, and writes to files of its own."""
    quick = sys.argv[1:] == ["--quick"]
    draws = DRAWS // 10 if quick else DRAWS
    found: list[report.Row] = []
    tables = {rows: shapes(rows) for rows in ROWS}
    for query in QUERIES:
        for epsilon in EPSILONS:
            say(f"{query.value}, epsilon {epsilon}: drawing")
            found += _measured(query, Decimal(epsilon), tables, draws)
    say("the libraries' own, really run")
    checks = [] if quick else libraries.checked()
    name = "accuracy-quick" if quick else "accuracy"
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(report.Row._fields)
        writer.writerows(row.written() for row in found)
    report.write(RESULTS / name, found, checks, draws)
    say(f"written: docs/benchmarks/{name}.md, .csv, .png")


def _measured(query: Query, epsilon: Decimal, tables: dict[int, dict[str, Values]], draws: int) -> list[report.Row]:
    bounds = Bounds(0, UPPER)
    statistic, rows_ = STATISTICS[query], []
    shared = statistic.plan("x", bounds, epsilon)
    split = statistic.separate("x", bounds, epsilon)
    pools = {
        "dpcloud": pool("pipelinedp", shared, draws),
        "dpcloud by OpenDP": pool("opendp", shared, draws // 4),
        "dpcloud by Tumult Core": pool("tumult-core", shared, draws // 4),
        "split epsilon": pool("pipelinedp", split, draws),
    }
    theirs = libraries.ways(query, float(epsilon), UPPER, draws)
    for rows, shaped in tables.items():
        for shape, values in shaped.items():
            truth = float(values.mean()) if query is Query.MEAN else float(values.var())

            def add(way: str, answers: Values, width: float | None = None) -> None:
                rows_.append(report.row(query.value, shape, rows, str(epsilon), way, answers - truth, width, UPPER))  # noqa: B023

            for way, pool_ in pools.items():
                if way.startswith("dpcloud by") and rows != 10**4:
                    continue
                plan = pool_.plan

                def value(cells: list[Noisy], way: str = way, plan: Plan = plan) -> float:
                    return split_value(query, plan, cells) if way == "split epsilon" else tokens_value(query, cells)

                few = rows * epsilon <= FEW
                add(way, *ours(query, pool_, totals(plan, f"{shape} {rows}", values), value, few))
            for way, answered in theirs.items():
                answers = answered(values)
                add(way, answers)
                if not way.endswith(libraries.KNOWS_ROWS):
                    add(f"{way}, cut", np.clip(answers, 0, UPPER if query is Query.MEAN else UPPER**2 / 4))
    return rows_


if __name__ == "__main__":
    main()
