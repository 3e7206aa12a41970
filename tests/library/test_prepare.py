"""A row, whatever it holds, moves every measurement by at most its sensitivity and never fails the job."""

import csv
import gzip
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpjobs.backends.spark import rows as prepare
from dpjobs.errors import InputError
from dpjobs.query import Bounds, Query
from dpjobs.statistics.separate import squares_of
from library.plans import separate as plan
from library.tables import HOSTILE_CELLS, HOSTILE_LINES, exact, source_of, write_csv

pytestmark = pytest.mark.slow
VARIANCE = plan(Query.VARIANCE, Bounds(-10, 10), Decimal(1))
COUNT_ROWS = plan(Query.COUNT, None, Decimal(1))


def moved_too_far(before: dict[str, int], after: dict[str, int], of=VARIANCE) -> list[str]:
    """The measurements that moved further than one row may move them."""
    return [m.name for m in of.cells if abs(after[m.name] - before[m.name]) > m.sensitivity]


BASE = [b"r,%d,z" % value for value in range(-5, 6)]


PLACES = [(line, 5) for line in HOSTILE_LINES] + [(line, at) for line in HOSTILE_LINES[:3] for at in (0, 11)]


@pytest.mark.parametrize(("line", "place"), PLACES, ids=lambda value: repr(value)[:14])
def test_a_hostile_line_moves_nothing_too_far(spark, tmp_path: Path, line: bytes, place: int) -> None:
    clean = exact(spark, write_csv(tmp_path / "clean.csv", BASE), VARIANCE)
    lines = [*BASE[:place], line, *BASE[place:]]
    path = write_csv(tmp_path / "hostile.csv", lines)
    after = exact(spark, path, VARIANCE)
    assert not moved_too_far(clean, after)
    rows = exact(spark, path, COUNT_ROWS, column=None)["count"]
    assert len(BASE) <= rows <= len(BASE) + 1


def test_hostile_cells_are_nothing_or_one_clamped_value(spark, tmp_path: Path) -> None:
    """All cells in one table: each adds at most one row, and neighbours keep their values."""
    as_is = [f"r,{cell},z".encode() for cell in HOSTILE_CELLS]
    path = write_csv(tmp_path / "cells.csv", [*BASE, *as_is, *BASE])
    of = plan(Query.MEAN, Bounds(-10, 10), Decimal(1))
    found = exact(spark, path, of)
    # the numbers among them: inf, +Infinity, 1e308, 1e999, 9…9 (upper); -inf, -1e308, -9…9 (lower);
    # " 7 ", "5\r" is 5, "-0.0", "4.9e-324" are 0, 2^63 and 2^64 (upper); "true", "TRUE" are 1,
    # " False " is 0
    assert (
        found["count"] == 2 * len(BASE) + 5 + 3 + 2 + 2 + 2 + 3
    )  # the line of "1,5" has a cell more than the header
    expected = 5 * 10 - 3 * 10 + 7 + 5 + 2 * 10 + 2
    assert found["sum"] * float(of.grid.step) == expected


def test_an_integer_that_doubles_round_beyond_its_bounds_is_clamped_again(spark, tmp_path: Path) -> None:
    """x − middle loses a bit here, so that its quotient lies on a half; the noise is for a step less than that."""
    of = plan(Query.MEAN, Bounds(float.fromhex("-0x1.b2cffffffffffp-13"), 1), Decimal(1))
    lowest = of.grid.bounds.lower
    assert round((lowest - of.grid.origin) / of.grid.step) == of.grid.lower - 1
    found = exact(spark, write_csv(tmp_path / "t.csv", [f"1,{lowest!r},3".encode()]), of)
    assert found == {"count": 1, "sum": of.grid.lower}
    assert not moved_too_far({"count": 0, "sum": 0}, found, of)


def test_squares_are_rounded_to_the_nearest_as_the_plan_says(spark, tmp_path: Path) -> None:
    """Cut instead, each would be half a step too small, and the interval holds no more than half of one."""
    of = plan(Query.VARIANCE, Bounds(0, 1000), Decimal(1))
    grid, (centre, shift) = of.grid, squares_of(of.grid)
    cells = [0.1, 17.3, 33.3, 250.7, 333.3, 499.9, 501.1, 777.7, 990.9]  # of whole numbers squares lose nothing
    integers = [round((cell - grid.origin) / grid.step) for cell in cells]
    halves = [Fraction(k * k - centre, 2**shift) + Fraction(1, 2) for k in integers]
    found = exact(spark, write_csv(tmp_path / "t.csv", [f"1,{cell},3".encode() for cell in cells]), of)
    assert found["sum_of_squares"] == sum(map(math.floor, halves))
    assert found["sum_of_squares"] != sum(math.floor(half - Fraction(1, 2)) for half in halves)


