"""Folders named like year=2020: found, read, and asked for like columns, on this machine and through Hadoop."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpjobs.backends.spark.hadoop import HadoopFiles
from dpjobs.errors import InputError
from dpjobs.query import Bounds, Query
from dpjobs.source import LocalFiles, format_of, inspect
from library.plans import plan
from library.tables import exact, source_of

pytestmark = pytest.mark.slow
COUNT = plan(Query.COUNT, None, Decimal(1))
SUM = plan(Query.SUM, Bounds(0, 4096), Decimal(1))
FOLDERS = {
    "year=2020/my%20place=a b": [1, 2],
    "year=2020/my%20place=%3Db": [4],
    "year=2021/my%20place=__HIVE_DEFAULT_PARTITION__": [8],
}


def write(root: Path, format_: str) -> Path:
    for folder, values in FOLDERS.items():
        place = root / folder
        place.mkdir(parents=True)
        if format_ == "parquet":
            pq.write_table(pa.table({"x": values, "list": [[1]] * len(values)}), place / "part-0.parquet")
        else:
            text = "a,x\n" + "".join(f"z,{value}\n" for value in values) + "\n \n"
            (place / "part-0.csv").write_text(text)
    (root / "_SUCCESS").touch()
    return root


@pytest.fixture(params=["csv", "parquet"])
def table(request, tmp_path: Path) -> tuple[Path, str]:
    return write(tmp_path / "da ta {1} %20ü", request.param), request.param


def test_partitions_are_columns(spark, table: tuple[Path, str]) -> None:
    root, format_ = table
    assert format_of(str(root), None, LocalFiles()) == format_
    source = source_of(root, format_)
    assert source.partitions == ("year", "my place")
    for column, total in {"x": 15, "year": 2020 * 3 + 2021, "my place": 0}.items():
        source.check_column(column, numeric=True)
        assert exact(spark, root, SUM, column, format_)["sum"] * SUM.grid.step == total, column
    for column, count in {None: 4, "x": 4, "year": 4, "my place": 3}.items():
        assert exact(spark, root, COUNT, column, format_)["count"] == count, column


def test_both_views_agree(spark, table: tuple[Path, str]) -> None:
    root, format_ = table
    local = inspect(str(root), format_, LocalFiles())
    remote = inspect(f"file://{root}", format_, HadoopFiles(spark))
    assert format_of(f"file://{root}", None, HadoopFiles(spark)) == format_
    assert (local.columns, local.partitions, local.headers) == (remote.columns, remote.partitions, remote.headers)
    assert [path.removeprefix("file:") for path in remote.paths] == list(local.paths)


def test_one_partition_is_a_table_of_its_own(spark, table: tuple[Path, str]) -> None:
    root, format_ = table
    assert source_of(root / "year=2020", format_).partitions == ("my place",)
    assert exact(spark, root / "year=2020", SUM, "x", format_)["sum"] * SUM.grid.step == 7
    with pytest.raises(InputError, match="no such column: given 'year'"):
        source_of(root / "year=2020", format_).check_column("year", numeric=True)


@pytest.mark.parametrize("other", ["year=2022", "month=1/day=2", "year=2022/plain", "year=2022/year=3", "=1/=2"])
def test_folders_of_different_partitions_are_refused(table: tuple[Path, str], other: str) -> None:
    root, format_ = table
    file = next(root.rglob(f"*.{format_}"))
    (root / other).mkdir(parents=True, exist_ok=True)
    (root / other / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=r"folders of different partitions|a folder inside the folder"):
        source_of(root, format_)


def test_of_two_columns_of_one_name_the_folders_is_meant(spark, tmp_path: Path) -> None:
    for year in (1, 2):
        (tmp_path / "t" / f"x={year}").mkdir(parents=True)
        (tmp_path / "t" / f"x={year}" / "a.csv").write_text("a,x\n1,30\n1,40\n")
        (tmp_path / "p" / f"x={year}").mkdir(parents=True)
        pq.write_table(pa.table({"x": [[30], [40]]}), tmp_path / "p" / f"x={year}" / "a.parquet")
    assert exact(spark, tmp_path / "t", SUM, "x", "csv")["sum"] * SUM.grid.step == 6
    assert exact(spark, tmp_path / "p", SUM, "x", "parquet")["sum"] * SUM.grid.step == 6
