"""Every type of Parquet with the worst values it can hold: a number, something to count, or refused by its schema."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpjobs.backends.spark import rows as prepare
from dpjobs.backends.spark.hadoop import HadoopFiles
from dpjobs.errors import InputError
from dpjobs.query import Bounds, Query
from dpjobs.source import LocalFiles, inspect
from library.plans import plan
from library.tables import exact, source_of

pytestmark = pytest.mark.slow
COUNT = plan(Query.COUNT, None, Decimal(1))
SUM = plan(Query.SUM, Bounds(-(2.0**20), 2.0**20), Decimal(1))
TIMES = 60  # so often stands each value: a writer keeps a dictionary only where it pays

INT32 = [0, 1, 99_999_999, 2**31 - 1, -(2**31), -719_162]  # the last is 0001-01-01, as a date
INT64 = [2**40, 2**63 - 1, -(2**63), 10**18 + 1, -62_135_596_800_000_000]
BYTES = [b"", b"7", b" 2.5 ", b"true", b"\xff\xf0", b"7\xf0", b"\xe2\x82", b"9" * 400]
TEXT = [7.0, 2.5, 1.0, math.inf]  # what of BYTES is a number


@dataclass(frozen=True)
class Case:
    """A column: its Parquet field, its values, and what is read of them as numbers (None: it has none)."""

    field: str
    values: list
    numbers: list[float] | None
    counted: int | None = None  # how many are not empty; None: all


def decimals(physical: str, precision: int, scale: int, wholes: list[int], width: int = 0) -> Case:
    values = [n.to_bytes(width, "big", signed=True) for n in wholes] if width else wholes
    fixed = f"({width})" if width else ""
    field = f"{physical}{fixed} %s (DECIMAL({precision},{scale}))"
    numbers = [float(Fraction(n, 10**scale)) for n in wholes if abs(n) < 10**38]
    return Case(field, values, numbers, counted=len(numbers))  # beyond 38 digits there is nothing to compute with


def wide(width: int) -> list[int]:
    """Whole numbers of that many bytes, from the smallest to far more digits than any precision declares."""
    top = 2 ** (8 * width - 1)
    near = [10**38 + 1, -(10**38) - 1, 10**38 - 1, -(10**38) + 1, 123_456_789_012_345_678_901, 2**64, -(2**64), 2**63]
    return [0, -1, 123, -123, top - 1, -top, *(n for n in near if -top <= n < top)]


CASES = [
    Case("boolean %s", [True, False], [1.0, 0.0]),
    Case("int32 %s", INT32, [float(n) for n in INT32]),
    *(Case(f"int32 %s (INTEGER({bits},true))", INT32, [float(n) for n in INT32]) for bits in (8, 16, 32)),
    *(Case(f"int32 %s (INTEGER({bits},false))", INT32, [float(n) for n in INT32]) for bits in (8, 16)),
    Case("int32 %s (INTEGER(32,false))", INT32, [float(n % 2**32) for n in INT32]),
    Case("int64 %s", INT64, [float(n) for n in INT64]),
    Case("int64 %s (INTEGER(64,true))", INT64, [float(n) for n in INT64]),
    Case("int64 %s (INTEGER(64,false))", INT64, [float(n % 2**64) for n in INT64]),
    Case(
        "double %s", [0.5, math.inf, -math.inf, math.nan, 5e-324, -1e308], [0.5, math.inf, -math.inf, 5e-324, -1e308]
    ),
    decimals("int32", 5, 2, INT32),
    decimals("int32", 9, 0, INT32),
    decimals("int64", 10, 2, INT64),
    decimals("int64", 18, 18, INT64),
    *(
        decimals("fixed_len_byte_array", precision, scale, wide(width), width)
        for width, precision, scale in [(1, 2, 0), (4, 9, 2), (5, 9, 9), (8, 18, 2), (9, 18, 4), (9, 20, 0)]
    ),
    *(
        decimals("fixed_len_byte_array", precision, scale, wide(width), width)
        for width, precision, scale in [(12, 28, 10), (16, 19, 2), (16, 38, 0), (16, 38, 38), (16, 5, 2)]
    ),
    Case(
        "binary %s (DECIMAL(20,2))",
        [b"", b"\x00", b"\x7b", b"\x85", b"\xff" * 40, b"\x7f" * 17, b"\x7f" * 16, b"\x01" + b"\x00" * 8],
        [0.0, 1.23, -1.23, float(Fraction(2**64, 100))],
        counted=4,
    ),
    Case("fixed_len_byte_array(20) %s (DECIMAL(38,2))", [b"\x7f" * 20, b"\x00" * 20], None),
    Case("int32 %s (DATE)", INT32, None),
    Case("int32 %s (TIME(MILLIS,true))", INT32, None),
    *(Case(f"int64 %s (TIME({unit},true))", INT64, None) for unit in ("MICROS", "NANOS")),
    *(
        Case(f"int64 %s (TIMESTAMP({unit},{zoned}))", INT64, None)
        for unit in ("MILLIS", "MICROS", "NANOS")
        for zoned in ("true", "false")
    ),
    Case("int96 %s", [b"\x00" * 12, b"\xff" * 12, b"\x7f" * 12, b"\x00" * 8 + b"\x9a\x7c\x25\x00"], None),
    *(Case(f"binary %s ({kind})", BYTES, TEXT, counted=len(BYTES) - 1) for kind in ("STRING", "ENUM", "JSON")),
    *(Case(field, BYTES, None) for field in ("binary %s", "binary %s (BSON)")),
    Case("fixed_len_byte_array(3) %s", [b"abc", b"\xff\xf0\x80"], None),
    Case("fixed_len_byte_array(16) %s (UUID)", [b"\xff" * 16], None),
    Case("fixed_len_byte_array(12) %s (INTERVAL)", [b"\xff" * 12], None),
]
NAMES = [f"c{i}" for i in range(len(CASES))]


@pytest.fixture(scope="module")
def folder(spark, tmp_path_factory) -> Path:
    """All cases as columns of two files, one with dictionaries, and each value TIMES times in each, and nulls."""
    path = tmp_path_factory.mktemp("types")
    for dictionary in (True, False):
        write(spark, path / f"{dictionary}.parquet", CASES, dictionary)
    return path


def write(spark, path: Path, cases: list[Case], dictionary: bool) -> None:
    """Write cases as columns with Java's own writer, which takes any type and any value."""
    jvm = spark._jvm
    parquet = jvm.org.apache.parquet
    fields = "".join(f"optional {case.field % name};" for case, name in zip(cases, NAMES, strict=False))
    schema = parquet.schema.MessageTypeParser.parseMessageType(f"message t {{ {fields} }}")
    groups = []
    for i in range(max(len(case.values) for case in cases) + 1):
        group = parquet.example.data.simple.SimpleGroup(schema)
        for case, name in zip(cases, NAMES, strict=False):
            if i < len(case.values):
                group.add(name, _java(parquet, case, case.values[i]))
        groups.append(group)
    conf = spark._jsc.hadoopConfiguration()
    parquet.hadoop.example.GroupWriteSupport.setSchema(schema, conf)
    builder = parquet.hadoop.example.ExampleParquetWriter.builder(jvm.org.apache.hadoop.fs.Path(str(path)))
    version = getattr(parquet.column, "ParquetProperties$WriterVersion")
    builder = builder.withWriterVersion(version.PARQUET_2_0 if dictionary else version.PARQUET_1_0)
    writer = builder.withType(schema).withConf(conf).withDictionaryEncoding(dictionary).build()
    for group in groups * TIMES:
        writer.write(group)
    writer.close()
    (path.parent / f".{path.name}.crc").unlink(missing_ok=True)


