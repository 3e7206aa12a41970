"""What `make found-bounds` measured, as a table in Markdown."""

import importlib.metadata
import math
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
GOAL = 0.8
WORST = 0.02
"""The part of the runs that an RMSE leaves out: in one of a hundred an empty bin passes and noise is all there is."""


class Row(NamedTuple):
    """One statistic of one table: shares of runs, and errors as a part of the truth."""

    table: str
    rows: int
    statistic: str
    close: float
    warned: float
    either: float
    rmse: float
    rmse_before: float
    close_before: float


def spread(errors: Sequence[float]) -> float:
    """The RMSE without the worst runs."""
    kept = sorted(errors)[: len(errors) - math.ceil(WORST * len(errors))]
    return math.sqrt(math.fsum(e * e for e in kept) / len(kept))


def write(name: str, found: Sequence[Row], runs: int, engine: str, epsilon: str) -> None:
    """Write the page of this name."""
    (RESULTS / f"{name}.md").write_text("\n".join([*_lines(found, runs, engine, epsilon), ""]))


_HEAD = """\
# Bounds found privately

`make found-bounds`, {today}: {runs} runs of each question at epsilon {epsilon}, noise by `{engine}`
(python-dp {version}), Python {python}; {tables} tables. Each run finds its bounds, answers with them and warns as
`dpcloud run` does ([how-it-works.md](../how-it-works.md)). The truth is that of all values, none clamped.

- Within 5 % of the truth, or a warning stands: in {least:.0%} or more of the runs of each question; in less than
  {goal:.0%} for {short} of {questions}.
- No warning stands in most runs of {silent} of {questions} questions. Of all their runs {close:.1%} are within 5 %.
- The RMSE is below that of the rule of before for {better} of {questions}; more than a tenth above it, and above
  1 %, for {worse}.

RMSE is a part of the truth, the worst {left_out:.0%} of the runs left out: in one of a hundred an empty bin is taken
for a seen one, and noise is all there is (the warning stands). *Before*: the edges of the outermost bins over the
threshold, from the same histograms. *County*: the real census table, where it is there; *tract*: the synthetic one.
A VARIANCE of a heavy tail hangs on a few rows, which no private answer tells: there only the warning is right, and
it stands.
"""


def _lines(found: Sequence[Row], runs: int, engine: str, epsilon: str) -> Iterator[str]:
    short = [row for row in found if row.either < GOAL]
    silent = [row for row in found if row.warned < 0.5]
    better = sum(row.rmse < row.rmse_before for row in found)
    worse = [row for row in found if row.rmse > max(1.1 * row.rmse_before, 0.01)]
    yield _HEAD.format(
        today=f"{datetime.now(UTC):%Y-%m-%d}",
        python=platform.python_version(),
        version=importlib.metadata.version("python-dp"),
        **{"runs": runs, "engine": engine, "epsilon": epsilon, "goal": GOAL, "left_out": WORST},
        tables=len({(row.table, row.rows) for row in found}),
        least=min(row.either for row in found),
        short=len(short),
        silent=len(silent),
        close=_mean([row.close for row in silent]),
        better=better,
        worse=len(worse),
        questions=len(found),
    )
    yield "| table | rows | | within 5 % | warned | either | RMSE | before: within 5 % | RMSE |"
    yield "|---|---:|---|---:|---:|---:|---:|---:|---:|"
    for r in found:
        yield (
            f"| {r.table} | {r.rows:,} | {r.statistic} | {r.close:.0%} | {r.warned:.0%} | {r.either:.0%} | "
            f"{_percent(r.rmse)} | {r.close_before:.0%} | {_percent(r.rmse_before)} |"
        )


def _mean(xs: Sequence[float]) -> float:
    return sum(xs) / len(xs) if xs else math.nan


def _percent(x: float) -> str:
    return "above 1000 %" if x > 10 else f"{100 * x:.2g} %" if x < 0.995 else f"{100 * x:.0f} %"
