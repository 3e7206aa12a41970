"""Where a CSV's header is, what is wrong with it, and that Spark's lines are compared with the same bytes."""

import bz2
import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from dpjobs.backends.spark.hadoop import HadoopFiles
from dpjobs.errors import InputError, quoted
from dpjobs.header import MAX_HEADER
from dpjobs.query import Bounds, Query
from dpjobs.source import inspect
from library.plans import plan
from library.tables import exact, source_of

COUNT = plan(Query.COUNT, None, Decimal(1))
SUM = plan(Query.SUM, Bounds(0, 64), Decimal(1))
BOM = b"\xef\xbb\xbf"


def members(compress: Callable[[bytes], bytes], *texts: bytes) -> bytes:
    return b"".join(compress(text) for text in texts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        BOM + b"a,x\n1,2\n",
        b"\n" + BOM + b"a,x\n1,2\n",
        b"\n \r\n" + BOM + b"a,x\r\n1,2\r\n",
        BOM + BOM + b"a,x\n1,2\n",
        BOM + b"\n" + BOM + b"a,x\n1,2\n",
        BOM + b"a,x\n1,2\n" + BOM + b"a,x\na,x\n",
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
def test_the_header_is_no_row_wherever_a_byte_order_mark_stands(spark, tmp_path, text: bytes, ending: str) -> None:
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[ending](text))
    assert list(source_of(path).columns) == ["a", "x"]
    assert exact(spark, path, COUNT, None)["count"] == 1
    assert exact(spark, path, COUNT, "x")["count"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_members_that_end_within_the_header(spark, tmp_path: Path, ending: str, compress) -> None:
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(members(compress, b"a", b",", b"x", b"", b",c\n1,2", b",3\n", b"4,5,6"))
    for source in (source_of(path), inspect(f"file://{path}", "csv", HadoopFiles(spark))):
        assert list(source.columns) == ["a", "x", "c"]
    assert exact(spark, path, COUNT, None)["count"] == 2
    assert exact(spark, path, SUM, "x")["sum"] * SUM.grid.step == 7


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_header_that_is_not_read_to_its_end_is_none(tmp_path: Path, ending: str, compress) -> None:
    """One member a byte: so many of them that the header's end lies beyond what is looked at."""
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(compress(b"a") * 40_000 + compress(b",x\n1,2\n"))
    with pytest.raises(InputError, match="not readable as CSV"):
        source_of(path)
    path.write_bytes(compress(b"a" * (MAX_HEADER - 3) + b",x"))  # without an end, but whole
    assert len(source_of(path).columns) == 2
    path.write_bytes(compress(b"a" * (MAX_HEADER - 2) + b",x\n"))
    with pytest.raises(InputError, match="not readable as CSV"):
        source_of(path)


ALLOWED = "; allowed: a first line of distinct column names that are not empty and not numbers"
INDEX = " (a first cell without a name is how pandas writes its index)"
YEAR = " (a year as a name, or a file without a header)"
ONE_CELL = " (the header is one cell, and only commas separate cells here: no semicolons, no tabs)"
IMPORT = "; `dpcloud data import FILE --output NEW.parquet` reads files of other habits"


@pytest.mark.parametrize(
    ("header", "wrong", "hint"),
    [
        (",county,x", "cell 1 of the header is empty", INDEX),
        ("county, ,x", "cell 2 of the header is empty", ""),
        ("county,x,", "cell 3 of the header is empty", ""),
        ("county,2019,2020", "cell 2 of the header is a number", YEAR),
        ('county,x," -4.5e3 "', "cell 3 of the header is a number", YEAR),
        ("918273", "cell 1 of the header is a number", ONE_CELL),
        ('""', "cell 1 of the header is empty", ONE_CELL),
        ("county,x, county", "cells 1 and 3 of the header are the same", ""),
    ],
)
def test_what_is_wrong_with_a_header_and_where(tmp_path: Path, header: str, wrong: str, hint: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n1,2,3\n")
    with pytest.raises(InputError) as refused:
        source_of(path)
    assert str(refused.value) == f"{wrong}: given {quoted(path)}{ALLOWED}{hint}{IMPORT}"


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("t t.csv", "head -1 '{}'"),
        ("t.csv.gz", "gunzip < {} | head -1"),
        ("t.csv.bz2", "bunzip2 < {} | head -1"),
    ],
)
def test_a_wrong_name_says_how_to_see_the_header(tmp_path: Path, name: str, how: str) -> None:
    """And names none: in a file without a header they would be the first record."""
    path = tmp_path / name
    compress = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    path.write_bytes(compress(b"Zzyzx;Income\n1;2\n"))
    with pytest.raises(InputError) as refused:
        source_of(path).check_column("Income", numeric=True)
    message = str(refused.value)
    said = "no such column: given 'Income'; allowed: a column of the table's header, which shows with: "
    assert message == said + how.format(path) + ONE_CELL + IMPORT
    path.write_bytes(compress(b"Zzyzx,Income\n1,2\n"))
    with pytest.raises(InputError) as refused:
        source_of(path).check_column("Incom", numeric=True)
    assert str(refused.value) == (said + how.format(path)).replace("'Income'", "'Incom'")


@pytest.mark.parametrize(
    ("asked", "meant"), [("total pop", "TotalPop"), ("TOTALPOP", "TotalPop"), ("inc ome", "Income")]
)
def test_only_case_and_blanks_are_put_right(tmp_path: Path, asked: str, meant: str) -> None:
    (tmp_path / "t.csv").write_text("TotalPop,Income\n1,2\n")
    with pytest.raises(InputError, match=f"; did you mean '{meant}'\\?$"):
        source_of(tmp_path / "t.csv").check_column(asked, numeric=False)
    for other in (asked + "p", asked[:-1], "Totalpup"):
        with pytest.raises(InputError) as refused:
            source_of(tmp_path / "t.csv").check_column(other, numeric=False)
        assert "did you mean" not in str(refused.value)
        assert meant not in str(refused.value)