def _java(parquet, case: Case, value):
    if case.field.startswith("int96"):
        return parquet.example.data.simple.NanoTime.fromBinary(parquet.io.api.Binary.fromConstantByteArray(value))
    return parquet.io.api.Binary.fromConstantByteArray(value) if isinstance(value, bytes) else value


@pytest.fixture(params=["true", "false"], ids=["vectorized", "row by row"])
def reader(spark, request) -> Iterator[None]:
    """Both of Spark's readers: which one reads is the platform's to say, and the type's."""
    key = "spark.sql.parquet.enableVectorizedReader"
    before = spark.conf.get(key)
    spark.conf.set(key, request.param)
    yield
    spark.conf.set(key, before)


def test_the_files_have_dictionaries_and_none(folder: Path) -> None:
    group = pq.read_metadata(folder / "True.parquet").row_group(0)
    with_dictionary = [i for i in range(len(CASES)) if group.column(i).has_dictionary_page]
    assert len(with_dictionary) >= len(CASES) - 2  # booleans have none
    group = pq.read_metadata(folder / "False.parquet").row_group(0)
    assert not any(group.column(i).has_dictionary_page for i in range(len(CASES)))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: CASES[int(name[1:])].field.replace(" %s", ""))
def test_no_value_of_any_type_fails_a_job(spark, folder: Path, reader, name: str) -> None:
    case = CASES[NAMES.index(name)]
    source = source_of(folder, "parquet")
    source.check_column(name, numeric=False)
    rows = prepare.read(spark, source, name)
    if case.numbers is None:  # what numbers and texts count is asked by the backends' contract
        assert prepare.counted(rows).count() == 2 * TIMES * len(case.values)
        with pytest.raises(InputError, match="the column's type holds no numbers"):
            source.check_column(name, numeric=True)
        return
    source.check_column(name, numeric=True)
    found = [row.x for row in prepare.numbers(rows).collect() if row.x is not None]
    assert sorted(found) == sorted(case.numbers * 2 * TIMES)


