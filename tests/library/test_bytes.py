"""Rows of any bytes, cut anywhere, in real files: each has the cell that it has alone in a file."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dpjobs.backends.spark import rows as prepare
from dpjobs.query import Bounds, Query
from library.plans import plan
from library.tables import exact, source_of, write_csv

pytestmark = pytest.mark.slow
SUM = plan(Query.SUM, Bounds(0, 77), Decimal(1))
COUNT = plan(Query.COUNT, None, Decimal(1))
LIMIT = 64  # instead of MAX_LINE, so that lines are cut everywhere

# The first bytes of characters of two to four bytes, whose others are missing; such as stand alone; such as never do
BROKEN = [
    b"\xf0",
    b"\xf0\x9f",
    b"\xf0\x9f\x98",
    b"\xe2",
    b"\xe2\x82",
    b"\xc3",
    b"\x80",
    b"\xff",
    b"\xc0\xaf",
    b"\xf8\x88",
]
WHOLE = ["é".encode(), "€".encode(), "😀".encode(), b"z", b",", b'"', b"7", b"1.5", b"\r", b"\x00", b" ", b"true"]
pieces = st.lists(st.sampled_from(BROKEN + WHOLE), max_size=12).map(b"".join)


def _line(start: bytes, filling: bytes, length: int, end: bytes) -> bytes:
    """A line that ends as given; where 8 divides its length the reader leaves all behind it as it was."""
    return (start + filling * length)[: max(0, length - len(end))] + end


lines = st.builds(
    _line,
    pieces,
    st.sampled_from([b"z", "é".encode(), "€".encode(), "😀".encode(), b"7", b"\xf0", b",7", b""]),
    st.one_of(st.integers(0, 24).map(lambda n: 8 * n), st.integers(LIMIT - 4, LIMIT + 4), st.integers(0, 150)),
    st.one_of(pieces, st.sampled_from([b",77", b",,77", b"\xf0", b",7\xf0", b',"7\xe2\x82'])),
)


@pytest.fixture
def small_limit(spark, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cuts after LIMIT bytes, and splits of 100 bytes, in tasks enough."""
    monkeypatch.setattr(prepare, "MAX_LINE", LIMIT)
    keys = {"spark.sql.files.maxPartitionBytes": "100", "spark.sql.files.openCostInBytes": "100"}
    before = {key: spark.conf.get(key) for key in keys}
    for key, value in keys.items():
        spark.conf.set(key, value)
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


def cells(spark, folder: Path, column: str, format_: str = "csv") -> list[str | None]:
    found = prepare.read(spark, source_of(folder, format_), column).collect()
    return sorted(row.cell for row in found)


def in_python(line: bytes, place: int) -> str:
    """What the cell must be where no quotes are about: of the first LIMIT bytes, each a character."""
    parts = line[:LIMIT].decode("latin-1").split(",")
    return parts[place] if place < len(parts) else ""


