"""What every backend does; each subclasses the suites here. What is right is told by `reference`, or by the test."""

import bz2
import gzip
import itertools
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from dpjobs import bounds
from dpjobs.answers import plan_for
from dpjobs.backends.base import Backend
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.left_out import with_checks
from dpjobs.plan import Plan
from dpjobs.query import Bounds, Query
from dpjobs.source import Source
from library.backends import reference
from library.tables import HOSTILE_CELLS, HOSTILE_LINES, source_of, write_csv

SHARED, SEPARATE = "pipelinedp", "tumult"  # engines of either recipe
BOM = b"\xef\xbb\xbf"
_WIDE = Bounds(0, 2.0**20)


def asked(query: Query, column: str | None, limits: Bounds | None, engine: str = SEPARATE) -> Plan:
    plan = plan_for(engine, query, column, None if query is Query.COUNT else limits, Epsilon(1))
    return with_checks(plan, Epsilon(1), Epsilon(1), has_lines=True)


def count(backend: Backend, source: Source, column: str | None = None) -> int:
    return backend.totals(source, asked(Query.COUNT, column, None))[0]


def total(backend: Backend, source: Source, column: str = "x", limits: Bounds = _WIDE) -> float:
    plan = asked(Query.SUM, column, limits)
    assert plan.grid is not None
    return backend.totals(source, plan)[0] * plan.grid.step


def plans(backend: Backend, column: str, limits: Bounds) -> Iterator[Plan]:
    """All that is asked of a column; of Spark, where each takes a second, one of each kind."""
    asked_ = [asked(query, column, limits, engine) for query in Query for engine in (SHARED, SEPARATE)]
    if backend.name == "spark":
        asked_ = [plan for plan in asked_ if plan.query in (Query.VARIANCE, Query.COUNT)][-2:]
    yield from (plan for plan in [*asked_, bounds.histogram_plan(column, Decimal(1))] if plan.live)


# Rows for property tests: cells near to numbers, broken quotes, broken characters, bytes as they come
_cell = st.one_of(
    st.sampled_from(HOSTILE_CELLS),
    st.floats().map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-999, 999).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: f"{d:f}"),
    st.text(alphabet="0123456789.eE+-infty trueTRUE_dx", max_size=8),
    st.text(max_size=12).map(lambda text: text.replace("\n", "")),
).map(lambda text: text.encode("utf-8", "replace"))
_written = st.builds(
    lambda cell, quoted: b'"' + cell.replace(b'"', b'""') + b'"' if quoted else cell, _cell, st.booleans()
)
_pieces = st.sampled_from(
    [b'"', b'"', b'""', b",", b" ", b"\r", b"a", b"7", b"1.5", b"\x00", b"\xff", b"\xe2\x82", b"\t"]
)
_line = st.one_of(
    st.lists(_written, min_size=1, max_size=6).map(b",".join),
    st.lists(_written, min_size=1, max_size=6).map(b",".join).map(lambda line: line + b"\r"),
    st.lists(_pieces, max_size=16).map(b"".join),
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
    st.sampled_from([b"a,x,c", b"a,x,c\r", BOM + b"a,x,c", b"", b" ", b"\r"]),
)
hostile_lines = st.lists(_line, min_size=1, max_size=80)
limits = st.one_of(
    st.tuples(st.floats(-(2.0**100), 2.0**100), st.floats(-(2.0**100), 2.0**100)).map(
        lambda pair: Bounds(min(pair), max(pair))
    ),
    st.builds(lambda low, width: Bounds(low, low + width), st.integers(-(10**13), 10**13), st.integers(0, 3)),
    st.builds(lambda low, width: Bounds(low, low + width), st.integers(-1000, 1000), st.integers(1, 20_000)),
)


def check_lines(backend: Backend, path: Path, lines: list[bytes], bounds_: Bounds) -> None:
    """Each column of a hostile file, by all plans, gives what the reference says."""
    source = source_of(write_csv(path, lines))
    assert count(backend, source) == reference.of_csv(source, asked(Query.COUNT, None, None))[0]
    for column in source.columns:
        for plan in plans(backend, column, bounds_):
            assert backend.totals(source, plan) == reference.of_csv(source, plan), plan