def test_parquet_cells(spark, tmp_path: Path) -> None:
    values = [1.0, 2.0, None, float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324]
    frame = spark.createDataFrame([(v,) for v in values], "x double").coalesce(1)
    frame.write.parquet(str(tmp_path / "t.parquet"))
    of = plan(Query.MEAN, Bounds(-10, 10), Decimal(1))
    found = exact(spark, tmp_path / "t.parquet", of, format_="parquet")
    assert found == {"count": 7, "sum": int(3 / of.grid.step)}


@pytest.mark.parametrize(
    "type_", ["byte", "int", "bigint", "decimal(9,1)", "decimal(38,10)", "float", "double", "string"]
)
def test_parquet_types(spark, tmp_path: Path, type_: str) -> None:
    frame = spark.range(11).selectExpr(f"cast(id as {type_}) as `odd.name ``x`")
    frame.write.parquet(str(tmp_path / "t.parquet"))
    found = exact(spark, tmp_path / "t.parquet", VARIANCE, column="odd.name `x", format_="parquet")
    centre, _ = squares_of(VARIANCE.grid)
    assert found["count"] == 11
    assert found["sum"] * VARIANCE.grid.step == 55
    measured = found["sum_of_squares"] * float(VARIANCE.cell("sum_of_squares").step)
    assert measured == pytest.approx(385 - 11 * centre * VARIANCE.grid.step**2, abs=1e-3)


def test_count_of_a_column_counts_what_is_not_empty(spark, tmp_path: Path) -> None:
    lines = [b"1,,a", b'2,"",b', b"3,text,c", b"4,NaN,d", b"5, ,e", b"6", b"7,8,\r"]
    path = write_csv(tmp_path / "t.csv", lines)
    assert exact(spark, path, COUNT_ROWS, column="x")["count"] == 4
    assert exact(spark, path, COUNT_ROWS, column="c")["count"] == 5
    assert exact(spark, path, COUNT_ROWS, column=None)["count"] == 7


def test_a_mean_of_truths_is_a_share(spark, tmp_path: Path) -> None:
    """In a CSV as pandas, Excel and SQL write them; in Parquet see test_parquet.py."""
    lines = [
        b"1,True,3",
        b"2,FALSE,3",
        b'3,"true",3',
        b"4,false ,3",
        b"5,,3",
        b"6,yes,3",
        b"7,truefalse,3",
        b"8,+true,3",
    ]
    of = plan(Query.MEAN, Bounds(0, 1), Decimal(1))
    found = exact(spark, write_csv(tmp_path / "t.csv", lines), of)
    assert found == {"count": 4, "sum": 0}  # two above the middle, two below


def test_windows_line_ends_quotes_and_commas(spark, tmp_path: Path) -> None:
    lines = [b'1,"5",z\r', b'"a,b","6","q""uoted"\r', b'3,7,"4"\r']
    path = write_csv(tmp_path / "t.csv", lines, header=b'\xef\xbb\xbf"a","x",c\r')
    of = plan(Query.SUM, Bounds(0, 16), Decimal(1))
    assert exact(spark, path, of)["sum"] * of.grid.step == 18
    assert exact(spark, path, of, column="c")["sum"] * of.grid.step == 4


def test_folders_gzip_blank_lines_and_odd_names(spark, tmp_path: Path) -> None:
    folder = tmp_path / "da ta [1] {x}*?%20ü"
    folder.mkdir()
    write_csv(folder / "b[1].csv", [b"1,2,3", b"", b"   ", b"1,2,3"])
    (folder / "c.csv.gz").write_bytes(gzip.compress(b"\n\na,x,c\n1,2,3\n"))
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / ".hidden.csv").write_bytes(b"9,9,9\n")
    (folder / "empty.csv").write_bytes(b"")
    assert exact(spark, folder, COUNT_ROWS, column=None)["count"] == 3
    of = plan(Query.SUM, Bounds(0, 16), Decimal(1))
    assert exact(spark, folder, of)["sum"] * of.grid.step == 6


def test_only_the_needed_column_is_parsed_and_once(spark, tmp_path: Path) -> None:
    """One pattern finds the cell in a line; Spark must not copy it into the filter and into every use."""
    path = write_csv(tmp_path / "t.csv", BASE)
    frame = prepare.cells(prepare.read(spark, source_of(path), "x"), VARIANCE)
    physical = frame._jdf.queryExecution().executedPlan().toString()
    assert "FileScan text" in physical
    assert physical.count("regexp_extract(") == 2  # the cell of the line, and the number of the cell


