"""Makes what every environment needs once: `python -m dpcloud.startup`, run by `make setup`.

The demo's table is generated, and Java keeps the classes that it loaded for that (AppCDS): Spark starts several
seconds faster from then on. Without the archive all works the same, only slower.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dpcloud.data.generate import generate
from dpcloud.java import use_java
from dpjobs.backends.spark.session import BASE_ARCHIVE, CLASS_ARCHIVE, local_session, start_python
from dpjobs.errors import DpError, InputError

DEMO_TABLE = Path(sys.prefix) / "share" / "dpcloud" / "census.csv"
"""The synthetic table of the demo, 74,001 rows of 37 columns."""


def main() -> None:
    """Write the table and the archive into the environment; the archive is no must."""
    use_java()
    (CLASS_ARCHIVE.parent / "conf").mkdir(parents=True, exist_ok=True)
    for made in (CLASS_ARCHIVE, BASE_ARCHIVE, DEMO_TABLE):
        made.unlink(missing_ok=True)
    java = Path(os.environ["JAVA_HOME"]) / "bin" / "java"
    dump = [str(java), "-Xshare:dump", f"-XX:SharedArchiveFile={BASE_ARCHIVE}"]
    if subprocess.run(dump, capture_output=True, check=False).returncode == 0:
        with contextlib.suppress(InputError):  # a Java without this gift
            _train(f"-XX:SharedArchiveFile={BASE_ARCHIVE} -XX:ArchiveClassesAtExit={CLASS_ARCHIVE}")
    if not DEMO_TABLE.exists():
        _train("")


def _train(options: str) -> None:
    """Make the table, and have Java load what a run needs."""
    with tempfile.TemporaryDirectory() as folder, local_session(Path(folder), java_options=options) as spark:
        if not DEMO_TABLE.exists():
            generate(spark, output=DEMO_TABLE, format="csv")
        table = spark.read.csv(str(DEMO_TABLE), header=True).limit(1000).selectExpr("cast(TotalPop as double) as x")
        table.write.parquet(f"{folder}/parquet")
        spark.read.parquet(f"{folder}/parquet").createOrReplaceTempView("t")
        spark.sql("select count(1), sum(least(greatest(cast(rint(x / 2) as bigint), -9L), 9L)) from t").collect()
        spark.sql("select floor(log2(x)) as bin, count(1) from t group by 1").collect()
        start_python(spark)
        spark.table("t").selectExpr("x", "rand() as r").repartition("r").write.saveAsTable("once")
        java = spark.sparkContext._gateway.proc  # type: ignore[union-attr]
    with contextlib.suppress(Exception):
        java.stdin.close()  # Spark's JVM ends with its standard input, and then writes the archive
        java.wait(timeout=120)


if __name__ == "__main__":
    try:
        main()
    except DpError as error:
        sys.exit(f"dpcloud: {error}")