class CSVContract:
    """What a row of a CSV is."""

    def test_it_says_its_version(self, backend: Backend) -> None:
        assert backend.version.split()[0].lower() == backend.name
        assert backend.version.split()[1][0].isdigit()

    def test_hostile_cells(self, backend: Backend, tmp_path: Path) -> None:
        lines = [f"r,{cell},z".encode() for cell in HOSTILE_CELLS] + [
            f'"{cell}","{cell}"'.encode() for cell in HOSTILE_CELLS
        ]
        check_lines(backend, tmp_path / "t.csv", lines, Bounds(-10, 10))

    def test_hostile_lines(self, backend: Backend, tmp_path: Path) -> None:
        check_lines(backend, tmp_path / "t.csv", [b"r,5,z", *HOSTILE_LINES, b"r,6,z"], Bounds(-10, 10))

    def test_every_short_line(self, backend: Backend, tmp_path: Path) -> None:
        """All lines of up to six quotes, commas, digits and blanks: wherever a quote opens, closes, or never does."""
        lines = [bytes(line) for size in range(7) for line in itertools.product(b'",1 ', repeat=size)]
        source = source_of(write_csv(tmp_path / "t.csv", lines))
        for column in (*source.columns, None):
            plan = asked(Query.COUNT, column, None)
            assert backend.totals(source, plan) == reference.of_csv(source, plan)
            if column is not None:
                plan = asked(Query.VARIANCE, column, Bounds(0, 200))
                assert backend.totals(source, plan) == reference.of_csv(source, plan)

    def test_numbers_are_the_nearest_doubles(self, backend: Backend, tmp_path: Path) -> None:
        """Halfway between two doubles and next to that; more digits than any double has; exponents beyond all."""
        half = "9007199254740993"  # 2^53 + 1
        texts = [half, half + ".0", half + "." + "0" * 900 + "1", "9007199254740992.99999", "4.9e-324", "2.4e-324"]
        texts += [
            "2.4703282292062327e-324",
            "2.4703282292062328e-324",
            "1.7976931348623158e308",
            "1.7976931348623159e308",
        ]
        texts += ["0." + "0" * n + "1e" + str(n + 1) for n in (300, 70_000, 700_000)]
        texts += ["1" + "0" * n + "e-" + str(n) for n in (300, 70_000, 700_000)]
        texts += ["1e99999999999999999999", "0e99999999999999999999", "1e-99999999999999999999", "0" * 900_000 + "7"]
        texts += ["5.", "+.5", "5.e1", ".5E+1", "-Infinity", "+inf", "iNf", "-0"]
        path = write_csv(tmp_path / "t.csv", [b"r,%s,z" % text.encode() for text in texts])
        for limits_ in (
            Bounds(0, 2.0**60),
            Bounds(2.0**53 - 4, 2.0**53 + 4),
            Bounds(0, 1e-3),
            Bounds(-(2.0**100), 2.0**100),
        ):
            for plan in plans(backend, "x", limits_):
                assert backend.totals(source_of(path), plan) == reference.of_csv(source_of(path), plan)

    def test_every_bin_and_its_edges(self, backend: Backend, tmp_path: Path) -> None:
        edges = [2.0**e for e in range(-33, 68)]
        values = [v for e in edges for v in (math.nextafter(e, 0), e, math.nextafter(e, math.inf))]
        texts = [repr(sign * v) for v in [*values, 0.0, 5e-324, 1e308, math.inf] for sign in (1, -1)]
        source = source_of(write_csv(tmp_path / "t.csv", [b"r,%s,z" % text.encode() for text in texts]))
        plan = bounds.histogram_plan("x", Decimal(1))
        found = backend.totals(source, plan)
        assert found == reference.of_csv(source, plan)
        assert sum(found) == len(texts)

    @pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
    def test_the_header_is_no_row_wherever_a_byte_order_mark_stands(
        self, backend: Backend, tmp_path: Path, ending: str
    ) -> None:
        for i, text in enumerate(
            [
                BOM + b"a,x\n1,2\n",
                b"\n" + BOM + b"a,x\n1,2\n",
                b"\n \r\n" + BOM + b"a,x\r\n1,2\r\n",
                BOM + BOM + b"a,x\n1,2\n",
                BOM + b"a,x\n1,2\n" + BOM + b"a,x\na,x\n",
                b"a,x\n1,2",
            ]
        ):
            path = tmp_path / f"t{i}.csv{ending}"
            path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[ending](text))
            assert [count(backend, source_of(path), column) for column in (None, "a", "x")] == [1, 1, 1], text

    @pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
    def test_members(self, backend: Backend, tmp_path: Path, ending: str, compress) -> None:
        path = tmp_path / f"t.csv{ending}"
        path.write_bytes(b"".join(map(compress, [b"a", b",", b"x", b"", b",c\n1,2", b",3\n", b"4,5,6"])))
        assert count(backend, source_of(path)) == 2
        assert total(backend, source_of(path)) == 7

    def test_a_folder_of_odd_names_blank_lines_and_what_is_hidden(self, backend: Backend, tmp_path: Path) -> None:
        folder = tmp_path / "da ta [1] {x}*?%20ü'"
        folder.mkdir()
        write_csv(folder / "b[1].csv", [b"1,2,3", b"", b"   ", b"1,2,3"])
        (folder / "c.csv.gz").write_bytes(gzip.compress(b"\n\na,x,c\n1,2,3\n"))
        (folder / "_SUCCESS").write_bytes(b"")
        (folder / ".hidden.csv").write_bytes(b"9,9,9\n")
        (folder / "empty.csv").write_bytes(b"")
        assert [count(backend, source_of(folder), column) for column in (None, "a", "x")] == [3, 3, 3]
        assert total(backend, source_of(folder)) == 6

    def test_blank_lines_of_one_column_are_no_rows(self, backend: Backend, tmp_path: Path) -> None:
        """They have as many commas as any other line of it."""
        (tmp_path / "t.csv").write_bytes(b"x\n1\n\n   \n\r\n2\n")
        source = source_of(tmp_path / "t.csv")
        assert [count(backend, source, column) for column in (None, "x")] == [2, 2]
        for plan in plans(backend, "x", Bounds(0, 5)):
            assert backend.totals(source, plan) == reference.of_csv(source, plan)

    def test_a_blank_line_is_no_row_of_a_single_column_either(self, backend: Backend, tmp_path: Path) -> None:
        """It has as many commas as any other line there, which is none."""
        for lines in ([b"1", b"", b"banana", b"   ", b"\r", b'""', b"1,2"], [b"", b""]):
            source = source_of(write_csv(tmp_path / "t.csv", lines, header=b"x"))
            for plan in [asked(Query.COUNT, None, None), *plans(backend, "x", Bounds(-3, 5))]:
                assert backend.totals(source, plan) == reference.of_csv(source, plan), plan

    def test_a_header_alone_is_a_table_without_rows(self, backend: Backend, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_bytes(b"a,x")
        source = source_of(tmp_path / "t.csv")
        for plan in [asked(Query.COUNT, None, None), *plans(backend, "x", Bounds(-3, 5))]:
            assert set(backend.totals(source, plan)) == {0}

    def test_names_of_columns_that_sql_knows(self, backend: Backend, tmp_path: Path) -> None:
        header = """"a""b",it's,"select ","`c`",x"""
        path = write_csv(tmp_path / "t.csv", [b"1,2,3,4,5"], header.encode())
        columns = list(source_of(path).columns)
        assert columns == ['a"b', "it's", "select", "`c`", "x"]
        assert [total(backend, source_of(path), column) for column in columns] == [1, 2, 3, 4, 5]

    @pytest.mark.slow
    def test_of_a_long_line_only_its_first_bytes_are_read(self, backend: Backend, tmp_path: Path) -> None:
        """Bytes, not characters; and a cell that begins before the limit is cut there."""
        limit = reference.MAX_LINE
        within = "é".encode() * (limit // 2 - 2) + b",123"
        assert len(within) == limit
        lines = [within, within + b"45", b"\xc3" * (limit - 3) + b",9" + b"77", "é".encode() * (limit // 2) + b",77"]
        lines += [b"z" * limit + b",77", b" " * limit + b"1,2", b" " * (limit - 1) + b"1,2", b'"' * limit + b'",5']
        path = write_csv(tmp_path / "t.csv", lines, header=b"a,x")
        assert total(backend, source_of(path)) == 123 + 123 + 97
        check = asked(Query.COUNT, None, None)
        assert backend.totals(source_of(path), check) == reference.of_csv(source_of(path), check) == [7]

    @pytest.mark.slow
    def test_patterns_take_linear_time(self, backend: Backend, tmp_path: Path) -> None:
        """Lines made to send a careless pattern back and forth for hours, or through a stack."""
        lines = [
            b'"a",' * 200_000,
            b'"' * 10**6,
            b'"a"' * 300_000,
            b"1," + b"9" * 10**6 + b"x",
            b"1," + b" " * 10**6 + b"x",
            b"1," + b"1." * 500_000,
            b'1,"' + b'""' * 500_000,
            b'1,"' + b'""' * 500_000 + b'"',
            b"1,1e" + b"1" * 10**6,
        ]
        lines += [line + b",3" for line in lines[3:6] + lines[8:]]  # as many cells as the second header
        for header in (b"a,b,c,d,e,x", b"a,x,c"):
            source = source_of(write_csv(tmp_path / "t.csv", [b"r,1,z", *lines, b"r,2,z"], header))
            for plan in (asked(Query.VARIANCE, "x", Bounds(-10, 10)), asked(Query.COUNT, "x", None)):
                assert backend.totals(source, plan) == reference.of_csv(source, plan)

    @pytest.mark.slow
    def test_thousands_of_columns(self, backend: Backend, tmp_path: Path) -> None:
        names = [f"c{i}" for i in range(8000)]
        row = ",".join(str(i) for i in range(8000))
        lines = [row, row.replace("999,", '"999",'), '"' + row, row.replace(",1001,", ',"1001,')]
        path = write_csv(tmp_path / "t.csv", [line.encode() for line in lines], ",".join(names).encode())
        source = source_of(path)
        for place in (0, 999, 1000, 1001, 2500, 7999):
            plan = asked(Query.MEAN, f"c{place}", Bounds(0, 8192))
            assert backend.totals(source, plan) == reference.of_csv(source, plan), place


class PartitionsContract:
    """Folders named like year=2020."""

    FOLDERS: ClassVar = {
        "year=2020/my%20place=a b": [1, 2],
        "year=2020/my%20place=%3Db": [4],
        "year=2021/my%20place=__HIVE_DEFAULT_PARTITION__": [8],
        "year= 7 /my%20place=%0A": [16],
        "year=%EF%BB%BF5/my%20place=%0D": [32],
        "year=tRue/my%20place=%00%": [64],
        "year=1e999/my%20place=ü٣": [128],
    }

    @pytest.fixture(params=["csv", "parquet"])
    def table(self, request, tmp_path: Path) -> Source:
        root = tmp_path / "da ta {1} %20ü"
        for folder, values in self.FOLDERS.items():
            place = root / folder
            place.mkdir(parents=True)
            if request.param == "parquet":
                pq.write_table(pa.table({"x": values, "list": [[1]] * len(values)}), place / "part-0.parquet")
            else:
                (place / "part-0.csv").write_text("a,x\n" + "".join(f"z,{value}\n" for value in values) + "\n \n")
        (root / "_SUCCESS").touch()
        return source_of(root, request.param)

    def test_partitions_are_columns(self, backend: Backend, table: Source) -> None:
        assert table.partitions == ("year", "my place")
        sums = {column: total(backend, table, column, Bounds(0, 4096)) for column in ("x", "year", "my place")}
        assert sums == {"x": 255, "year": 2020 * 3 + 2021 + 7 + 1 + 4096, "my place": 0}
        counts = {column: count(backend, table, column) for column in (None, "x", "year", "my place")}
        assert counts == {None: 8, "x": 8, "year": 8, "my place": 6}
        # unescaped: 2020, 2020, 2020, 2021, " 7 ", a broken mark and 5, tRue, 1e999
        years = ["2020", "2020", "2020", "2021", " 7 ", "ï»¿5", "tRue", "1e999"]
        for plan in plans(backend, "year", Bounds(0, 4096)):
            assert backend.totals(table, plan) == reference.of_texts(list(years), plan)

    def test_of_two_columns_of_one_name_the_folders_is_meant(self, backend: Backend, tmp_path: Path) -> None:
        for year in (1, 2):
            (tmp_path / "t" / f"x={year}").mkdir(parents=True)
            (tmp_path / "t" / f"x={year}" / "a.csv").write_text("a,x,c\n1,30,5\n1,40,6\n")
            (tmp_path / "p" / f"x={year}").mkdir(parents=True)
            pq.write_table(pa.table({"x": [[30], [40]]}), tmp_path / "p" / f"x={year}" / "a.parquet")
        assert total(backend, source_of(tmp_path / "t")) == 6
        assert total(backend, source_of(tmp_path / "t"), "c") == 22
        assert total(backend, source_of(tmp_path / "p", "parquet")) == 6


class ParquetContract:
    """Every type of Parquet with the worst values it can hold."""

    def test_numbers_text_and_what_only_counts(self, backend: Backend, tmp_path: Path) -> None:
        columns = {
            "x": pa.array([1.0, 2.0, None, math.nan]),
            "when": pa.array([0, 2**63 - 1, -(2**63), None], pa.int64()).cast(pa.timestamp("ns")),
            "took": pa.array([1, 2, 3, None], pa.duration("ns")),
            "at": pa.array([1, 2, 3, None], pa.time64("ns")),
            "none": pa.nulls(4),
            "list": pa.array([[1], [], None, [2]]),
            "struct": pa.array([{"a": 1, "d": -719_162}] * 4, pa.struct([("a", pa.int64()), ("d", pa.date32())])),
            "category": pa.array(["a", "1", None, ""]).dictionary_encode(),
            "large": pa.array(["a", "1", None, "\n"], pa.large_string()),
            "a": pa.array([16, 16, 16, 16], pa.int32()),
            "a.b": pa.array([True, False, None, True]),
            "odd `,;{}()\n\t= \"'name": pa.array([1, 2, 3, 4], pa.uint8()),
        }
        pq.write_table(pa.table(columns), tmp_path / "t.parquet")
        source = source_of(tmp_path / "t.parquet", "parquet")
        counts = {
            None: 4,
            "x": 3,
            "when": 3,
            "took": 3,
            "at": 3,
            "none": 0,
            "category": 2,
            "large": 3,
            "a": 4,
            "a.b": 3,
        }
        assert {column: count(backend, source, column) for column in counts} == counts
        sums = {"x": 3, "took": 6, "category": 1, "large": 1, "a": 64, "a.b": 2, "odd `,;{}()\n\t= \"'name": 10}
        assert {column: total(backend, source, column) for column in sums} == sums

    def test_names_that_differ_in_their_case_only(self, backend: Backend, tmp_path: Path) -> None:
        pq.write_table(pa.table({"X": [1, 1], "x": [2, 2], "É": [4, 4], "é": [8, 8]}), tmp_path / "t.parquet")
        source = source_of(tmp_path / "t.parquet", "parquet")
        assert [total(backend, source, column) for column in ("X", "x", "É", "é")] == [2, 4, 8, 16]

    def test_files_may_differ_in_what_is_not_asked_for(self, backend: Backend, tmp_path: Path) -> None:
        folder = tmp_path / "t [1]*"
        folder.mkdir()
        pq.write_table(pa.table({"x": [1, 2], "y": ["a", "b"], "only": [1, 2]}), folder / "a.parquet")
        pq.write_table(pa.table({"y": [0.5], "x": [4]}), folder / "b.parquet")
        pq.write_table(pa.table({"x": pa.array([8], pa.int64()), "z": [1]}), folder / "c.parquet", compression="lz4")
        empty = pa.table({"x": pa.array([], pa.int64()), "y": pa.array([], pa.string())})
        with pq.ParquetWriter(folder / "d.parquet", empty.schema) as writer:
            for rows in (empty, empty):  # row groups of no rows
                writer.write_table(rows)
        source = source_of(folder, "parquet")
        assert (total(backend, source), count(backend, source), count(backend, source, "x")) == (15, 4, 4)

    def test_files_whose_numbers_are_written_otherwise(self, backend: Backend, tmp_path: Path) -> None:
        """Types that Spark reads as one: unsigned 32 bits and 64 bits, eight bits and 32."""
        for name, first, second in (("u", pa.uint32(), pa.int64()), ("i", pa.int8(), pa.int32())):
            folder = tmp_path / name
            folder.mkdir()
            pq.write_table(pa.table({"x": pa.array([100], first)}), folder / "a.parquet")
            pq.write_table(pa.table({"x": pa.array([-100, 2**31 - 1], second)}), folder / "b.parquet")
            for plan in plans(backend, "x", Bounds(-(2.0**40), 2.0**40)):
                found = backend.totals(source_of(folder, "parquet"), plan)
                numbers: list[float | None] = [100.0, -100.0, 2.0**31 - 1]
                assert found == ([3] if plan.counts else reference.of_numbers(numbers, plan))

    def test_values_beyond_all_bounds(self, backend: Backend, tmp_path: Path) -> None:
        values = [1.0, -0.0, 2.5, None, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.1]
        whole = [0, 1, -1, 7, None, 2**53 + 1, 2**63 - 1, -(2**63), 2**62 + 513, 1 - 2**53, 20_001]
        columns = {"d": pa.array(values), "f": pa.array(values, pa.float32()), "i": pa.array(whole, pa.int64())}
        columns["u"] = pa.array([None if n is None else n % 2**64 for n in whole], pa.uint64())
        columns["s"] = pa.array([None if n is None else n % 2**31 for n in whole], pa.int32())
        pq.write_table(pa.table(columns), tmp_path / "t.parquet")
        source = source_of(tmp_path / "t.parquet", "parquet")
        for name, column in columns.items():
            numbers = [None if x is None else float(x) for x in column.to_pylist()]
            limits_of = (Bounds(0, 20_000), Bounds(0.5, 7.25), Bounds(-(2.0**100), 2.0**100), Bounds(3, 3))
            for limits_ in limits_of if backend.name == "duckdb" or name == "d" else limits_of[:2]:
                for plan in plans(backend, name, limits_):
                    expected = [len(numbers) - 1] if plan.counts else reference.of_numbers(numbers, plan)
                    assert backend.totals(source, plan) == expected, (name, plan)

    @pytest.mark.parametrize("dictionary", [True, False])
    def test_text_is_read_as_in_a_csv(self, backend: Backend, tmp_path: Path, dictionary: bool) -> None:
        limit = reference.MAX_LINE
        long = [
            b" " * (limit - 3) + b"123",
            b" " * (limit - 3) + b"12345",
            b" " * limit + b"77",
            b"\xc3" * limit + b"7",
        ]
        cells = [cell.encode() for cell in HOSTILE_CELLS]
        rows = [*long, *cells, None, b"", b"\r", b"\n", b"\xff\xf0", b"7\xf0", b'"7"', b"77"] * 3
        text = pa.Array.from_buffers(pa.string(), len(rows), pa.array(rows, pa.binary()).buffers())
        pq.write_table(pa.table({"x": text}), tmp_path / "t.parquet", use_dictionary=dictionary)
        source = source_of(tmp_path / "t.parquet", "parquet")
        texts = [None if row is None else row[:limit].decode("latin-1") for row in rows]
        for plan in plans(backend, "x", Bounds(-10, 200)):
            assert backend.totals(source, plan) == reference.of_texts(texts, plan)

    @pytest.mark.parametrize("codec", ["NONE", "SNAPPY", "GZIP", "LZ4", "ZSTD"])
    @pytest.mark.parametrize("encoding", [None, "PLAIN", "DELTA_BINARY_PACKED"])
    def test_codecs_and_encodings(self, backend: Backend, tmp_path: Path, codec: str, encoding: str | None) -> None:
        how = {"use_dictionary": False, "column_encoding": {"x": encoding}} if encoding else {}
        pq.write_table(pa.table({"x": [3, 4]}), tmp_path / "t.parquet", compression=codec, **how)
        assert total(backend, source_of(tmp_path / "t.parquet", "parquet")) == 7

    @pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY"])
    @pytest.mark.parametrize("page", [400, 2**20])
    def test_encodings_of_texts(self, backend: Backend, tmp_path: Path, encoding: str, page: int) -> None:
        """A null, and each further page, must not move the texts that come later."""
        texts = [None, *["0", "1x", "1"] * 300, None, "1", "", None, *["prefix1", "0.5", "1"] * 100]
        how = {"use_dictionary": False, "column_encoding": {"x": encoding}, "data_page_size": page}
        pq.write_table(pa.table({"x": texts}), tmp_path / "t.parquet", write_batch_size=50, **how)
        source = source_of(tmp_path / "t.parquet", "parquet")
        for plan in plans(backend, "x", Bounds(0, 1)):
            assert backend.totals(source, plan) == reference.of_texts(texts, plan)

    @pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BINARY_PACKED"])
    def test_encodings_of_numbers(self, backend: Backend, tmp_path: Path, encoding: str) -> None:
        numbers = [None, *[1, 7, -3] * 300, None, 5, None, *range(300)]
        how = {"use_dictionary": False, "column_encoding": {"x": encoding}, "data_page_size": 400}
        pq.write_table(pa.table({"x": numbers}), tmp_path / "t.parquet", write_batch_size=50, **how)
        source = source_of(tmp_path / "t.parquet", "parquet")
        for plan in plans(backend, "x", Bounds(-10, 200)):
            assert backend.totals(source, plan) == reference.of_numbers(numbers, plan)

    @pytest.mark.parametrize("outlier", [2**59 + 2**40, -(2**62), 2**63 - 1])
    def test_statistics_that_are_not_true_are_not_believed(
        self, backend: Backend, tmp_path: Path, outlier: int
    ) -> None:
        """What a footer says of the largest number would let a row give more than all its tokens."""
        for name, last in (("told", 3), ("held", outlier)):
            how = {"use_dictionary": False, "compression": "none"}
            pq.write_table(pa.table({"x": [*[1, 2, 3] * 100, last]}), tmp_path / f"{name}.parquet", **how)
        told, held = ((tmp_path / f"{name}.parquet").read_bytes() for name in ("told", "held"))
        assert len(told) == len(held)
        end = len(told) - 8 - int.from_bytes(told[-8:-4], "little")
        (tmp_path / "t.parquet").write_bytes(held[:end] + told[end:])
        source = source_of(tmp_path / "t.parquet", "parquet")
        for plan in plans(backend, "x", Bounds(0, 65)):
            held_ = [*[1.0, 2.0, 3.0] * 100, float(outlier)]
            assert backend.totals(source, plan) == reference.of_numbers(held_, plan)

    @pytest.mark.parametrize("names", [
        ["a", "A", "A_1"], ["b", "b", "b_1"], ["x", "b", "b", "B", "B_1", "b_2", "b_1_1"], ["", "x"], ["x", "", "_1"],
    ])  # fmt: skip
    def test_names_that_a_reader_would_change(self, backend: Backend, tmp_path: Path, names: list[str]) -> None:
        """DuckDB calls a second `a` `A_1`, which another column may be called by itself."""
        columns = [pa.array([i, i]) for i in range(len(names))]
        pq.write_table(pa.Table.from_arrays(columns, names=names), tmp_path / "t.parquet")
        source = source_of(tmp_path / "t.parquet", "parquet")
        for number, name in enumerate(names):
            if names.count(name) == 1 and name:
                backend.check(source, name)
                assert total(backend, source, name) == 2 * number, name


class TypesContract:
    """All that Java's own writer can put into a column (`library.test_parquet`), with and without dictionaries."""

    @pytest.fixture(scope="class")
    def types(self, spark, tmp_path_factory: pytest.TempPathFactory) -> Source:
        from library import test_parquet as cases

        path = tmp_path_factory.mktemp("types")
        for dictionary in (True, False):
            cases.write(spark, path / f"{dictionary}.parquet", cases.CASES, dictionary)
        return source_of(path, "parquet")

    def test_no_value_of_any_type_fails(self, backend: Backend, types: Source) -> None:
        from library import test_parquet as cases

        ranges = (Bounds(-5, 5), Bounds(-(2.0**100), 2.0**100), Bounds(0, 1e-6))
        rows = count(backend, types)
        for number, (name, case) in enumerate(zip(cases.NAMES, cases.CASES, strict=True)):
            there = 2 * cases.TIMES * (case.counted or len(case.values))
            assert count(backend, types, name) == there, case.field
            if case.numbers is None:
                with pytest.raises(InputError, match="the column's type holds no numbers"):
                    types.check_column(name, numeric=True)
                continue
            numbers: list[float | None] = [float(x) for x in case.numbers] * 2 * cases.TIMES
            numbers += [math.nan] * (there - len(numbers)) + [None] * (rows - there)
            # each takes a second of Spark, which clamps all types alike
            for limits_ in ranges if backend.name != "spark" else [ranges[number % len(ranges)]]:
                for plan in itertools.islice(plans(backend, name, limits_), 1 if backend.name == "spark" else None):
                    if not plan.counts:
                        expected = reference.of_numbers(numbers, plan)
                        assert backend.totals(types, plan) == expected, (case.field, plan)
