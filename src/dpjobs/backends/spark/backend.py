"""Spark counts: one aggregate over the files for all cells of a plan, in the JVM."""

from collections.abc import Sequence

import pyspark
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dpjobs.addresses import is_local
from dpjobs.backends.base import Backend
from dpjobs.backends.spark import rows
from dpjobs.backends.spark.hadoop import HadoopFiles
from dpjobs.backends.spark.session import apply_settings
from dpjobs.errors import InputError
from dpjobs.plan import Plan
from dpjobs.source import Files, LocalFiles, Source


class SparkBackend(Backend):
    """Counts with a running session, whose settings it makes safe."""

    name = "spark"

    def __init__(self, spark: SparkSession) -> None:
        apply_settings(spark)
        self._spark = spark

    @property
    def version(self) -> str:
        """Spark's version."""
        return f"Spark {pyspark.__version__}"

    def files(self, uri: str) -> Files:
        """Return the reader of headers and schemas for an address."""
        return LocalFiles() if is_local(uri) else HadoopFiles(self._spark)

    def check(self, table: Source, column: str | None) -> None:
        """Let Spark look at the schema, while a file that it cannot read still costs nothing; raises InputError."""
        try:
            rows.read(self._spark, table, column).schema  # noqa: B018 (resolves, reads no row)
        except Exception:  # the library's text may quote bytes of the file
            allowed = "files that Spark 3.5 can read, each in its format"
            raise InputError.of("Spark cannot read this table", table.root, allowed) from None

    def frame(self, table: Source, plan: Plan) -> DataFrame:
        """Return one row per counted row, with what it gives to each cell (see `rows.cells`)."""
        return rows.cells(self._read(table, plan), plan)

    def kinds(self, table: Source, plan: Plan) -> DataFrame:
        """Return one row per row of the table, with its kind (see `rows.given`)."""
        return rows.given(self._read(table, plan), plan).select(rows.KIND)

    def _read(self, table: Source, plan: Plan) -> DataFrame:
        return rows.read(self._spark, table, plan.column)

    def _totals(self, table: Source, plan: Plan) -> Sequence[int]:
        if plan.counts:
            count = self.frame(table, plan).count()
            return [count for _ in plan.live]
        if plan.bins:
            counted = self.frame(table, plan).groupBy(rows.BIN).agg(F.count(F.lit(1)).alias("rows")).collect()
            by_bin = {row[rows.BIN]: int(row["rows"]) for row in counted}
            return [by_bin.get(cell.bin, 0) for cell in plan.live]
        sums = (F.coalesce(F.sum(cell.name), F.lit(0)).alias(cell.name) for cell in plan.live)
        [total] = rows.given(self._read(table, plan), plan).agg(*sums).collect()
        return [int(total[cell.name]) for cell in plan.live]
