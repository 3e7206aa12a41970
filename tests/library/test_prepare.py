"""What Spark makes of a row beyond what the contract of backends asks of it, against numbers made by hand."""

import csv
import gzip
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from dpjobs.backends.spark import rows as prepare
from dpjobs.errors import InputError
from dpjobs.query import Bounds, Query
from dpjobs.statistics.separate import squares_of
from library.backends import reference
from library.plans import separate as plan
from library.tables import HOSTILE_CELLS, exact, source_of, write_csv

pytestmark = pytest.mark.slow
VARIANCE = plan(Query.VARIANCE, Bounds(-10, 10), Decimal(1))
COUNT_ROWS = plan(Query.COUNT, None, Decimal(1))


def moved_too_far(before: dict[str, int], after: dict[str, int], of=VARIANCE) -> list[str]:
    """The measurements that moved further than one row may move them."""
    return [m.name for m in of.cells if abs(after[m.name] - before[m.name]) > m.sensitivity]


BASE = [b"r,%d,z" % value for value in range(-5, 6)]


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
    lowest = float.fromhex("-0x1.b2cffffffffffp-13")
    for of in (plan(Query.MEAN, bounds, Decimal(1)) for bounds in (Bounds(lowest, 1), Bounds(-1, -lowest))):
        assert not of.grid.is_plain
        near = lowest if of.grid.bounds.lower == lowest else -lowest
        for value in (near, math.nextafter(near, -1), math.nextafter(near, 1)):
            found = exact(spark, write_csv(tmp_path / "t.csv", [f"1,{value!r},3".encode()]), of)
            assert found == {"count": 1, "sum": reference.steps(value, of.grid)}, value.hex()
            assert not moved_too_far({"count": 0, "sum": 0}, found, of)


def test_a_half_goes_to_the_even_step(spark, tmp_path: Path) -> None:
    """As on DuckDB: else a table has other totals on a laptop than on a cluster."""
    of = plan(Query.SUM, Bounds(-1000, 1000), Decimal(1))
    cells = [(k + 0.5) * of.grid.step for k in (-3, 0, 1, 2, 4)]  # no other way of rounding has this sum
    found = exact(spark, write_csv(tmp_path / "t.csv", [f"1,{cell!r},3".encode() for cell in cells]), of)
    assert found["sum"] == -2 + 0 + 2 + 2 + 4


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
