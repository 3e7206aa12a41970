"""DuckDB's own: the fast way gives what the slow one does; memory, signals, and what it may touch."""

import contextlib
import gzip
import math
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpcloud.targets import backends_of
from dpjobs.answers import plan_for
from dpjobs.backends.duckdb import DuckDBBackend, arrays, footer, lines, parquet, sql, thrift, totals
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.left_out import with_checks
from dpjobs.plan import Grid, Plan
from dpjobs.query import Bounds, Query
from dpjobs.source import LocalFiles
from library.backends import contract, reference
from library.tables import source_of, write_csv

_bounds = st.one_of(
    st.tuples(st.floats(-(2.0**100), 2.0**100), st.floats(-(2.0**100), 2.0**100)).map(sorted),
    st.builds(lambda low, width: [low, low + width], st.integers(-(10**13), 10**13), st.integers(0, 3)),
    st.builds(lambda low, width: [low, low + width], st.integers(-1000, 1000), st.integers(1, 20_000)),
    st.builds(lambda low, width: [low, low + width], st.floats(-1, 1), st.floats(0, 2.0**-20)),
).map(lambda pair: Bounds(*pair))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def fast(connection: duckdb.DuckDBPyConnection, values: list[float], plan: Plan, most: int) -> list[int] | None:
    connection.register("t", pa.table({"x": pa.array(values, pa.float64())}))
    found = totals._fast(connection, totals.Query("select x from t", totals.NUMBER, most), plan)
    return None if found is None else [found.total(cell) for cell in plan.live]


@settings(max_examples=400, derandomize=True)
@given(
    _bounds,
    st.lists(st.one_of(st.floats(-3, 3), st.integers(-4, 4).map(lambda n: n / 2)), min_size=1, max_size=40),
    st.sampled_from([Query.SUM, Query.MEAN, Query.VARIANCE]),
    st.sampled_from(["pipelinedp", "tumult"]),
    st.sampled_from([100, 10**10]),
)
def test_sums_in_doubles_are_those_in_whole_numbers(
    connection: duckdb.DuckDBPyConnection, bounds: Bounds, places: list[float], query: Query, engine: str, most: int
) -> None:
    """At and about the bounds, halfway between two steps, and an ulp to either side."""
    plan = with_checks(plan_for(engine, query, "x", bounds, Epsilon(1)), Epsilon(1), Epsilon(1), has_lines=False)
    assert plan.grid is not None
    if not plan.live:
        return
    step, width = plan.grid.step, bounds.upper - bounds.lower
    values = [bounds.lower + place * width for place in places]
    values += [plan.grid.origin + (plan.grid.lower + round(8 * place) + 0.5) * step for place in places]
    values += [math.nextafter(value, side) for value in values for side in (-math.inf, math.inf)]
    found = fast(connection, values, plan, most)
    if sql.is_fast(plan.grid):
        assert found == reference.of_numbers(list(values), plan)
    else:
        assert found is None


@pytest.mark.parametrize("far", [math.inf, -math.inf, math.nan, 1e300, -1e300, 2.0**60, 2.0**51 * 2**-9, -(2.0**63)])
def test_what_lies_far_off_takes_the_slow_way(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, far: float
) -> None:
    for query in (Query.MEAN, Query.VARIANCE):
        plan = plan_for("pipelinedp", query, "x", Bounds(0, 20_000), Epsilon(1))
        assert fast(connection, [1.0, 2.0], plan, 2) == reference.of_numbers([1.0, 2.0], plan)
        assert fast(connection, [1.0, 2.0, far], plan, 3) is None
        pq.write_table(pa.table({"x": [1.0, 2.0, far, None]}), tmp_path / "t.parquet")
        with DuckDBBackend.open() as backend:
            found = backend.totals(source_of(tmp_path / "t.parquet", "parquet"), plan)
        assert found == reference.of_numbers([1.0, 2.0, far], plan)


