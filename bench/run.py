"""Measures the speed beside plain Spark and beside the libraries themselves: `make bench`.

BENCH_MAX=1e9 goes up to a billion rows, BENCH_MAX=1e6 is a quick try, kept in files of its own. BENCH_OWN_MAX is how
far the libraries' own ways go, which take minutes (1e6). The tables are made once, in build/bench/. Results are
written after every size: a run that ends early leaves what it has.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console

import command
import report
import ways
from dpcloud.data.generate import ROWS_PER_FILE, generate
from dpcloud.java import use_java
from dpjobs.backends.spark.session import apply_settings, local_session
from dpjobs.engines import ENGINES

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "bench"
RESULTS = ROOT / "docs" / "benchmarks"
DEFAULT_MAX = 10**8
HEAP = "4g"
OWN_UP_TO = int(float(os.environ.get("BENCH_OWN_MAX") or 1e6))
REPEATED_UP_TO = 10**8
REPEATS = 3
LINKED_BEYOND = 10**8

say = Console(stderr=True, highlight=False, soft_wrap=True).print

Way = Callable[[SparkSession, Path, ways.Statistic], None]


def main() -> None:
    """Measure everything up to BENCH_MAX rows."""
    given = os.environ.get("BENCH_MAX", "")
    sizes = _sizes(given)
    largest = sizes[-1]
    name = "results" if largest >= DEFAULT_MAX else f"results-1e{len(str(largest)) - 1}"
    warnings.filterwarnings("ignore")
    use_java()
    for folder in (CACHE, RESULTS):
        folder.mkdir(parents=True, exist_ok=True)
    asked = [f"{name}={os.environ[name]} " for name in ("BENCH_MAX", "BENCH_OWN_MAX") if os.environ.get(name)]
    results = report.Results("".join(asked) + "make bench", report.machine(HEAP))
    results.commands = command.measure(CACHE, say)
    with local_session(CACHE, memory=HEAP) as spark:
        apply_settings(spark)
        results.machine["Java"] = str(spark._jvm.System.getProperty("java.version"))  # type: ignore[union-attr]
        _warm_up(spark, _table(sizes[0]))
        for rows in sizes:
            _measure(spark, rows, largest, results)
            results.write(RESULTS / name)
    say(f"written: {(RESULTS / name).relative_to(ROOT)}.md, .json, .png")


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
        for _, way in _ways(statistic, own=OWN_UP_TO > 0):
            way(spark, folder, statistic)


def _measure(spark: SparkSession, rows: int, largest: int, results: report.Results) -> None:
    folder = _table(rows)
    _into_cache(folder)
    for name, statistic in ways.STATISTICS.items():
        if name in ("COUNT", "SUM") and rows < min(largest, DEFAULT_MAX):
            continue
        for turn in range(REPEATS if rows <= REPEATED_UP_TO else 1):
            # in turns, so that whatever else the machine does strikes all ways; the slow ones of the libraries once
            for label, way in _ways(statistic, own=rows <= OWN_UP_TO and (turn == 0 or rows < OWN_UP_TO)):
                started = time.monotonic()
                way(spark, folder, statistic)
                results.add(rows, name, label, time.monotonic() - started)
                say(f"{rows:>13,} rows  {name:8}  {label:16}  {results.all(rows, name, label)[-1]:8.2f} s")


def _ways(statistic: ways.Statistic, own: bool) -> Iterator[tuple[str, Way]]:
    yield report.PLAIN, ways.plain
    for engine in ENGINES:
        yield engine, partial(ways.ours, engine=engine)
        if own and statistic.query in ("MEAN", "VARIANCE"):
            yield report.own(engine), ways.OWN[engine]


def _table(rows: int) -> Path:
    """Make the table once, of at least one file a core: from a single file every way would use a single core.

    Beyond LINKED_BEYOND rows it is the smaller table's files, each linked ten times: every way reads all of them.
    """
    made = CACHE / f"{rows}.parquet"
    if not made.exists() and rows > LINKED_BEYOND:
        smaller = sorted(_table(rows // 10).glob("*.parquet"))
        made.mkdir()
        for i in range(10):
            for file in smaller:
                (made / f"part-{i}-{file.name}").symlink_to(file.resolve())
    if not made.exists():
        say(f"writing {made.relative_to(ROOT)}")
        rows_per_file = min(ROWS_PER_FILE, -(-rows // max(2, os.cpu_count() or 1)))
        generate(rows=rows, output=made, format="parquet", columns=ways.COLUMNS, rows_per_file=rows_per_file)
    return made


def _into_cache(folder: Path) -> None:
    """Read the files once, so that no way has to wait for the disk where another did not."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


if __name__ == "__main__":
    main()
