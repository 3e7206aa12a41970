"""What is to be reached, and whether what was measured reaches it: in the same turns, side by side."""

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import command
from dpjobs.engines import ENGINES
from names import CSV, DUCKDB, DUCKDB_OURS, LIBRARIES, PARQUET, SPARK, SPARK_OURS, TUMULT_UNCHECKED, power, spark_by
from results import Results

_BIG, _MIDDLE, _SMALL = 10**8, 10**7, 10**6
_COMMANDS = {"pipelinedp": 1.2, "opendp": 3.0, "tumult-core": 4.0, "help": 0.2, "plan": 0.2, "budget": 0.2}
_MORE_MIB = 1024
# ours ÷ plain Spark, as it was measured before tokens: MEAN as issue 9 has it, the others as kept on 2026-11-23
_BEFORE = {
    ("MEAN", _BIG, "pipelinedp"): 1.15 / 0.47,
    ("MEAN", _BIG, "tumult"): 3.6 / 0.47,
    ("MEAN", 10 * _BIG, "pipelinedp"): 8.8 / 8.0,
    ("MEAN", 10 * _BIG, "tumult"): 26.8 / 8.0,
    ("VARIANCE", _BIG, "pipelinedp"): 1.45,
    ("VARIANCE", _BIG, "tumult"): 8.19,
    ("COUNT", _BIG, "pipelinedp"): 1.31,
    ("COUNT", _BIG, "tumult"): 2.67,
    ("SUM", _BIG, "pipelinedp"): 2.08,
    ("SUM", _BIG, "tumult"): 4.14,
}


class Target(NamedTuple):
    """Something to reach: what, how much, and what was measured (None: it was not)."""

    what: str
    wanted: str
    measured: str = ""
    met: bool | None = None


def targets(results: Results) -> Iterator[Target]:
    """Hold what was measured against what is to be reached."""
    yield from _commands(results)
    yield from _beside_duckdb(results)
    yield from _memory(results)
    yield from _csv(results)
    yield from _spark(results)
    yield from _beside_libraries(results)


def _commands(results: Results) -> Iterator[Target]:
    for name, limit in _COMMANDS.items():
        what, wanted = f"`dpcloud {words(name)}`", f"≤ {limit:g} s"
        timed = results.commands.get(name)
        if timed is None:
            yield Target(what, wanted)
        else:
            taken = median(timed.seconds)
            yield Target(what, wanted, f"{taken:.2f} s ({median(timed.cpu):.2f} s of CPU)", taken <= limit)


def words(name: str) -> str:
    """A command as it is shown."""
    return (command.RUNS | command.QUICK)[name].replace("{file}", "74001-rows.csv")


def _beside_duckdb(results: Results) -> Iterator[Target]:
    for statistic in ("MEAN", "VARIANCE"):
        for rows in sizes(results, PARQUET, DUCKDB_OURS):
            pairs = results.pairs(PARQUET, rows, statistic, DUCKDB_OURS, DUCKDB)
            if rows < _SMALL or not pairs:
                continue
            beyond = median(ours - 1.5 * plain - 0.2 for ours, plain in pairs)
            seconds = " and ".join(f"{median(times):.2f}" for times in zip(*pairs, strict=True))
            ratio = results.ratio(PARQUET, rows, statistic, DUCKDB_OURS, DUCKDB)
            cpu = results.cpu_ratio(PARQUET, rows, statistic, DUCKDB_OURS, DUCKDB)
            yield Target(
                f"{statistic} on DuckDB, {power(rows)} rows",
                "≤ 1.5 × DuckDB's own + 0.2 s",
                f"{seconds} s: {ratio:.2f} × ({cpu:.2f} × "
                f"in CPU), {abs(beyond):.2f} s {'too much' if beyond > 0 else 'to spare'}",
                beyond <= 0,
            )


def _memory(results: Results) -> Iterator[Target]:
    for statistic in ("MEAN", "VARIANCE"):
        for rows in sorted({p.rows for p in results.peaks if p.format == PARQUET}):
            plain, ours = (results.peak(PARQUET, rows, statistic, way) for way in (DUCKDB, DUCKDB_OURS))
            if plain is not None and ours is not None:
                what = f"memory of {statistic} on DuckDB, {power(rows)} rows"
                yield Target(what, "< 1 GiB more than DuckDB's own", f"{ours - plain} MiB", ours - plain < _MORE_MIB)


def _csv(results: Results) -> Iterator[Target]:
    for rows in sizes(results, CSV, DUCKDB_OURS):
        ratio = results.ratio(CSV, rows, "MEAN", DUCKDB_OURS, SPARK)
        what = f"MEAN of a CSV on DuckDB, {rows:,} rows of 37 columns"
        if ratio is not None:
            yield Target(what, "no slower than Spark's own reader", f"{ratio:.2f} × its time", ratio <= 1)


def _spark(results: Results) -> Iterator[Target]:
    for (statistic, rows, engine), before in _BEFORE.items():
        # a Session tells what is clamped by a query of its own, which there was none of then
        way = TUMULT_UNCHECKED if engine == "tumult" and statistic != "COUNT" else spark_by(engine)
        told = ", `--check-share 0`" if way == TUMULT_UNCHECKED else ""
        what = f"{statistic} on Spark by {ENGINES[engine].title}{told}, {power(rows)} rows"
        ratio = results.ratio(PARQUET, rows, statistic, way, SPARK)
        wanted = f"≤ {before:.2f} × plain Spark, as before"
        if ratio is not None or rows == _BIG:
            shown = "" if ratio is None else f"{ratio:.2f} ×"
            yield Target(what, wanted, shown, None if ratio is None else ratio <= before)


def _beside_libraries(results: Results) -> Iterator[Target]:
    for statistic in ("MEAN", "VARIANCE"):
        for library, title in LIBRARIES.items():
            way = SPARK_OURS.get(library, DUCKDB_OURS)
            own = [t for t in results.timings if (t.statistic, t.way) == (statistic, library)]
            if not own or library not in SPARK_OURS:  # the others have no rows to go through but those in memory
                continue
            most = max(own, key=lambda t: t.rows)
            ratio = results.ratio(PARQUET, most.rows, statistic, library, way)
            if ratio is not None:
                what = f"{statistic} by {title} beside ours on Spark, {power(most.rows)} rows"
                yield Target(what, "≥ 8 × our time", f"{ratio:.1f} ×", ratio >= 8)


def sizes(results: Results, format: str, way: str) -> list[int]:
    """The numbers of rows that a way was measured with."""
    return sorted({t.rows for t in results.timings if (t.format, t.way) == (format, way)})
