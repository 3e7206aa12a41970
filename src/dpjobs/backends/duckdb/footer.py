"""A Parquet file's footer without its annotations, so that every column is read as what it physically is.

A reader turns bytes into the dates, times and decimals that annotations promise, and may fail at a value that is
none, or cut it. So the footer that pyarrow is given calls the one column that is asked for `cell`, and says nothing
of any column but its physical type.
"""

import json
from dataclasses import dataclass
from typing import Any

from dpjobs.backends.duckdb import thrift
from dpjobs.source import Files

CELL = "cell"

_GUESS = 1 << 16  # bytes from the end that hold most footers
_MAGIC = b"PAR1"
_ARROW = b"ARROW:schema"  # the key of Arrow's own types, by which they would come back
_TYPE, _NAME, _CHILDREN = 1, 4, 5  # of a SchemaElement; then its annotations: converted, scale, precision, logical
_ANNOTATIONS = {6, 7, 8, 10}
_SCHEMA = 2  # of FileMetaData
_SIMPLE = {"BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE"}
_OPENED = {"NONE", "INT", "STRING", "DECIMAL", "DATE", "TIME", "TIMESTAMP", "ENUM", "UUID", "LIST", "MAP"}
"""Annotations that do not keep DuckDB's reader from opening a file, wherever they stand."""
_BITS = {"INT32": 32, "INT64": 64}


@dataclass(frozen=True)
class Footer:
    """What a footer says of the one column asked for.

    `metadata` is pyarrow's, without annotations and with that column as `cell`. `type` is how DuckDB's own reader
    takes it; `is_simple`: that opens the file, and gives the same numbers, whatever the values are. `is_alone`: all
    its columns have names, which differ in more than their case (DuckDB renames others: `a`, `A` to `a`, `A_1`, which
    another column may be called by itself). `is_delta`: texts of it are written as differences.
    `bytes` is what it takes in the row group where that is most, `bytes_a_row` what a value takes on average where
    that is most.
    """

    metadata: Any
    type: str
    bytes: int
    bytes_a_row: int
    is_simple: bool
    is_alone: bool
    is_delta: bool


def rows_of(path: str, files: Files) -> int:
    """Return how many rows a file has."""
    return int(_metadata(_raw(path, files)).num_rows)


def read(path: str, files: Files, column: str) -> Footer:
    """Read a footer; raises ValueError where the column is not in it just once, and what pyarrow raises."""
    raw = _raw(path, files)
    metadata = _metadata(raw)
    leaves = [metadata.schema.column(i) for i in range(len(metadata.schema))]
    [place] = [i for i, leaf in enumerate(leaves) if leaf.path == leaf.name == column]
    chunks = [metadata.row_group(group).column(place) for group in range(metadata.num_row_groups)]
    stripped, names = _stripped(raw, place)
    return Footer(
        metadata=_metadata(stripped),
        type=f"{leaves[place].physical_type} {leaves[place].logical_type}",
        bytes=max([0, *(chunk.total_uncompressed_size for chunk in chunks)]),
        bytes_a_row=max([1, *(chunk.total_uncompressed_size // max(chunk.num_values, 1) for chunk in chunks)]),
        is_simple=_is_simple(leaves[place])
        and all(leaf.logical_type.type in _OPENED for leaf in leaves)
        and all(chunk.compression != "LZ4" for chunk in chunks),
        is_alone="" not in names and len({name.casefold() for name in names}) == len(names),
        is_delta=any(encoding.startswith("DELTA_") for chunk in chunks for encoding in chunk.encodings),
    )


def _raw(path: str, files: Files) -> bytes:
    entry = files.look(path)
    if entry is None:
        raise ValueError("a file is gone")
    tail = files.read(path, max(0, entry.size - _GUESS), min(entry.size, _GUESS))
    size = int.from_bytes(tail[-8:-4], "little")
    if len(tail) < 12 or tail[-4:] != _MAGIC or size + 8 > entry.size:
        raise ValueError("no Parquet file")
    if size + 8 > len(tail):
        tail = files.read(path, entry.size - size - 8, size + 8)
    return tail[-8 - size : -8]


def _metadata(raw: bytes) -> Any:
    import pyarrow
    import pyarrow.parquet

    whole = _MAGIC + raw + len(raw).to_bytes(4, "little") + _MAGIC
    return pyarrow.parquet.read_metadata(pyarrow.BufferReader(whole))


def _is_simple(leaf: Any) -> bool:
    """Whether the annotation, if there is one, says nothing of the values but how wide they are and how signed."""
    said = json.loads(leaf.logical_type.to_json())
    whole = said["Type"] == "Int" and said["bitWidth"] == _BITS.get(leaf.physical_type)
    return leaf.physical_type in _SIMPLE and (said["Type"] == "None" or whole)


def _stripped(raw: bytes, place: int) -> tuple[bytes, list[str]]:
    """The footer without annotations, its leaf number `place` called `cell`; and the names that its columns had."""
    reader = thrift.Reader(raw)
    schema = next(field for field in reader.fields() if field.number == _SCHEMA)
    elements = list(thrift.Reader(schema.value).structs())
    written, leaf = [], -1
    for number, fields in enumerate(elements):
        is_leaf = any(field.number == _TYPE for field in fields)
        leaf += is_leaf
        name = CELL if is_leaf and leaf == place else f"-{number}"
        kept = [field for field in fields if field.number not in _ANNOTATIONS]
        written.append(thrift.struct([_named(field, name) if field.number == _NAME else field for field in kept]))
    rest = raw[reader.at :].replace(_ARROW, _ARROW.lower())
    return raw[: reader.at - len(schema.value)] + thrift.structs(written) + rest, _tops(elements)


def _named(field: thrift.Field, name: str) -> thrift.Field:
    return field._replace(value=thrift.text(name.encode()))


def _tops(elements: list[list[thrift.Field]]) -> list[str]:
    """The names of the root's children: elements stand depth first, each with the number of its own children."""
    names: list[str] = []
    waiting = 0  # how many elements are still to come before the root's next child
    for fields in elements[1:]:
        known = {field.number: thrift.Reader(field.value) for field in fields}
        if waiting:
            waiting -= 1
        else:
            names.append(known[_NAME].text().decode(errors="replace"))
        waiting += known[_CHILDREN].whole() if _CHILDREN in known else 0
    return names