HOSTILE = [b"z" * 80 + b",77", ("é" * 36).encode() + b"1234567\xf0", b"z" * 64 + b",7\xf0", b"z,\xf0"]


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(lines, min_size=2, max_size=12))
@example(HOSTILE)
@example([b"z" * 80 + b",77", *[(b"z" * 72)[: n - len(end)] + end for n in range(56, 73) for end in BROKEN[:3]]])
def test_each_row_has_the_cell_that_it_has_alone(spark, small_limit, tmp_path_factory, rows: list[bytes]) -> None:
    """In one file of several splits and in one of gzip, against as many files as there are rows."""
    folder = tmp_path_factory.mktemp("bytes")
    rows = [row.replace(b"\n", b"") for row in rows]
    together, alone = folder / "together", folder / "alone"
    together.mkdir()
    alone.mkdir()
    write_csv(together / "plain.csv", rows, header=b"a,x")
    (together / "zipped.csv.gz").write_bytes(gzip.compress((together / "plain.csv").read_bytes()))
    for i, row in enumerate(rows):
        write_csv(alone / f"{i:03}.csv", [row], header=b"a,x")
    for place, column in enumerate(("a", "x")):
        by_themselves = cells(spark, alone, column)
        assert cells(spark, together, column) == sorted(by_themselves * 2)
        if not any(b'"' in row for row in rows) and column == "x":
            kept = [row for row in rows if row != b"a,x" and any(byte > 32 for byte in row[:LIMIT])]
            assert by_themselves == sorted(in_python(row, place) for row in kept)


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.one_of(lines, st.none()), min_size=2, max_size=12))
@example(
    [b"z" * 80 + b",77", ("é" * 36).encode() + b"1234567\xf0", b"7\xf0", b"7\xe2\x82", b" " * 60 + b"12345", None]
)
def test_each_text_of_parquet_is_its_first_bytes(
    spark, small_limit, tmp_path_factory, rows: list[bytes | None]
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for dictionary in (True, False):
        text = pa.Array.from_buffers(pa.string(), len(rows), pa.array(rows, pa.binary()).buffers())
        pq.write_table(pa.table({"x": text}), folder / f"{dictionary}.parquet", use_dictionary=dictionary)
    found = prepare.read(spark, source_of(folder, "parquet"), "x").collect()
    expected = [None if row is None else row[:LIMIT].decode("latin-1") for row in rows]
    assert sorted(str(row.cell) for row in found) == sorted(str(cell) for cell in expected * 2)


def test_no_row_reads_what_another_left_in_the_buffer(spark, tmp_path: Path) -> None:
    """The attack that Spark's `substring` of a string allowed: 4 such rows each read ",77" of the first one."""
    hostile = ("é" * 600_000 + "1234567").encode() + b"\xf0"
    assert len(hostile) > prepare.MAX_LINE
    assert len(hostile) % 8 == 0
    found = []
    for name, first in (("with", [b"z" * len(hostile) + b",77"]), ("without", [])):
        path = tmp_path / f"{name}.csv.gz"
        path.write_bytes(gzip.compress(b"\n".join([b"a,b", *first, *[hostile] * 4]) + b"\n", 1))
        found.append((exact(spark, path, SUM, "b")["sum"], exact(spark, path, COUNT, "b")["count"]))
    assert found == [(0, 0), (0, 0)]


def test_of_a_long_line_or_text_only_the_first_bytes_are_read(spark, tmp_path: Path) -> None:
    """Bytes, not characters; and a cell that begins before the limit is cut there."""
    limit = prepare.MAX_LINE
    within = "é".encode() * (limit // 2 - 2) + b",123"
    assert len(within) == limit
    beyond = "é".encode() * (limit // 2) + b",77"
    lines = [within, within + b"45", b"\xc3" * (limit - 3) + b",9" + b"77", beyond, b"z" * limit + b",77"]
    path = write_csv(tmp_path / "t.csv", lines, header=b"a,x")
    of = plan(Query.SUM, Bounds(0, 2.0**20), Decimal(1))
    assert exact(spark, path, of) == {"count": 3, "sum": int((123 + 123 + 97) / of.grid.step)}
    texts = [b" " * (limit - 3) + b"123", b" " * (limit - 3) + b"12345", b" " * limit + b"77", b"77"]
    text = pa.Array.from_buffers(pa.string(), len(texts), pa.array(texts, pa.binary()).buffers())
    pq.write_table(pa.table({"x": text}), tmp_path / "t.parquet")
    found = exact(spark, tmp_path / "t.parquet", of, format_="parquet")
    assert found == {"count": 3, "sum": int((123 + 123 + 77) / of.grid.step)}


def test_a_line_that_is_blank_as_far_as_it_is_read_is_no_row(spark, tmp_path: Path) -> None:
    lines = [b" " * prepare.MAX_LINE + b"1,2", b" " * (prepare.MAX_LINE - 1) + b"1,2", b"\xa0,1", "\u2003".encode()]
    assert exact(spark, write_csv(tmp_path / "t.csv", lines), COUNT, None)["count"] == 3