@pytest.mark.parametrize(
    ("bounds", "ends"), [(Bounds(0, 4), (0, 8)), (Bounds(0, 4), (-8, 4)), (Bounds(4, 4), (4, 8))]
)
def test_steps_beyond_those_of_a_bound_take_the_slow_way(bounds: Bounds, ends: tuple[int, int]) -> None:
    """The fast way clamps steps alone: there a number beyond the bound would give more than one at it."""
    grid = Grid(bounds, 0.0, 1.0, *ends)
    assert grid.is_plain
    assert grid.ends == (bounds.lower, bounds.upper)
    assert not sql.is_fast(grid)
    assert sql.is_fast(Grid(Bounds(0, 4), 0.0, 1.0, 0, 4))


def test_sums_of_many_rows_are_whole_numbers(connection: duckdb.DuckDBPyConnection) -> None:
    """Of 2^27 values of 26 bits the sum is an exact double, in any order; of more it need not be."""
    plan = plan_for("tumult", Query.VARIANCE, "x", Bounds(0, 20_000), Epsilon(1))
    assert 2**26 * totals.EXACT_ROWS <= 2**53
    connection.register("many", pa.table({"x": [20_000.0] * 3}))
    asked: list[str] = []

    class Asked:
        def execute(self, query: str) -> duckdb.DuckDBPyConnection:
            asked.append(query)
            return connection.execute(query)

    for rows in (totals.EXACT_ROWS, totals.EXACT_ROWS + 1):
        assert totals._fast(Asked(), totals.Query("select x from many", totals.NUMBER, rows), plan)
    assert ["as bigint) as" in query or "sum(cast(" in query for query in asked] == [False, True]


def test_files_of_many_rows_are_added_up_group_by_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i, values in enumerate([[1.0, 2.0], [4.0], [math.inf, 8.0, None], [], [16.0]]):
        pq.write_table(pa.table({"x": pa.array(values, pa.float64())}), tmp_path / f"{i}.parquet")
    table = source_of(tmp_path, "parquet")
    seen: list[list[str]] = []
    told: list[int | None] = []
    scan, counted = parquet.scan, totals.counted

    def noting(paths: Sequence[str], column: str) -> str:
        seen.append([Path(path).stem for path in paths])
        return scan(paths, column)

    def telling(connection: duckdb.DuckDBPyConnection, rows: totals.Query, plan: Plan) -> list[int]:
        told.append(rows.most)
        return counted(connection, rows, plan)

    monkeypatch.setattr(parquet, "scan", noting)
    monkeypatch.setattr("dpjobs.backends.duckdb.backend.counted", telling)
    for rows, groups in ((10, ["01234"]), (3, ["01", "23", "4"]), (1, ["0", "1", "2", "34"])):
        monkeypatch.setattr("dpjobs.backends.duckdb.backend.EXACT_ROWS", rows)
        seen.clear()
        told.clear()
        with DuckDBBackend.open() as backend:
            plan = plan_for("pipelinedp", Query.VARIANCE, "x", Bounds(0, 32), Epsilon(1))
            expected = reference.of_numbers([1.0, 2.0, 4.0, math.inf, 8.0, 16.0], plan)
            assert backend.totals(table, plan) == expected
        assert ["".join(group) for group in seen] == groups
        # by which a file of more rows than doubles add up exactly is added up in whole numbers
        assert told == [sum((2, 1, 3, 0, 1)[int(file)] for file in group) for group in groups]


def test_a_file_whose_name_duckdb_reads_as_a_pattern_counts_once(tmp_path: Path) -> None:
    for name, value in (("*", 1.0), ("b", 2.0), ("?", 4.0), ("[b]", 8.0)):
        pq.write_table(pa.table({"x": [value]}), tmp_path / f"{name}.parquet")
    with DuckDBBackend.open() as backend:
        assert contract.total(backend, source_of(tmp_path, "parquet")) == 15


