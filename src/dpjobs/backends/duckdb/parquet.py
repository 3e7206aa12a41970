"""The rows of Parquet files: by DuckDB's own reader where no value can stop it, else by pyarrow, which is told of
nothing but physical types.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dpjobs.backends.duckdb import arrays, footer, sql
from dpjobs.backends.duckdb.files import Opened
from dpjobs.backends.duckdb.footer import CELL, Footer
from dpjobs.parquet import Column
from dpjobs.source import Files

HIGH, LOW = "high", "low"

_AT_ONCE = 32  # footers
_BUFFER = 1 << 20  # bytes of a file
_MOST, _FEWEST = 1 << 16, 1 << 4  # rows that are read at once
_MOST_TEXTS = 1 << 13  # as long as there is no dictionary
_BYTES = 1 << 23  # that the texts of a batch should not take together
_SMALL = 1 << 24  # bytes of a column in a row group, whose dictionary can be carried from batch to batch
_GLOB = frozenset("*?[")  # what DuckDB reads as a pattern in a path
_EXACT = 1 << 53  # whole numbers up to here are exact doubles, and so are powers of ten up to the 22nd
_POWERS = 22
_LARGEST = 10**38 - 1  # beyond 38 digits Spark's decimals are null

_T = TypeVar("_T")


def footers(paths: Sequence[str], files: Files, column: str) -> list[Footer]:
    """Read the footers of all files."""
    return _at_once(lambda path: footer.read(path, files, column), paths)


def rows_of(paths: Sequence[str], files: Files) -> list[int]:
    """Return how many rows each file has."""
    return _at_once(lambda path: footer.rows_of(path, files), paths)


def _at_once(read: Callable[[str], _T], paths: Sequence[str]) -> list[_T]:
    with ThreadPoolExecutor(min(_AT_ONCE, len(paths))) as pool:
        return list(pool.map(read, paths))


def is_safe(paths: Sequence[str], found: Sequence[Footer]) -> bool:
    """Whether DuckDB's own reader gives the same numbers, whatever the values are.

    It finds columns without regard to the case of their names, and makes every file's column one of the first's type.
    """
    alone = all(one.is_simple and one.is_alone and one.type == found[0].type for one in found)
    return alone and not any(_GLOB.intersection(path) for path in paths)


def groups(paths: Sequence[str], found: Sequence[Footer], most: int) -> Iterator[tuple[list[str], int]]:
    """Group the files, so that each group has `most` rows at most, or is one file; with its number of rows."""
    group: list[str] = []
    rows = 0
    for path, one in zip(paths, found, strict=True):
        if group and rows + one.metadata.num_rows > most:
            yield group, rows
            group, rows = [], 0
        group.append(path)
        rows += one.metadata.num_rows
    yield group, rows


def scan(paths: Sequence[str], column: str) -> str:
    """DuckDB's own reader, as a query that gives the column as `cell`."""
    listed = ", ".join(sql.literal(path) for path in paths)
    how = "hive_partitioning = false, can_have_nan = true"  # else it believes that statistics know of every NaN
    return f"select {sql.quoted(column)} as {CELL} from read_parquet([{listed}], {how})"


def batches(paths: Sequence[str], found: Sequence[Footer], files: Opened, column: Column) -> Iterator[Any]:
    """Give Arrow record batches of all rows: `cell`, or `high` and `low` of whole numbers of more than 64 bits."""
    import pyarrow
    import pyarrow.parquet

    is_kept = keeps_dictionary(found, column)
    how: dict[str, Any] = {"buffer_size": _BUFFER, "read_dictionary": [CELL] if is_kept else []}
    shape = schema(found, column)  # looks at every file
    for path, one in zip(paths, found, strict=True):
        most = _MOST if column.kind != "text" or is_kept else min(_MOST_TEXTS, _BYTES // one.bytes_a_row)
        with files.open(path) as file:
            opened = pyarrow.parquet.ParquetFile(file, metadata=one.metadata, **how)
            for batch in opened.iter_batches(max(most, _FEWEST), columns=[CELL], use_threads=False):
                whole = pyarrow.record_batch(_arrays(batch.column(0), column), schema=shape)
                yield from arrays.parts(whole, _BYTES) if column.kind == "text" else [whole]


def keeps_dictionary(found: Sequence[Footer], column: Column) -> bool:
    """Whether texts stay a dictionary: else a long one that many rows have is there as often.

    pyarrow's holds all that a row group had up to there, in every batch anew: one of many megabytes takes long. It
    makes none of differences.
    """
    return column.kind == "text" and all(one.bytes <= _SMALL and not one.is_delta for one in found)


def schema(found: Sequence[Footer], column: Column) -> Any:
    """Return the schema of the batches."""
    import pyarrow as pa

    if column.kind == "text":
        kept = keeps_dictionary(found, column)
        return pa.schema([(CELL, pa.dictionary(pa.int32(), pa.string()) if kept else pa.string())])
    if _is_wide(column):
        return pa.schema([(HIGH, pa.int64()), (LOW, pa.uint64())])
    return pa.schema([(CELL, _type(column))])


def number(column: Column) -> str:
    """The number of a row that holds no text; null where it has none."""
    if _is_wide(column):
        whole = f"({HIGH}::hugeint * {1 << 64}::hugeint + {LOW}::hugeint)"
        return f"(case when {whole} between -{_LARGEST} and {_LARGEST} then {_scaled(whole, column.scale or 0)} end)"
    if column.scale is not None:
        return _scaled(f"{CELL}::bigint", column.scale)
    return f"{CELL}::integer" if column.read_as == "boolean" or column.kind == "other" else CELL


def _scaled(whole: str, scale: int) -> str:
    """The double nearest to whole / 10^scale: of two exact doubles by division, else from the digits."""
    digits = f"try_cast({whole}::varchar || 'e-{scale}' as double)"
    if scale > _POWERS:
        return digits
    divided = f"{whole}::double / {sql.double(10.0**scale)}"
    return f"(case when {whole} between -{_EXACT} and {_EXACT} then {divided} else {digits} end)"


def _is_wide(column: Column) -> bool:
    return column.scale is not None and column.read_as == "binary" and not 0 < column.width <= 8


def _type(column: Column) -> Any:
    import pyarrow as pa

    if column.kind == "other":
        return pa.bool_()
    return {
        "boolean": pa.bool_(),
        "integer": pa.int32(),
        "long": pa.int64(),
        "decimal(20,0)": pa.uint64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "binary": pa.int64(),  # a decimal of at most eight bytes
    }[column.read_as]


def _arrays(cells: Any, column: Column) -> list[Any]:
    if column.kind == "text":
        return [arrays.texts(cells)]
    if column.kind == "other":
        return [arrays.presence(cells)]
    if _is_wide(column):
        return arrays.halves(cells)
    if column.read_as == "binary":
        return [arrays.whole(cells)]
    return [arrays.unsigned(cells) if column.read_as == "decimal(20,0)" else arrays.widened(cells, _type(column))]
