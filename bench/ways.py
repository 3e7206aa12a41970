"""The ways to one statistic without privacy, and ours. None gives a number back.

What a way without privacy computes is the true statistic, so every way drops its result where it is made. Libraries
are imported in the ways that use them: where memory is measured, nothing else is to be there.
"""

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpjobs import answers, engines
from dpjobs.backends.base import Backend
from dpjobs.draws import Draws
from dpjobs.epsilon import Epsilon
from dpjobs.ledger.base import TOTALS
from dpjobs.query import DEFAULT_CHECK_SHARE, Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.source import inspect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = ("id", "TotalPop", "Poverty")
"""The narrow table: an id, an integer and a double."""


@dataclass(frozen=True)
class Statistic:
    """A query on one column with its bounds, and the name that DuckDB and Spark have for the same aggregate."""

    query: str
    column: str
    lower: int
    upper: int
    plain: str


STATISTICS = {
    "MEAN": Statistic("MEAN", "TotalPop", 0, 20_000, "avg"),
    "VARIANCE": Statistic("VARIANCE", "Poverty", 0, 100, "var_pop"),
    "COUNT": Statistic("COUNT", "TotalPop", 0, 20_000, "count"),
    "SUM": Statistic("SUM", "TotalPop", 0, 20_000, "sum"),
}

Way = Callable[[Path, Statistic], None]
"""From a file or a folder of them (`.csv` or `.parquet` at the end of its name) to the answer, which is dropped."""


def ours(
    backend: Backend, engine: str, table: Path, asked: Statistic, check_share: Decimal = DEFAULT_CHECK_SHARE
) -> None:
    """The product's own functions, from the look at the files to the release; the ledger alone is left out."""
    spec = JobSpec(
        run_id=uuid.uuid4().hex,
        dataset="bench",
        engine=engine,
        query=Query(asked.query),
        column=asked.column,
        budget=PrivacyBudget(Epsilon(1)),
        uri=str(table),
        format=table.suffix.removeprefix("."),
        bounds=None if asked.query == "COUNT" else Bounds(asked.lower, asked.upper),
        check_share=check_share,
    )
    source = inspect(spec.uri, spec.format, backend.files(spec.uri))
    backend.check(source, spec.column)
    plan, draws_it = answers.totals_plan(spec, {}), engines.load(engine)
    noisy = tuple(draws_it.measure(backend, source, plan))
    drawn = Draws(noisy, draws_it.version, backend.name, backend.version)
    answers.release_of(spec, {TOTALS: drawn.to_json(plan)})


def on_duckdb(table: Path, asked: Statistic, memory: str | None = None) -> None:
    """Ours on DuckDB, from the start of the backend on, with PipelineDP's noise."""
    from dpjobs.backends.duckdb import DuckDBBackend

    with DuckDBBackend.open(memory) as backend:
        ours(backend, "pipelinedp", table, asked)


def on_duckdb_in_2gb(table: Path, asked: Statistic) -> None:
    """The same with `--memory 2GB`."""
    on_duckdb(table, asked, "2GB")


def on_spark(spark: "SparkSession", engine: str, check_share: Decimal = DEFAULT_CHECK_SHARE) -> Way:
    """Ours on a running Spark; with a check share of 0 a Session is spared the query that tells what is clamped."""
    from dpjobs.backends.spark.backend import SparkBackend

    return lambda table, asked: ours(SparkBackend(spark), engine, table, asked, check_share)


def duckdb(table: Path, asked: Statistic) -> None:
    """DuckDB's aggregate of the same column, over its own reader, in a database that is opened for it."""
    import duckdb

    kind = table.suffix.removeprefix(".")
    with contextlib.closing(duckdb.connect(":memory:")) as connection:
        query = f"select {asked.plain}({asked.column}) from read_{kind}('{_files(table)}')"  # noqa: S608
        connection.execute(query).fetchall()


def polars(table: Path, asked: Statistic) -> None:
    """Polars' aggregate of the same column, lazily."""
    import polars

    scanned = (polars.scan_csv if table.suffix == ".csv" else polars.scan_parquet)(_files(table))
    column = polars.col(asked.column)
    scanned.select(_polars(column, asked.query)).collect()


def _polars(column: Any, query: str) -> Any:
    if query == "VARIANCE":
        return column.var(ddof=0)
    return {"MEAN": column.mean, "COUNT": column.count, "SUM": column.sum}[query]()


def spark(session: "SparkSession") -> Way:
    """Spark's aggregate of the same column, from the reading of the schema to the result.

    A CSV's cells are texts, of which the column's are cast: to infer types Spark would read all of it once more.
    """
    from pyspark.sql import functions as F

    def way(table: Path, asked: Statistic) -> None:
        if table.suffix == ".csv":
            rows, column = session.read.csv(str(table), header=True), F.col(asked.column).cast("double")
        else:
            rows, column = session.read.parquet(str(table)), F.col(asked.column)
        rows.agg(getattr(F, asked.plain)(column)).collect()

    return way


def _files(table: Path) -> str:
    return f"{table}/*{table.suffix}" if table.is_dir() else str(table)