def test_an_integer_that_doubles_round_beyond_its_bounds_is_clamped_again(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """x − middle loses a bit here, so that its quotient lies on a half; the noise is for a step less than that."""
    lowest = float.fromhex("-0x1.b2cffffffffffp-13")
    for bounds in (Bounds(lowest, 1), Bounds(-1, -lowest)):
        plan = plan_for("tumult", Query.MEAN, "x", bounds, Epsilon(1))
        assert plan.grid is not None
        assert not sql.is_fast(plan.grid)
        values = [bound for bound in (bounds.lower, bounds.upper) if abs(bound) < 1]
        values += [math.nextafter(value, side) for value in values for side in (-1.0, 1.0)]
        connection.register("t", pa.table({"x": values}))
        for value, k in connection.table("t").project(f"x, {sql.steps('x', plan.grid)}").fetchall():
            assert k == reference.steps(value, plan.grid), value.hex()


def test_nan_that_statistics_do_not_know_of(tmp_path: Path) -> None:
    """Writers leave NaN out of a column's least and largest value; a reader that believes these finds none."""
    values = [1.0] * 5000 + [math.nan] * 3
    pq.write_table(pa.table({"x": values}), tmp_path / "t.parquet")
    assert pq.read_metadata(tmp_path / "t.parquet").row_group(0).column(0).statistics.max == 1.0
    plan = plan_for("pipelinedp", Query.MEAN, "x", Bounds(0, 2), Epsilon(1))
    with DuckDBBackend.open() as backend:
        found = backend.totals(source_of(tmp_path / "t.parquet", "parquet"), plan)
    assert found == reference.of_numbers(list(values), plan)


def test_a_footer_is_kept_but_for_its_annotations(tmp_path: Path) -> None:
    columns = {f"c{i}": pa.array([i], pa.int8()) for i in range(40)}
    columns |= {
        "s": pa.array([{"a": 1, "l": [1, 2]}]),
        "l": pa.array([["x"]]),
        "c": pa.array(["x"]).dictionary_encode(),
    }
    columns |= {"d": pa.array([Decimal("1.25")]), "t": pa.array([1], pa.timestamp("ms")), "n": pa.nulls(1)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    path, before = str(tmp_path / "t.parquet"), pq.read_metadata(tmp_path / "t.parquet")
    for column in ("c0", "c39", "c", "d", "t", "n"):
        found = footer.read(path, LocalFiles(), column).metadata
        assert (found.num_rows, found.num_columns) == (before.num_rows, before.num_columns)
        leaves = [found.schema.column(i) for i in range(len(found.schema))]
        assert {leaf.logical_type.type for leaf in leaves} == {"NONE"}
        [place] = [i for i, leaf in enumerate(leaves) if leaf.path == "cell"]
        assert before.schema.column(place).path == column
        assert leaves[place].physical_type == before.schema.column(place).physical_type
        for i in range(before.num_columns):
            assert found.row_group(0).column(i).data_page_offset == before.row_group(0).column(i).data_page_offset


@pytest.mark.parametrize("start", [0, 1, 3, 8, 9])
def test_a_part_of_an_array_is_read_as_it_is_in_the_whole(start: int) -> None:
    """Its buffers are those of the whole: what lies before a part is other rows' values."""
    some = [b"abc", None, b"\xffbb", None, b"123", b"ccc", b"\x80zz", None, b"ddd", b"eee"] * 3
    numbers = [1, None, 2**31 + 7, 4, None, 6, 7, 8, 9, 2**32 - 1] * 3
    for read, cells in (
        (arrays.texts, pa.array(some, pa.binary())),
        (arrays.halves, pa.array(some, pa.binary())),
        (arrays.halves, pa.array(some, pa.binary(3))),
        (arrays.whole, pa.array(some, pa.binary(3))),
        (arrays.presence, pa.array(some, pa.binary())),
        (arrays.unsigned, pa.array(numbers, pa.int64())),
        (lambda part: arrays.widened(part, pa.int64()), pa.array(numbers, pa.uint32()).view(pa.int32())),
    ):
        whole, part = (found if isinstance(found, list) else [found] for found in (read(cells), read(cells[start:])))
        assert [each.slice(start).to_pylist() for each in whole] == [each.to_pylist() for each in part]


@pytest.mark.parametrize("size", [0, 1, 14, 15, 16, 127, 128, 300])
def test_a_list_of_any_length_is_read_as_it_is_written(size: int) -> None:
    """A schema of fifteen elements, a table of fourteen columns, is the first whose length stands by itself."""
    columns = [thrift.struct([thrift.Field(4, 8, thrift.text(b"%d" % i))]) for i in range(size)]
    read = list(thrift.Reader(thrift.structs(columns)).structs())
    assert [thrift.struct(fields) for fields in read] == columns


def test_a_footer_is_as_long_as_it_says(tmp_path: Path) -> None:
    """Longer than what is read of a file's end at first."""
    for groups, longer in ((1, False), (1500, True)):
        pq.write_table(pa.table({"x": [1] * groups}), tmp_path / "t.parquet", row_group_size=1)
        assert (pq.read_metadata(tmp_path / "t.parquet").serialized_size > footer._GUESS) == longer
        source = source_of(tmp_path / "t.parquet", "parquet")
        with DuckDBBackend.open() as backend:
            assert (contract.total(backend, source), contract.count(backend, source)) == (groups, groups)


@pytest.mark.parametrize("memory", ["", "lots", "2", "-2GB", "1e3GB", "10MB", "0GB", "2GB 3", "２GB"])
def test_memory_that_is_no_size(memory: str) -> None:
    with pytest.raises(InputError, match="memory is no size, or too little"), DuckDBBackend.open(memory):
        pass


@pytest.mark.parametrize(
    ("memory", "size"), [("2GB", "1.8 GiB"), ("2g", "1.8 GiB"), ("512 MiB", "512.0 MiB"), (None, "")]
)
def test_what_a_connection_may_do(memory: str | None, size: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [b"1,2,3"])
    with DuckDBBackend.open(memory) as backend:
        for connection in (backend._batches, backend._connection([str(path)])):
            said = dict(connection.execute("select name, value from duckdb_settings()").fetchall())
            assert said["memory_limit"].startswith(size)
            assert said["temp_directory"] == str(backend._private)
            assert (said["enable_external_access"], said["lock_configuration"]) == ("false", "true")
            for name in ("autoload_known_extensions", "autoinstall_known_extensions", "allow_persistent_secrets"):
                assert said[name] == "false"
            with pytest.raises(duckdb.Error):
                connection.execute("set enable_external_access = true")
            with pytest.raises(duckdb.Error):
                connection.execute("select * from read_text('/etc/hostname')")


def test_the_command_hands_on_what_memory_it_may_use() -> None:
    with backends_of("laptop", "512MiB")["duckdb"](None) as backend:
        [(said,)] = backend._connection(()).execute("select current_setting('memory_limit')").fetchall()
        assert said == "512.0 MiB"


def test_the_private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with contextlib.suppress(KeyError), DuckDBBackend.open() as backend:
        assert backend._private.parent == tmp_path
        assert backend._private.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_value_is_refused_before_the_charge(tmp_path: Path) -> None:
    (tmp_path / "year=").mkdir()
    write_csv(tmp_path / "year=" / "t.csv", [b"1,2,3"])
    table = source_of(tmp_path)
    with DuckDBBackend.open() as backend, pytest.raises(InputError, match="a folder without a value"):
        backend.check(table, "x")


def test_a_signal_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to read; and the next question is answered as if nothing had been."""
    table = source_of(write_csv(tmp_path / "t.csv", [b"1,2,3"]))
    plan = plan_for("pipelinedp", Query.SUM, "x", Bounds(0, 16), Epsilon(1))
    much, read = 1000, [0]

    def batches(*_: object) -> Iterator[pa.RecordBatch]:
        for _ in range(much):
            read[0] += 1
            if read[0] == 5:
                os.kill(os.getpid(), signal.SIGINT)
            yield pa.record_batch([["1,2,3\n"] * 100_000, pa.array([2] * 100_000, pa.int32())], ["line", "commas"])

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with DuckDBBackend.open() as backend:
            with monkeypatch.context() as patched:
                patched.setattr(lines, "batches", batches)
                with pytest.raises(KeyboardInterrupt):
                    backend.totals(table, plan)
            assert read[0] < much
            assert contract.total(backend, table) == 2
    finally:
        signal.signal(signal.SIGINT, before)


_INTERRUPTED = """
import sys
from dpjobs.backends.duckdb import DuckDBBackend
class Interrupting:
    def find_spec(self, name, *_):
        if name == "numpy":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
try:
    with DuckDBBackend.open():
        pass
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_while_it_starts_is_one() -> None:
    """It came out as an error of DuckDB's, which missed a numpy whose import had been interrupted."""
    command = [sys.executable, "-c", _INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


_GREEDY = """
import re, sys
from pathlib import Path
from dpjobs.epsilon import Epsilon
from dpcloud.targets import backends_of
from dpjobs.answers import plan_for
from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.query import Bounds, Query
from dpjobs.source import LocalFiles, inspect
with DuckDBBackend.open("256MB") as backend:
    plan = plan_for("pipelinedp", Query.MEAN, "x", Bounds(0, 10), Epsilon(1))
    print(sum(backend.totals(inspect(sys.argv[1], sys.argv[2], LocalFiles()), plan)) // plan.live[0].sensitivity)
    print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "most"), [("a long line", 250), ("long lines", 300), ("a long text", 450), ("texts", 300)]
)
def test_rows_of_any_length_need_little_memory(tmp_path: Path, kind: str, most: int) -> None:
    """A line of 400 MB, 60 lines of 2 MB, a text of 32 MB, 1000 of 1 MB from a small dictionary; `most` in MiB."""
    if "line" in kind:
        path = tmp_path / "t.csv.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(b"a,x\n1,2\n3,4\n5,6\n")
            for _ in range(1 if kind == "a long line" else 60):
                for _ in range(400 if kind == "a long line" else 2):
                    file.write(b'"",' * 333_333)
                file.write(b"\n")
    else:
        path = tmp_path / "t.parquet"
        text = ["z" * 2**25] if kind == "a long text" else ["z" * 2**20] * 1000
        pq.write_table(pa.table({"x": ["1", "2", "3", *text]}), path, dictionary_pagesize_limit=2**22)
    words = [sys.executable, "-c", _GREEDY, str(path), "csv" if "line" in kind else "parquet"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True)
    found, peak = map(int, done.stdout.split())
    assert found == 3
    assert peak < most * 1024, peak  # KiB


def test_a_decimal_is_the_double_nearest_to_it(connection: duckdb.DuckDBPyConnection) -> None:
    """Not the quotient of two that are rounded: Spark reads its digits, and both count the same."""
    for scale in (1, 5, 22, 23, 38):
        for whole in (*range(2**53 - 40, 2**53 + 40), *range(10**18, 10**18 + 10**4, 111), -(2**62) - 513):
            sign = -1 if whole % 2 else 1
            query = f"select {parquet._scaled(f'({sign * whole})::hugeint', scale)}"
            [(found,)] = connection.execute(query).fetchall()
            assert found == float(Fraction(sign * whole, 10**scale)), (whole, scale)


def test_a_double_is_written_exactly(connection: duckdb.DuckDBPyConnection) -> None:
    for text in ("0x1.fffffffffffffp+1023", "0x0.0000000000001p-1022", "-0x1.999999999999ap-4", "inf"):
        value = float.fromhex(text)
        [(found,)] = connection.execute(f"select {sql.double(value)}").fetchall()
        assert struct.pack("d", found) == struct.pack("d", value)


def test_the_footers_of_a_table_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many files each takes milliseconds; another look at the table, or another column, reads them anew."""
    pq.write_table(pa.table({"x": [1], "y": [2]}), tmp_path / "t.parquet")
    asked: list[str] = []
    read = parquet.footers
    monkeypatch.setattr(parquet, "footers", lambda *given: asked.append(given[2]) or read(*given))
    source = source_of(tmp_path / "t.parquet", "parquet")
    with DuckDBBackend.open() as backend:
        backend.check(source, "x")
        assert [contract.total(backend, source), contract.total(backend, source)] == [1, 1]
        assert asked == ["x"]
        assert contract.total(backend, source, "y") == 2
        pq.write_table(pa.table({"x": [5], "y": [2]}), tmp_path / "t.parquet")
        assert contract.total(backend, source_of(tmp_path / "t.parquet", "parquet")) == 5
    assert asked == ["x", "y", "x"]


def test_a_footer_that_cannot_be_taken_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by `check`, before the charge, and in words of our own."""
    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    source = source_of(tmp_path / "t.parquet", "parquet")

    def failing(*_: object) -> None:
        raise ValueError("7654321")

    with DuckDBBackend.open() as backend:
        backend.check(source, "x")
        monkeypatch.setattr(footer, "_stripped", failing)
        source = source_of(tmp_path / "t.parquet", "parquet")
        with pytest.raises(InputError, match="not readable as Parquet") as caught:
            backend.check(source, "x")
    assert "7654321" not in str(caught.value)
