"""Measures the speed beside DuckDB, Polars, Spark and the libraries themselves: `make bench`.

BENCH_MAX=1e9 goes up to a billion rows, BENCH_MAX=1e6 is a quick try, kept in files of its own. BENCH_OWN_MAX is how
far Tumult's and PipelineDP's own ways go, which take minutes (1e6). BENCH_PARTS=commands,csv measures these parts
anew and keeps the others. The tables are made once, in build/bench/, or in the folder BENCH_DATA. Results are
written after every part and size: a run that ends early leaves what it has.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console

import command
import libraries
import memory
import meter
import report
import ways
from dpcloud.data.generate import ROWS_PER_FILE, generate
from dpcloud.java import use_java
from dpjobs.backends.spark.session import apply_settings, local_session
from names import CSV, DUCKDB, DUCKDB_2GB, DUCKDB_OURS, PARQUET, POLARS, SPARK, TUMULT_UNCHECKED, spark_by
from results import Peak, Results, machine

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("BENCH_DATA") or ROOT / "build" / "bench")
PARTS = ("commands", "parquet", "csv", "memory")
DEFAULT_MAX = 10**8
HEAP = "4g"
OWN_UP_TO = int(float(os.environ.get("BENCH_OWN_MAX") or 1e6))
IN_MEMORY_UP_TO = {"opendp-own": 10**6, "diffprivlib-own": 10**7}
CSV_MOST = 2 * 10**7
CSV_BASE = 10**6
REPEATED_UP_TO = 10**8
REPEATS = 3
COPIED_BEYOND = 10**8

say = Console(stderr=True, highlight=False, soft_wrap=True).print


def main() -> None:
    """Measure everything up to BENCH_MAX rows."""
    sizes, parts = _sizes(os.environ.get("BENCH_MAX", "")), _parts(os.environ.get("BENCH_PARTS", ""))
    largest = sizes[-1]
    name = "results" if largest >= DEFAULT_MAX else f"results-1e{len(str(largest)) - 1}"
    warnings.filterwarnings("ignore")
    use_java()
    for folder in (CACHE, report.FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
    results = _begun(report.FOLDER / f"{name}.json", parts)
    if "commands" in parts:
        results.commands = command.measure(CACHE, say)
        report.write(results, report.FOLDER / name)
    if {"parquet", "csv"}.intersection(parts):
        with local_session(CACHE, memory=HEAP) as spark:
            apply_settings(spark)
            results.machine["Java"] = str(spark._jvm.System.getProperty("java.version"))  # type: ignore[union-attr]
            if "parquet" in parts:
                _warm_up(spark, _table(sizes[0]))
                for rows in sizes:
                    _measure(spark, rows, largest, results)
                    report.write(results, report.FOLDER / name)
            if "csv" in parts:
                _measure_csv(spark, _csv_rows(largest), results)
                report.write(results, report.FOLDER / name)
    if "memory" in parts:
        _measure_memory(largest, results)
        report.write(results, report.FOLDER / name)
    say(f"written: docs/benchmarks/{name}.md, .json, .png")


def _begun(path: Path, parts: Sequence[str]) -> Results:
    """Return the results without the parts that are to be measured: the others are kept, unless all are."""
    names = ("BENCH_MAX", "BENCH_OWN_MAX", "BENCH_PARTS")
    asked = "".join(f"{name}={os.environ[name]} " for name in names if os.environ.get(name)) + "make bench"
    if len(parts) == len(PARTS) or not path.exists():
        return Results([asked], machine(HEAP))
    results = Results.read(path)
    results.made_by.append(asked)
    results.machine |= machine(HEAP)
    if "memory" in parts:
        results.peaks = []
    results.timings = [t for t in results.timings if t.format not in parts]
    return results


def _parts(given: str) -> list[str]:
    parts = given.split(",") if given else list(PARTS)
    if not set(parts) <= set(PARTS):
        sys.exit(f"BENCH_PARTS: given {given!r}; allowed: some of {', '.join(PARTS)}, with commas")
    return parts


def _sizes(given: str) -> list[int]:
    """Return the powers of ten from 10⁵ to the one given."""
    allowed = [10**power for power in range(5, 11)]
    try:
        largest = int(float(given or DEFAULT_MAX))
    except (ValueError, OverflowError):
        largest = 0
    if largest not in allowed:
        sys.exit(f"BENCH_MAX: given {given!r}; allowed: a power of ten from 1e5 to 1e10, such as 1e8")
    return [rows for rows in allowed if rows <= largest]


def _warm_up(spark: SparkSession, folder: Path) -> None:
    """One query on every way before anything is measured."""
    say("warming up")
    for statistic in ways.STATISTICS.values():
        for _, way in _ways(spark, statistic, rows=min(OWN_UP_TO, 10**5)):
            way(folder, statistic)


def _measure(spark: SparkSession, rows: int, largest: int, results: Results) -> None:
    folder = _table(rows)
    _into_cache(folder)
    for statistic in ways.STATISTICS.values():
        if statistic.query in ("COUNT", "SUM") and rows < min(largest, DEFAULT_MAX):
            continue
        for turn in range(REPEATS if rows <= REPEATED_UP_TO else 1):
            for label, way in _ways(spark, statistic, rows):
                # the slowest once
                if turn == 0 or rows < OWN_UP_TO or label not in ("tumult-own", "pipelinedp-own"):
                    _turn(results, PARQUET, rows, statistic, label, way, folder)


def _turn(
    results: Results, format: str, rows: int, asked: ways.Statistic, label: str, way: ways.Way, table: Path
) -> None:
    seconds, cpu = meter.measured(lambda: way(table, asked))
    results.add(format, rows, asked.query, label, seconds, cpu)
    say(f"{rows:>13,} rows  {format:7}  {asked.query:8}  {label:24}  {seconds:8.3f} s  {cpu:8.2f} s of CPU")


def _measure_csv(spark: SparkSession, rows: int, results: Results) -> None:
    folder = _csv(rows)
    _into_cache(folder)
    asked = ways.STATISTICS["MEAN"]
    chosen = [
        (label, way)
        for label, way in _ways(spark, asked, rows=10**11)
        if label not in (spark_by("tumult"), TUMULT_UNCHECKED)
    ]
    for _, way in chosen:
        way(_csv(min(CSV_BASE, rows)), asked)
    for _ in range(REPEATS):
        for label, way in chosen:
            _turn(results, CSV, rows, asked, label, way, folder)


def _csv_rows(largest: int) -> int:
    """Of 37 columns: a twentieth of the narrow table's rows, which takes minutes as it is."""
    return min(CSV_MOST, max(largest // 20, 10**4))


def _measure_memory(largest: int, results: Results) -> None:
    """In processes of their own, of the largest tables only: what a smaller one takes is less."""
    tables = [(PARQUET, rows, _table(rows)) for rows in _sizes(str(largest)) if rows >= min(largest, DEFAULT_MAX)]
    tables.append((CSV, _csv_rows(largest), _csv(_csv_rows(largest))))
    for format, rows, table in tables:
        for statistic in ("MEAN", "VARIANCE"):
            for way in (DUCKDB, DUCKDB_OURS, DUCKDB_2GB):
                mib = memory.peak(way, statistic, table)
                results.peaks.append(Peak(format, rows, statistic, way, mib))
                say(f"{rows:>13,} rows  {format:7}  {statistic:8}  {way:24}  {mib:8,} MiB")


@cache
def _spark_ways(spark: SparkSession) -> dict[str, ways.Way]:
    return {
        SPARK: ways.spark(spark),
        spark_by("pipelinedp"): ways.on_spark(spark, "pipelinedp"),
        spark_by("tumult"): ways.on_spark(spark, "tumult"),
        TUMULT_UNCHECKED: ways.on_spark(spark, "tumult", check_share=Decimal(0)),
        "pipelinedp-own": libraries.pipelinedp(spark),
        "tumult-own": libraries.tumult(spark),
    }


def _ways(spark: SparkSession, asked: ways.Statistic, rows: int) -> Iterator[tuple[str, ways.Way]]:
    """The ways that are measured with so many rows, each pair that is compared one after the other."""
    yield DUCKDB, ways.duckdb
    yield DUCKDB_OURS, ways.on_duckdb
    yield POLARS, ways.polars
    on_spark = _spark_ways(spark)
    own = asked.query in ("MEAN", "VARIANCE")
    if own and rows <= IN_MEMORY_UP_TO["opendp-own"]:
        yield "opendp-own", libraries.opendp
    if own and rows <= IN_MEMORY_UP_TO["diffprivlib-own"]:
        yield "diffprivlib-own", libraries.diffprivlib
    for label, way in on_spark.items():
        if label == TUMULT_UNCHECKED and asked.query == "COUNT":  # which checks nothing
            continue
        if not label.endswith("-own") or (own and rows <= OWN_UP_TO):
            yield label, way


def _table(rows: int) -> Path:
    """Make the table once, of at least one file a core: from a single file every way would use a single core.

    Beyond COPIED_BEYOND rows it is the smaller table's files, each copied ten times.
    """
    made = CACHE / f"{rows}.parquet"
    if not made.exists() and rows > COPIED_BEYOND:
        _copy(_table(rows // 10), made, 10)
    if not made.exists():
        _generate(made, rows, ways.COLUMNS)
    return made


def _csv(rows: int) -> Path:
    """Make the table of all columns once: 10⁶ rows, whose files are copied as often as it takes."""
    made = CACHE / f"{rows}.csv"
    if not made.exists() and rows > CSV_BASE:
        _copy(_csv(CSV_BASE), made, rows // CSV_BASE)
    if not made.exists():
        _generate(made, rows, None)
    return made


def _generate(made: Path, rows: int, columns: tuple[str, ...] | None) -> None:
    say(f"writing {made}")
    rows_per_file = min(ROWS_PER_FILE, -(-rows // max(2, os.cpu_count() or 1)))
    generate(rows=rows, output=made, format=made.suffix[1:], columns=columns, rows_per_file=rows_per_file)


def _copy(smaller: Path, made: Path, times: int) -> None:
    made.mkdir()
    for i in range(times):
        for file in sorted(smaller.iterdir()):
            shutil.copyfile(file, made / f"part-{i:02}-{file.name}")  # a link that is there twice is refused


def _into_cache(folder: Path) -> None:
    """Read the files once, so that no way has to wait for the disk where another did not."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


if __name__ == "__main__":
    main()