def test_both_views_see_the_same_columns(spark, folder: Path) -> None:
    local = inspect(str(folder), "parquet", LocalFiles())
    remote = inspect(f"file://{folder}", "parquet", HadoopFiles(spark))
    assert (local.columns, local.refused, local.size) == (remote.columns, remote.refused, remote.size)
    assert len(local.columns) == len(CASES)
    assert len(local.paths) == len(remote.paths) == 2


def as_pandas_writes(path: Path, **more: pa.Array) -> Path:
    columns = {
        "x": pa.array([1.0, 2.0, None, math.nan]),
        "when": pa.array([0, 2**63 - 1, -(2**63), None], pa.int64()).cast(pa.timestamp("ns")),
        "took": pa.array([1, 2, 3, None], pa.duration("ns")),
        "at": pa.array([1, 2, 3, None], pa.time64("ns")),
        "none": pa.nulls(4),
        "list": pa.array([[1], [], None, [2]]),
        "struct": pa.array([{"a": 1, "d": -719_162}] * 4, pa.struct([("a", pa.int64()), ("d", pa.date32())])),
        "map": pa.array([[("a", 1)]] * 4, pa.map_(pa.string(), pa.int64())),
        "category": pa.array(["a", "1", None, ""]).dictionary_encode(),
        "large": pa.array(["a", "1", None, ""], pa.large_string()),
        "a.b": pa.array([True, False, None, True]),
        "odd `,;{}()\n\t= name": pa.array([1, 2, 3, 4], pa.uint8()),
        **more,
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_only_the_column_asked_for_matters(spark, reader, tmp_path: Path) -> None:
    path = as_pandas_writes(tmp_path / "pandas.parquet")
    counts = {None: 4, "x": 3, "when": 3, "took": 3, "at": 3, "none": 0, "category": 2, "large": 2, "a.b": 3}
    for column, count in {**counts, "odd `,;{}()\n\t= name": 4}.items():
        assert exact(spark, path, COUNT, column, "parquet")["count"] == count, column
    sums = {"x": 3, "took": 6, "category": 1, "large": 1, "a.b": 2, "odd `,;{}()\n\t= name": 10}
    for column, total in sums.items():
        source_of(path, "parquet").check_column(column, numeric=True)
        assert exact(spark, path, SUM, column, "parquet")["sum"] * SUM.grid.step == total, column
    for column in ("when", "at", "none"):
        with pytest.raises(InputError, match="holds no numbers"):
            source_of(path, "parquet").check_column(column, numeric=True)
    for column in ("list", "struct", "map"):
        with pytest.raises(InputError, match=r"the column is nested \(a list, a map or a struct\): given "):
            source_of(path, "parquet").check_column(column, numeric=False)


def test_a_footer_that_spark_cannot_read_is_refused(tmp_path: Path) -> None:
    """Half-precision floats are newer than Spark 3.5's reader, which fails whichever column is asked for."""
    path = as_pandas_writes(tmp_path / "half.parquet", half=pa.array([np.float16(1)] * 4))
    with pytest.raises(InputError, match=r"not readable as Parquet.*of the type FLOAT16"):
        source_of(path, "parquet")


def test_what_spark_reads_by_its_values_is_refused(spark, tmp_path: Path) -> None:
    """Short decimals in 64 bits: without a dictionary they are read, with one they are taken for 32 bits."""
    for dictionary, reads in ((False, True), (True, False)):
        path = tmp_path / f"{dictionary}.parquet"
        write(spark, path, [Case("int64 %s (DECIMAL(9,2))", INT64, None)], dictionary)
        table = spark.read.schema("c0 bigint").parquet(str(path)).where("c0 > 0")
        if reads:
            assert table.count() == 3 * TIMES
        else:
            with pytest.raises(Exception, match="UnsupportedOperationException"):
                table.count()
        with pytest.raises(InputError, match=r"the column has a type that Spark 3\.5 reads by its values"):
            source_of(path, "parquet").check_column("c0", numeric=False)


def test_files_may_differ_in_what_is_not_asked_for(spark, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2], "y": ["a", "b"], "only": [1, 2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"y": [0.5], "x": [4]}), tmp_path / "b.parquet")
    empty = pa.table({"x": pa.array([], pa.int64()), "y": pa.array([], pa.string())})
    with pq.ParquetWriter(tmp_path / "c.parquet", empty.schema) as writer:
        for rows in (empty, empty):  # row groups of no rows
            writer.write_table(rows)
    assert exact(spark, tmp_path, SUM, "x", "parquet") == {"count": 3, "sum": int(7 / SUM.grid.step)}
    assert exact(spark, tmp_path, COUNT, None, "parquet")["count"] == 3
    for column in ("y", "only"):
        with pytest.raises(InputError, match="the column is not in every file with the same type"):
            source_of(tmp_path, "parquet").check_column(column, numeric=False)


