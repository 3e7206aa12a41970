"""A row, whatever it holds, moves every measurement by at most its sensitivity and never fails the job."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpjobs.measurement import plan
from dpjobs.query import Bounds, Query
from library.tables import HOSTILE_CELLS, HOSTILE_LINES, exact, write_csv

pytestmark = pytest.mark.slow
VARIANCE = plan(Query.VARIANCE, Bounds(-10, 10), Decimal(1))
COUNT_ROWS = plan(Query.COUNT, None, Decimal(1))


def moved_too_far(before: dict[str, int], after: dict[str, int], of=VARIANCE, rows: int = 1) -> list[str]:
    """The measurements that moved further than `rows` rows may move them."""
    return [m.name for m in of.measurements if abs(after[m.name] - before[m.name]) > rows * m.sensitivity]


BASE = [b"r,%d,z" % value for value in range(-5, 6)]


PLACES = [(line, 5) for line in HOSTILE_LINES] + [(line, at) for line in HOSTILE_LINES[:3] for at in (0, 11)]


@pytest.mark.parametrize(("line", "place"), PLACES, ids=lambda value: repr(value)[:14])
def test_a_hostile_line_moves_nothing_too_far(spark, tmp_path: Path, line: bytes, place: int) -> None:
    clean = exact(spark, write_csv(tmp_path / "clean.csv", BASE), VARIANCE)
    lines = [*BASE[:place], line, *BASE[place:]]
    path = write_csv(tmp_path / "hostile.csv", lines)
    after = exact(spark, path, VARIANCE)
    extra = line.count(b"\n")
    assert not moved_too_far(clean, after, rows=1 + extra)
    rows = exact(spark, path, COUNT_ROWS, column=None)["count"]
    assert len(BASE) <= rows <= len(BASE) + 1


def test_hostile_cells_are_nothing_or_one_clamped_value(spark, tmp_path: Path) -> None:
    """All cells in one table: each adds at most one row, and neighbours keep their values."""
    as_is = [f"r,{cell},z".encode() for cell in HOSTILE_CELLS]
    path = write_csv(tmp_path / "cells.csv", [*BASE, *as_is, *BASE])
    of = plan(Query.MEAN, Bounds(-10, 10), Decimal(1))
    found = exact(spark, path, of)
    # the numbers among them: inf, +Infinity, 1e308, 1e999, 9…9 (upper); -inf, -1e308, -9…9 (lower);
    # " 7 ", "1,5" is 1, "5\r" is 5, "-0.0", "4.9e-324" are 0, 2^63 and 2^64 (upper)
    assert found["count"] == 2 * len(BASE) + 5 + 3 + 3 + 2 + 2
    expected = 5 * 10 - 3 * 10 + 7 + 1 + 5 + 2 * 10
    assert found["sum"] * float(of.grid.step) == expected


def test_parquet_cells(spark, tmp_path: Path) -> None:
    values = [1.0, 2.0, None, float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324]
    frame = spark.createDataFrame([(v,) for v in values], "x double").coalesce(1)
    frame.write.parquet(str(tmp_path / "t.parquet"))
    of = plan(Query.MEAN, Bounds(-10, 10), Decimal(1))
    found = exact(spark, tmp_path / "t.parquet", of, format_="parquet")
    assert found == {"count": 7, "sum": int(3 / of.grid.step)}


@pytest.mark.parametrize("type_", ["byte", "short", "int", "bigint", "decimal(38,10)", "float", "double", "string"])
def test_parquet_types(spark, tmp_path: Path, type_: str) -> None:
    frame = spark.range(11).selectExpr(f"cast(id as {type_}) as `odd.name ``x`")
    frame.write.parquet(str(tmp_path / "t.parquet"))
    found = exact(spark, tmp_path / "t.parquet", VARIANCE, column="odd.name `x", format_="parquet")
    squares = VARIANCE.squares
    assert found["count"] == 11
    assert found["sum"] * VARIANCE.grid.step == 55
    measured = found["sum_of_squares"] * float(VARIANCE.measurement("sum_of_squares").step)
    assert measured == pytest.approx(385 - 11 * squares.centre * VARIANCE.grid.step**2, abs=1e-3)


def test_count_of_a_column_counts_what_is_not_empty(spark, tmp_path: Path) -> None:
    lines = [b"1,,a", b'2,"",b', b"3,text,c", b"4,NaN,d", b"5, ,e", b"6", b"7,8,\r"]
    path = write_csv(tmp_path / "t.csv", lines)
    assert exact(spark, path, COUNT_ROWS, column="x")["count"] == 4
    assert exact(spark, path, COUNT_ROWS, column="c")["count"] == 5
    assert exact(spark, path, COUNT_ROWS, column=None)["count"] == 7


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


def test_only_the_needed_column_is_parsed(spark, tmp_path: Path) -> None:
    """The plan that Spark runs reads one field of the CSV, and there is no job that guesses types."""
    from dpjobs import prepare
    from library.tables import source_of

    path = write_csv(tmp_path / "t.csv", BASE)
    frame = prepare.prepare(prepare.read(spark, source_of(path), "x"), VARIANCE)
    plan_text = frame._jdf.queryExecution().executedPlan().toString()
    assert "ReadSchema: struct<c1:string>" in plan_text


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
