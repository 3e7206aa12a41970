"""Spark counts: one aggregate over the files for all cells of a plan, in the JVM."""

from collections.abc import Sequence

import pyspark
from pyspark.sql import DataFrame, SparkSession

from dpjobs.addresses import is_local
from dpjobs.backends.base import Backend
from dpjobs.backends.spark import rows
from dpjobs.backends.spark.hadoop import HadoopFiles
from dpjobs.backends.spark.session import apply_settings
from dpjobs.backends.spark.totals import counted
from dpjobs.errors import InputError
from dpjobs.plan import Plan
from dpjobs.source import Files, LocalFiles, Source

_LISTS_BY_JOB = "spark.sql.sources.parallelPartitionDiscovery.threshold"


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
            self._read(table, column).schema  # noqa: B018 (resolves, reads no row)
        except Exception:  # the library's text may quote bytes of the file
            allowed = "files that Spark 3.5 can read, each in its format"
            raise InputError.of("Spark cannot read this table", table.root, allowed) from None

    def frame(self, table: Source, plan: Plan) -> DataFrame:
        """Return one row per counted row, with what it gives to each cell (see `rows.cells`)."""
        return rows.cells(self._read(table, plan.column), plan)

    def kinds(self, table: Source, plan: Plan) -> DataFrame:
        """Return one row per row of the table, with its kind (see `rows.kinds`)."""
        return rows.kinds(self._read(table, plan.column), plan)

    def _read(self, table: Source, column: str | None) -> DataFrame:
        # beyond 32 files Spark starts a job to list them, which takes half a second where none is far away
        self._spark.conf.set(_LISTS_BY_JOB, 1 << 30 if is_local(table.root) else 32)
        return rows.read(self._spark, table, column)

    def _totals(self, table: Source, plan: Plan) -> Sequence[int]:
        return counted(self._read(table, plan.column), plan)
