"""Makes Spark start faster from now on: `python -m dpcloud.startup`, run once by `make setup`.

A short run over numbers of its own makes Java keep the classes it loaded (AppCDS); without the archive all
works the same, some seconds later.
"""

import contextlib
import tempfile
from pathlib import Path

from dpcloud.java import use_java
from dpjobs.errors import DpError


def main() -> None:
    """Write the archive of Spark's classes into the environment; say nothing when it cannot be made."""
    with contextlib.suppress(DpError, OSError):
        _archive()


def _archive() -> None:
    from dpjobs.session import CLASS_ARCHIVE, local_session

    use_java()
    (CLASS_ARCHIVE.parent / "conf").mkdir(parents=True, exist_ok=True)
    CLASS_ARCHIVE.unlink(missing_ok=True)
    option = f"-XX:ArchiveClassesAtExit={CLASS_ARCHIVE}"
    with tempfile.TemporaryDirectory() as folder, local_session(Path(folder), java_options=option) as spark:
        numbers = spark.range(0, 1000, 1, 2).selectExpr("id", "cast(id % 7 as string) as text")
        numbers.write.parquet(f"{folder}/parquet")
        numbers.write.csv(f"{folder}/csv", header=True)
        table = spark.read.csv(f"{folder}/csv", schema="id string, text string", header=True)
        table.union(spark.read.parquet(f"{folder}/parquet")).createOrReplaceTempView("t")
        spark.sql(
            "select count(1), sum(least(greatest(cast(rint(cast(id as double) / 2) as bigint), -9), 9)) from t"
        ).collect()
        spark.sql("select text, count(1) from t group by text").collect()
        spark.createDataFrame([(1,)], "n int").write.saveAsTable("once")
        java = spark.sparkContext._gateway.proc  # type: ignore[union-attr]
    java.stdin.close()  # Spark's JVM ends with its standard input, and then writes the archive
    java.wait(timeout=120)


if __name__ == "__main__":
    main()
