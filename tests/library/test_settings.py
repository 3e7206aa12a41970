"""Each setting of every platform's Spark, with a table that goes wrong without it."""

import contextlib
import gzip
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpjobs import job
from dpjobs.backends.spark import rows as prepare
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.backends.spark.session import RUNTIME_SETTINGS, apply_settings
from dpjobs.engines.base import Noisy
from dpjobs.ledger import SQLiteLedger
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from library.counting import CountingEngine
from library.plans import plan
from library.tables import exact, source_of, write_csv

pytestmark = pytest.mark.slow
COUNT = plan(Query.COUNT, None, Decimal(1))
SUM = plan(Query.SUM, Bounds(0, 64), Decimal(1))


def text_among_numbers(spark, folder: Path) -> bool:
    return exact(spark, write_csv(folder / "t.csv", [b"1,banana,3", b"1,5,3"]), SUM)["count"] == 1


def names_that_differ_in_case(spark, folder: Path) -> bool:
    pq.write_table(pa.table({"X": [32], "x": [5]}), folder / "t.parquet")
    return exact(spark, folder / "t.parquet", SUM, format_="parquet")["sum"] * SUM.grid.step == 5


def a_file_that_is_cut_off(spark, folder: Path) -> bool:
    """It must fail: whoever counts what could be read gives an answer about other rows than those asked about."""
    chance = random.Random(1)
    lines = b"a,x,c\n" + b"".join(b"1,%d,3\n" % chance.randrange(10**9) for _ in range(30_000))
    (folder / "t.csv.gz").write_bytes(gzip.compress(lines)[:-1000])
    with pytest.raises(Exception, match=r"(?s)EOFException|Unexpected end"):
        exact(spark, folder / "t.csv.gz", COUNT, None)
    return True


def a_file_that_goes_away(spark, folder: Path) -> bool:
    path = write_csv(folder / "t.csv", [b"1,5,3"])
    rows = prepare.read(spark, source_of(path), None)
    path.unlink()
    with pytest.raises(Exception, match="does not exist"):
        rows.count()
    return True


def a_date_of_the_year_one(spark, folder: Path) -> bool:
    """Columns are read by their physical types, so this asks Spark itself: the second wall, should that change."""
    pq.write_table(pa.table({"x": pa.array([-719_162], pa.int32()).cast(pa.date32())}), folder / "t.parquet")
    return spark.read.parquet(str(folder / "t.parquet")).where("x is not null").count() == 1


def a_time_of_1899(spark, folder: Path) -> bool:
    times = pa.array([-2_240_524_800_000_000_000, -9_000_000_000_000_000_000], pa.int64()).cast(pa.timestamp("ns"))
    pq.write_table(pa.table({"x": times}), folder / "t.parquet", use_deprecated_int96_timestamps=True)
    table = spark.read.parquet(str(folder / "t.parquet"))
    return [str(row) for row in table.selectExpr("unix_micros(x) as x").collect()] == [
        "Row(x=-2240524800000000)",
        "Row(x=-9000000000000000)",
    ]


# What is wrong with each setting, and what must be right with ours
CHECKS: dict[str, tuple[str, Callable[[object, Path], bool]]] = {
    "spark.sql.ansi.enabled": ("true", text_among_numbers),
    "spark.sql.caseSensitive": ("false", names_that_differ_in_case),
    "spark.sql.files.ignoreCorruptFiles": ("true", a_file_that_is_cut_off),
    "spark.sql.files.ignoreMissingFiles": ("true", a_file_that_goes_away),
    "spark.sql.parquet.datetimeRebaseModeInRead": ("EXCEPTION", a_date_of_the_year_one),
    "spark.sql.parquet.int96RebaseModeInRead": ("EXCEPTION", a_time_of_1899),
}


@pytest.fixture
def restored(spark) -> Iterator[None]:
    # a cast asks the active session for ANSI mode, and a test that started another one leaves that behind
    spark._jvm.org.apache.spark.sql.SparkSession.setActiveSession(spark._jsparkSession)
    yield
    apply_settings(spark)


def test_every_setting_has_its_check() -> None:
    assert CHECKS.keys() == RUNTIME_SETTINGS.keys()


@pytest.mark.parametrize("key", CHECKS)
def test_each_setting_is_needed_and_made(spark, restored, tmp_path: Path, key: str) -> None:
    wrong, check = CHECKS[key]
    spark.conf.set(key, wrong)
    (tmp_path / "before").mkdir()
    try:
        went_well = check(spark, tmp_path / "before")
    except (Exception, pytest.fail.Exception):
        went_well = False
    assert not went_well, "the check cannot fail"
    apply_settings(spark)
    (tmp_path / "after").mkdir()
    assert check(spark, tmp_path / "after")


def test_a_run_makes_them_itself(spark, restored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Glue and EMR nobody else does: Spark runs there already, as the platform likes it."""
    seen: list[dict[str, str]] = []

    class Looking(CountingEngine):
        def _measure(self, backend: SparkBackend, *asked: Any) -> list[Noisy]:
            seen.append({key: backend._spark.conf.get(key) for key in RUNTIME_SETTINGS})
            return super()._measure(backend, *asked)

    monkeypatch.setattr(job, "_load_in_background", lambda _: lambda _: Looking(tmp_path / "log"))
    for key, (wrong, _) in CHECKS.items():
        spark.conf.set(key, wrong)
    path = write_csv(tmp_path / "t.csv", [b"1,5,3"])
    one = PrivacyBudget(Decimal(1))
    spec = JobSpec("run-1", "t", "pipelinedp", Query.SUM, "x", one, str(path), "csv", Bounds(0, 64))
    job.run(
        [spec],
        SQLiteLedger(tmp_path / "ledger.sqlite"),
        {"spark": lambda _: contextlib.nullcontext(SparkBackend(spark))},
    )
    assert seen == [RUNTIME_SETTINGS]


@pytest.mark.parametrize("name", ["t.csv", "2024-01-01T10:00:00.csv"])
def test_no_checksum_beside_a_file_decides_whether_a_job_fails(spark, tmp_path: Path, name: str) -> None:
    """Hadoop's own file system holds a file against `.NAME.crc`, which one row more makes wrong: an exact oracle."""
    path = write_csv(tmp_path / name, [b"1,5,3", b"1,6,3"])
    (tmp_path / f".{name}.crc").write_bytes(b"crc\0" + (512).to_bytes(4, "big") + b"\1\2\3\4")
    assert exact(spark, path, COUNT, None)["count"] == 2
