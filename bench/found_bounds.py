"""Measures answers with bounds found privately: `make found-bounds`. Results are in docs/benchmarks/found-bounds.md.

Every run is a run's own: an engine's noise on the histogram, the bounds that follow, its noise on the totals and on
the rows beyond the bounds, the estimate, the warnings. Beside it, from the same histogram, the rule of before: the
edges of the outermost bins that pass the threshold. `--quick` makes a tenth of the runs, and writes to its own file.
"""

import csv
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import found_bounds_report as report
from dpcloud.data.generate import generate
from dpjobs import bounds as private_bounds
from dpjobs import clipping, left_out
from dpjobs.backends.base import Backend
from dpjobs.engines import load
from dpjobs.engines.base import Engine, Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.plan import Cell, Plan, Rows
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.source import Files, Source
from dpjobs.statistics import STATISTICS
from dpjobs.statistics.base import Estimate

ENGINE, EPSILON = "pipelinedp", "0.5"
ROWS = (3_000, 30_000, 300_000)
QUERIES = (Query.MEAN, Query.SUM, Query.VARIANCE)
RUNS = 100
CLOSE = 0.05
"""As near as an answer has to be, where no warning stands."""
COUNTIES = Path(__file__).resolve().parents[2] / "shared" / "data" / "acs2017_county_data.csv"
COLUMNS = (
    "TotalPop",
    "Men",
    "Employed",
    "Income",
    "IncomeErr",
    "Poverty",
    "Asian",
    "Native",
    "Transit",
    "MeanCommute",
)
TRACTS = 74_001
Values = NDArray[np.float64]

say = Console(stderr=True, highlight=False, soft_wrap=True).print


def shapes(rows: int) -> dict[str, Values]:
    """Skewed shapes of data, made anew for each size; the generator is for test data, never for noise."""
    source = np.random.default_rng(20261126)
    u, z = source.uniform(size=rows), source.normal(size=rows)
    return {
        "lognormal, σ 1": np.exp(8 + z),
        "lognormal, σ 1.5": np.exp(8 + 1.5 * z),
        "lognormal, σ 2": np.exp(8 + 2 * z),
        "Pareto, index 1.2": 1000 * u ** (-1 / 1.2),
        "Pareto, index 1.5": 1000 * u ** (-1 / 1.5),
        "exponential": source.exponential(1000, rows),
        "gamma, shape 0.5": source.gamma(0.5, 2000, rows),
        "Weibull, shape 0.5": 1000 * source.weibull(0.5, rows),
        "70 % zeros, else lognormal": np.where(u < 0.7, 0, np.exp(8 + z)),
        "two humps, 90 % and 10 %": np.where(u < 0.9, 100 + 15 * z, 20_000 + 4000 * z),
        "skewed to the left": 5000 - np.exp(6 + z),
        "uniform": 1000 * u,
        "two-sided, t of 2.5": 300 + 200 * source.standard_t(2.5, rows),
    }


def counties() -> dict[str, Values]:
    """Columns of the real census table by county; none where it is not there."""
    if not COUNTIES.exists():
        return {}
    with COUNTIES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows if row[name]]) for name in COLUMNS}


def tracts() -> dict[str, Values]:
    """The same columns of the synthetic table by tract."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tracts.parquet"
        generate(rows=TRACTS, output=path, format="parquet", columns=COLUMNS)
        table = duckdb.sql(f"from '{path}'").fetchnumpy()
    return {name: np.ma.compressed(np.ma.asarray(table[name])).astype(float) for name in COLUMNS}


class Table(Backend):
    """Counts a column that lies in memory."""

    name = "memory"
    version = f"numpy {np.__version__}"

    def __init__(self, values: Values) -> None:
        self.values = values
        self._found: dict[tuple[object, ...], list[int]] = {}

    def files(self, uri: str) -> Files:
        """There are none."""
        raise NotImplementedError

    def check(self, table: Source, column: str | None) -> None:
        """Every column is a column."""

    def _totals(self, table: Source, plan: Plan) -> Sequence[int]:
        key = (plan.query, plan.grid, len(plan.live))
        if key not in self._found:
            self._found[key] = self._bins() if plan.bins else self._cells(plan)
        return self._found[key]

    def _bins(self) -> list[int]:
        fraction, exponent = np.frexp(np.abs(self.values))
        exponent = np.where(fraction == 0.5, exponent - 1, exponent)
        size = np.where(exponent < private_bounds.LOWEST, 0, np.minimum(exponent, private_bounds.HIGHEST))
        bins = np.where(exponent < private_bounds.LOWEST, 0, size + private_bounds.OFFSET) * np.sign(self.values)
        last = private_bounds.BINS[-1]
        return np.bincount((np.where(self.values == 0, 0, bins) + last).astype(int), minlength=2 * last + 1).tolist()

    def _cells(self, plan: Plan) -> list[int]:
        grid = plan.grid
        if grid is None:
            raise ValueError("a plan with a grid")
        lower, upper = grid.bounds.lower, grid.bounds.upper
        k = np.rint((np.clip(self.values, lower, upper) - grid.origin) / grid.step)
        steps = np.clip(k, grid.lower, grid.upper).astype(np.int64)
        sides = {Rows.BELOW: self.values < lower, Rows.ABOVE: self.values > upper}
        sides[Rows.WITHIN] = ~(sides[Rows.BELOW] | sides[Rows.ABOVE])
        return [_total(cell, steps, sides) for cell in plan.live]


def _total(cell: Cell, steps: NDArray[np.int64], sides: dict[Rows, NDArray[np.bool_]]) -> int:
    if cell.rows is Rows.NUMBERS and cell.formula is not None:
        given = {"steps": steps}  # noqa: F841 (DuckDB reads it)
        return int(duckdb.sql(f"select sum({cell.formula.sql('steps', '//')}) from given").fetchall()[0][0])  # noqa: S608 (a formula)
    return int(sides[cell.rows].sum()) if cell.rows in sides else 0


NOWHERE = Source((), "parquet", {}, 0, "")


class Run(NamedTuple):
    """One run's answer, its error as a part of the truth, and whether a warning stands."""

    error: float
    warned: bool