@pytest.mark.parametrize("codec", ["NONE", "SNAPPY", "GZIP", "LZ4", "ZSTD", "BROTLI"])
@pytest.mark.parametrize("encoding", [None, "PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"])
def test_a_column_is_read_or_refused_by_its_footer(spark, reader, tmp_path: Path, codec: str, encoding) -> None:
    """Never only when its pages are read: by then the budget is charged."""
    path = tmp_path / "t.parquet"
    kind = pa.float64() if encoding == "BYTE_STREAM_SPLIT" else pa.int64()
    how = {"use_dictionary": False, "column_encoding": {"x": encoding}} if encoding else {}
    pq.write_table(pa.table({"x": pa.array([3, 4], kind)}), path, compression=codec, **how)
    unread = "BROTLI" if codec == "BROTLI" else encoding if encoding == "BYTE_STREAM_SPLIT" else None
    if unread is None:
        assert exact(spark, path, SUM, "x", "parquet") == {"count": 2, "sum": int(7 / SUM.grid.step)}
        return
    said = f"the column is written as ({unread}|BYTE_STREAM_SPLIT), which Spark 3.5 does not read: given 'x'"
    with pytest.raises(InputError, match=said):
        source_of(path, "parquet").check_column("x", numeric=True)


@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_an_encoding_that_spark_misreads_is_refused(tmp_path: Path, kind: pa.DataType) -> None:
    """Its vectorised reader takes lengths by row, so that one null moves every later text."""
    path = tmp_path / "t.parquet"
    how = {"use_dictionary": False, "column_encoding": {"x": "DELTA_LENGTH_BYTE_ARRAY"}}
    pq.write_table(pa.table({"x": pa.array(["1", None, "2"]).cast(kind), "y": [1, 2, 3]}), path, **how)
    with pytest.raises(InputError, match=r"is written as DELTA_LENGTH_BYTE_ARRAY, which Spark 3\.5 does not"):
        source_of(path, "parquet").check_column("x", numeric=False)
    source_of(path, "parquet").check_column("y", numeric=True)


@pytest.mark.parametrize(
    "content", [b"PAR1" * 3, b"PAR1" + b"\xff" * 4 + b"PAR1", b"PAR1", b"PAR1\x00\x00PAR1", b"PARE" * 3]
)
def test_what_only_claims_to_be_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match="not readable as Parquet"):
        source_of(tmp_path / "t.parquet", "parquet")


def test_a_footer_longer_than_the_first_guess(tmp_path: Path) -> None:
    names = [f"a column with quite a long name, number {i}" for i in range(3000)]
    pq.write_table(pa.table({name: [1] for name in names}), tmp_path / "t.parquet")
    assert list(source_of(tmp_path / "t.parquet", "parquet").columns) == names
