"""The libraries' own functions, as their users call them, over the same files: each drops what it computes."""

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ways import Statistic, Way

EPSILON = 1


def diffprivlib(table: Path, asked: Statistic) -> None:
    """DiffPrivLib's tools.mean or tools.var, on the column in memory."""
    from diffprivlib import tools

    function = {"MEAN": tools.mean, "VARIANCE": tools.var}[asked.query]
    function(_column(table, asked), epsilon=float(EPSILON), bounds=(asked.lower, asked.upper))


def opendp(table: Path, asked: Statistic) -> None:
    """OpenDP's make_mean or make_variance, where the number of rows is public, on the column in memory."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    values = _column(table, asked)
    bounds = float(asked.lower), float(asked.upper)
    domain = dp.vector_domain(dp.atom_domain(T=float, nan=False), size=len(values))
    then = {"MEAN": dp.t.then_mean, "VARIANCE": dp.t.then_variance}[asked.query]
    aggregate = (domain, dp.symmetric_distance()) >> dp.t.then_clamp(bounds) >> then()
    measurement = dp.binary_search_chain(lambda scale: aggregate >> dp.m.then_laplace(scale), 2, float(EPSILON))
    measurement(values.tolist())


def tumult(spark: SparkSession) -> Way:
    """Tumult's own `average` or `variance`."""
    from tmlt.analytics import AddOneRow, PureDPBudget, QueryBuilder, Session
    from tmlt.analytics.utils import cleanup

    def way(table: Path, asked: Statistic) -> None:
        rows = spark.read.parquet(str(table)).select(asked.column)
        budget = PureDPBudget(EPSILON)
        try:
            session = Session.from_dataframe(budget, "rows", rows, protected_change=AddOneRow())
            query = getattr(QueryBuilder("rows"), {"MEAN": "average", "VARIANCE": "variance"}[asked.query])
            session.evaluate(query(asked.column, low=asked.lower, high=asked.upper), budget).collect()
        finally:
            cleanup()

    return way


def pipelinedp(spark: SparkSession) -> Way:
    """PipelineDP's `DPEngine.aggregate` over an RDD, told that a row is a person: its faster way.

    It fails on nulls, so Spark takes them out first.
    """
    import pipeline_dp

    def way(table: Path, asked: Statistic) -> None:
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

    return way


def _column(table: Path, asked: Statistic) -> Any:
    """The column as doubles, without its nulls: both libraries work on what is in memory."""
    import pyarrow.parquet

    column = pyarrow.parquet.read_table(table, columns=[asked.column]).column(0)
    return column.drop_null().cast("double").to_numpy()