def specification(query: Query) -> JobSpec:
    """What is asked: bounds are to be found."""
    return JobSpec("bench", "bench", ENGINE, query, "x", PrivacyBudget(Epsilon(EPSILON)), "bench.parquet", "parquet")


def answered(engine: Engine, table: Table, spec: JobSpec, bounds: Bounds, truth: float) -> Run:
    """Answer with these bounds, as a run does once it has found them."""
    statistic, epsilon = STATISTICS[spec.query], spec.answer_budget()
    plan = statistic.plan("x", bounds, epsilon)
    plan = left_out.with_checks(plan, epsilon, spec.check_budget(), has_lines=False)
    noisy = engine.measure(table, NOWHERE, plan)
    answer = statistic.estimate(plan, left_out.of_answer(noisy), spec.confidence)
    return Run(abs(answer.value - truth) / abs(truth), bool(_warnings(plan, noisy, answer, spec.confidence)))


def _warnings(plan: Plan, noisy: Sequence[Noisy], answer: Estimate, confidence: float) -> list[str]:
    shares = left_out.shares(plan, noisy, confidence)
    wide = clipping.wide(plan.query, answer, STATISTICS[plan.query].possible(plan)) if plan.query else []
    return left_out.warnings(plan, shares) + clipping.hidden(plan, answer, shares) + wide


def outermost(counts: Sequence[int], limit: float) -> Bounds:
    """The rule of before: the outer edges of the outermost bins over the threshold."""
    seen = [bin_ for bin_, count in zip(private_bounds.BINS, counts, strict=True) if count > limit]
    if not seen:
        return private_bounds.FALLBACK
    return Bounds(private_bounds.edges(seen[0])[0], private_bounds.edges(seen[-1])[1])


TRUTHS: dict[Query, Callable[[Values], float]] = {
    Query.MEAN: lambda x: float(x.mean()),
    Query.SUM: lambda x: math.fsum(x),
    Query.VARIANCE: lambda x: float(x.var()),
}


@cache
def engine_of(name: str) -> Engine:
    """The engine, loaded once."""
    return load(name)


def measured(name: str, values: Values, query: Query, runs: int) -> report.Row:
    """Run so many times by the rule and by the one of before."""
    engine, table, spec = engine_of(ENGINE), Table(values), specification(query)
    truth, new, old, histogram = (
        TRUTHS[query](values),
        [],
        [],
        private_bounds.histogram_plan("x", spec.bounds_budget()),
    )
    for _ in range(runs):
        noisy = engine.measure(table, NOWHERE, histogram)
        counts, noise = [n.value for n in noisy], noisy[0].noise
        if noise is None:
            raise ValueError("a histogram has noise")
        found = private_bounds.from_histogram(counts, noise, spec.bounds_budget(), query, spec.answer_budget())
        new.append(answered(engine, table, spec, found.bounds, truth))
        old.append(answered(engine, table, spec, outermost(counts, found.threshold), truth))
    return report.Row(
        name,
        len(values),
        query.value,
        sum(run.error <= CLOSE for run in new) / runs,
        sum(run.warned for run in new) / runs,
        sum(run.error <= CLOSE or run.warned for run in new) / runs,
        report.spread([run.error for run in new]),
        report.spread([run.error for run in old]),
        sum(run.error <= CLOSE for run in old) / runs,
    )


def main() -> None:
    """Measure everything."""
    quick = sys.argv[1:] == ["--quick"]
    runs = RUNS // 10 if quick else RUNS
    tables = {f"county {name}": values for name, values in counties().items()}
    tables |= {f"tract {name}": values for name, values in tracts().items()}
    tables |= {f"{name}": values for name, values in shapes(ROWS[0]).items()}
    found: list[report.Row] = []
    for group in (tables, *(shapes(rows) for rows in ROWS[1:])):
        for name, values in group.items():
            say(f"{name}, {len(values):,} rows")
            found += [measured(name, values, query, runs) for query in QUERIES]
    report.write("found-bounds-quick" if quick else "found-bounds", found, runs, ENGINE, EPSILON)


if __name__ == "__main__":
    main()