def test_long_lines_across_splits_move_nothing_too_far(spark, tmp_path: Path) -> None:
    """One row more shifts every later line against the splits; the end of a long line must never become a row."""
    long = [b"9," * (3 * 2**20 // 2)] * 6
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    try:
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(2**20))
        fewer = exact(spark, write_csv(tmp_path / "a.csv", long), COUNT_ROWS, column=None)
        path = write_csv(tmp_path / "b.csv", [b"1,5," + b"x" * 1_000_000, *long])
        more, numbers = exact(spark, path, COUNT_ROWS, column=None), exact(spark, path, VARIANCE)
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before)
    assert (fewer["count"], more["count"], numbers["count"]) == (6, 7, 1)


def test_patterns_take_linear_time(spark, tmp_path: Path) -> None:
    """Lines made to send a careless pattern back and forth for hours, or through Java's stack."""
    lines = [
        b'"a",' * 200_000, b'"' * 10**6, b'"a"' * 300_000, b"1," + b"9" * 10**6 + b"x", b"1," + b" " * 10**6 + b"x",
        b"1," + b"1." * 500_000, b'1,"' + b'""' * 500_000, b'1,"' + b'""' * 500_000 + b'"',
        b"1,1e" + b"1" * 10**6 + b",3",
    ]  # fmt: skip
    found = exact(spark, write_csv(tmp_path / "t.csv", [*BASE, *lines, *BASE], header=b"a,b,c,d,e,x"), VARIANCE)
    assert found["count"] == 0
    found = exact(spark, write_csv(tmp_path / "t.csv", [*BASE, *lines, *BASE]), VARIANCE)
    assert found["count"] == 2 * len(BASE) + 1  # 1e111…1 is infinite


def test_a_compressed_file_by_another_name_is_refused(tmp_path: Path) -> None:
    """Hadoop knows .gz in small letters only: it would count the lines of the compressed bytes."""
    for name in ("t.csv.GZ", "t.csv.Bz2", "t.csv.zst"):
        (tmp_path / name).write_bytes(gzip.compress(b"a,x,c\n1,2,3\n"))
        with pytest.raises(InputError, match="unknown compression"):
            source_of(tmp_path / name)
    (tmp_path / "plain.csv").write_bytes(gzip.compress(b"a,x,c\n1,2,3\n"))
    with pytest.raises(InputError, match="not readable"):
        source_of(tmp_path / "plain.csv")


def test_csv_cells_as_pythons_reader_sees_them(spark, tmp_path: Path) -> None:
    """Our pattern against the standard library's parser, on cells with commas, quotes and spaces."""
    values = ["1", "2.5", " 3 ", "a,b", 'q"uo"te', "", ",", '"', "4", '5"', "'6'", "1,500", "7 8"]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["a", "x", "c"])
        for i, value in enumerate(values):
            writer.writerow([values[i - 1], value, values[i - 2]])
    with (tmp_path / "t.csv").open(newline="") as file:
        expected = [row["x"] for row in csv.DictReader(file)]
    cells = prepare.read(spark, source_of(tmp_path / "t.csv"), "x").collect()
    assert [row.cell.replace('""', '"') for row in cells] == expected == values


cells = st.one_of(
    st.sampled_from(HOSTILE_CELLS),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.text(max_size=30).map(lambda t: t.replace("\n", "")),
)
rows = st.builds(lambda a, b, c: f"{a},{b},{c}".encode("utf-8", "replace"), cells, cells, cells)
raw = st.binary(max_size=60).map(lambda b: b.replace(b"\n", b""))
bounds = st.tuples(
    st.floats(-(2.0**100), 2.0**100, allow_nan=False), st.floats(-(2.0**100), 2.0**100, allow_nan=False)
).map(lambda pair: Bounds(min(pair), max(pair)))
near = st.builds(lambda low, width: Bounds(low, low + width), st.integers(-(10**13), 10**13), st.integers(0, 3))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(st.one_of(rows, raw), min_size=1, max_size=12), st.one_of(bounds, near), st.sampled_from(Query))
def test_one_row_more_moves_each_measurement_by_at_most_its_sensitivity(
    spark, tmp_path_factory, lines: list[bytes], limits: Bounds, query: Query
) -> None:
    """Neighbouring tables: every row of a hostile table, taken out in turn, through Spark in one job."""
    of = plan(query, None if query is Query.COUNT else limits, Decimal(1))
    folder = tmp_path_factory.mktemp("pair")
    whole = exact(spark, write_csv(folder / "whole.csv", lines), of)
    for i in {0, len(lines) // 2, len(lines) - 1}:
        fewer = exact(spark, write_csv(folder / f"without{i}.csv", lines[:i] + lines[i + 1 :]), of)
        assert not moved_too_far(fewer, whole, of)
