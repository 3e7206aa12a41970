"""The three ways to one statistic: Spark's plain aggregate, ours, and the library's own. None gives a number back.

What plain Spark computes is the true statistic, so every way drops its result where it is made.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pipeline_dp
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tmlt.analytics import AddOneRow, PureDPBudget, QueryBuilder, Session
from tmlt.analytics.utils import cleanup

from dpjobs import engines
from dpjobs.job import answer
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.source import LocalFiles, inspect

COLUMNS = ("id", "TotalPop", "Poverty")
"""The narrow table: an id, an integer and a double."""
EPSILON = 1


@dataclass(frozen=True)
class Statistic:
    """A query on one column with its bounds, and Spark's name for the same aggregate."""

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


def plain(spark: SparkSession, table: Path, asked: Statistic) -> None:
    """Spark's aggregate of the same column, from the reading of the schema to the result."""
    aggregate = getattr(F, asked.plain)
    spark.read.parquet(str(table)).agg(aggregate(asked.column)).collect()


def ours(spark: SparkSession, table: Path, asked: Statistic, engine: str) -> None:
    """The product's own functions, from the look at the files to the release; the ledger alone is left out."""
    spec = JobSpec(
        run_id=uuid.uuid4().hex,
        dataset="bench",
        engine=engine,
        query=Query(asked.query),
        column=asked.column,
        budget=PrivacyBudget(Decimal(EPSILON)),
        uri=str(table),
        format="parquet",
        bounds=None if asked.query == "COUNT" else Bounds(asked.lower, asked.upper),
    )
    answer(spark, engines.load(engine), spec, inspect(spec.uri, spec.format, LocalFiles()))


def own_tumult(spark: SparkSession, table: Path, asked: Statistic) -> None:
    """Tumult's own `average` or `variance`."""
    rows = spark.read.parquet(str(table)).select(asked.column)
    budget = PureDPBudget(EPSILON)
    try:
        session = Session.from_dataframe(budget, "rows", rows, protected_change=AddOneRow())
        query = getattr(QueryBuilder("rows"), {"MEAN": "average", "VARIANCE": "variance"}[asked.query])
        session.evaluate(query(asked.column, low=asked.lower, high=asked.upper), budget).collect()
    finally:
        cleanup()


def own_pipelinedp(spark: SparkSession, table: Path, asked: Statistic) -> None:
    """PipelineDP's `DPEngine.aggregate` over an RDD, told that a row is a person: its faster way.

    It fails on nulls, so Spark takes them out first.
    """
    rows = spark.read.parquet(str(table)).select(asked.column).where(F.col(asked.column).isNotNull()).rdd
    accountant = pipeline_dp.NaiveBudgetAccountant(total_epsilon=EPSILON, total_delta=0)
    parameters = pipeline_dp.AggregateParams(
        metrics=[getattr(pipeline_dp.Metrics, asked.query)],
        noise_kind=pipeline_dp.NoiseKind.LAPLACE,
        max_partitions_contributed=1,
        max_contributions_per_partition=1,
        min_value=asked.lower,
        max_value=asked.upper,
        contribution_bounds_already_enforced=True,
    )
    extractors = pipeline_dp.DataExtractors(partition_extractor=lambda _: 0, value_extractor=lambda row: row[0])
    engine = pipeline_dp.DPEngine(accountant, pipeline_dp.SparkRDDBackend(spark.sparkContext))
    result: Any = engine.aggregate(rows, parameters, extractors, public_partitions=[0])
    accountant.compute_budgets()
    result.collect()


OWN: dict[str, Callable[[SparkSession, Path, Statistic], None]] = {
    "tumult": own_tumult,
    "pipelinedp": own_pipelinedp,
}
"""The library's own way, by engine."""
