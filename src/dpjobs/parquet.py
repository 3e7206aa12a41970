"""What a Parquet file's footer says of its columns, and how each is read so that no value can fail a job.

A column is read by its *physical* type. What an annotation adds (a date, a millisecond, a decimal's digits) is what
Spark's readers check value by value, and where one row could stop them: TIMESTAMP_MILLIS 2⁶³−1, a DECIMAL(38, 0) of
39 digits, a date of the year 1. Bytes and whole numbers hold whatever they hold. `tests/library/test_parquet.py`
proves it, type by type, for both of Spark's readers, with and without dictionaries.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

MAX_DECIMAL_BYTES = 16
"""Decimals of more bytes hold more than 38 digits, which is the most that Spark can compute with."""

_AT_ONCE = 32  # footers; in S3 each takes a few round trips
_GUESS = 1 << 16  # bytes from the end that hold most footers
_MAGIC = b"PAR1"
_READ_AS = {
    "BOOLEAN": "boolean",
    "INT32": "integer",
    "INT64": "long",
    "INT96": "timestamp",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BYTE_ARRAY": "binary",
    "FIXED_LEN_BYTE_ARRAY": "binary",
}
# Spark's dictionaries know unsigned numbers by these types only, and whether a page has one depends on its values.
_UNSIGNED = {("INT32", 32): "long", ("INT64", 64): "decimal(20,0)"}
_TEXT = ("STRING", "ENUM", "JSON")
_COUNTED = ("DATE", "TIME", "TIMESTAMP", "INTERVAL", "BSON", "UUID", "UNKNOWN")
_NUMBERS = ("NONE", "INT", "DECIMAL")
_NESTED = ("LIST", "MAP")
# What Spark 3.5's readers know: another fails the job only when its pages are read
_CODECS = {"UNCOMPRESSED", "SNAPPY", "GZIP", "LZ4", "LZ4_RAW", "ZSTD"}
_ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"} | {
    "DELTA_BINARY_PACKED",
    "DELTA_BYTE_ARRAY",  # but not DELTA_LENGTH_BYTE_ARRAY: one null makes Spark 3.5 read every later text's neighbour
}

Read = Callable[[str, int, int], bytes]
"""Returns a file's bytes: its path, from where, how many."""


@dataclass(frozen=True)
class Column:
    """A column: its `kind` is "number", "text" or "other", which can be counted and nothing else.

    `read_as` is the type that Spark is told to read it as, `scale` a decimal's number of decimals, `width` the bytes
    of a binary one of fixed length (0: of any length).
    """

    kind: str
    read_as: str = "string"
    scale: int | None = None
    width: int = 0


@dataclass(frozen=True)
class Columns:
    """The columns that can be asked for, and of the others why not."""

    usable: dict[str, Column]
    refused: dict[str, str]


class UnreadableError(ValueError):
    """The file is no Parquet file that Spark can read; the text names a type, never a value."""


def columns(files: list[tuple[str, int]], read: Read) -> Columns:
    """Return the columns of the files, given by path and size; raises UnreadableError.

    A column can be asked for when every file has it, of one type; the others may differ as they like.
    """
    with ThreadPoolExecutor(min(_AT_ONCE, len(files))) as pool:
        parts = list(pool.map(lambda file: _columns(file[0], file[1], read), files))
    usable = {name: column for name, column in parts[0].usable.items() if _same(name, column, parts)}
    refused: dict[str, str] = {}
    for part in parts:
        differing = "is not in every file with the same type"
        refused |= {name: differing for name in part.usable if name not in usable} | part.refused
    return Columns(usable, refused)


def _same(name: str, column: Column, parts: list[Columns]) -> bool:
    return all(part.usable.get(name) == column for part in parts)


def _columns(path: str, size: int, read: Read) -> Columns:
    footer = _footer(path, size, read)
    leaves = [_Leaf.of(footer.schema.column(i)) for i in range(len(footer.schema))]
    unknown = {leaf.logical for leaf in leaves}.difference(_TEXT, _COUNTED, _NUMBERS, _NESTED)
    if unknown:  # Spark's reader fails on such a footer, whichever column is asked for
        raise UnreadableError(f" (Spark cannot read files with a column of the type {min(unknown)})")
    refused = {leaf.top: "is nested (a list, a map or a struct)" for leaf in leaves if leaf.nested}
    unsafe = "has a type that Spark 3.5 reads by its values (a decimal of up to 9 digits in 64 bits)"
    refused |= {leaf.top: unsafe for leaf in leaves if leaf.unsafe}
    refused |= {leaves[i].top: f"is written as {how}, which Spark 3.5 does not read" for i, how in _unread(footer)}
    plain = [leaf for leaf in leaves if not leaf.nested]
    names = Counter(leaf.top for leaf in plain)
    refused |= {name: "is there twice" for name, times in names.items() if times > 1}
    return Columns({leaf.top: leaf.column() for leaf in plain if leaf.top not in refused}, refused)


@dataclass(frozen=True)
class _Leaf:
    """What the footer says of one leaf of the schema's tree."""

    top: str
    nested: bool
    physical: str
    logical: str
    bits: int
    width: int
    precision: int
    scale: int
    signed: bool

    @property
    def unsafe(self) -> bool:
        """Whether Spark's dictionaries take it for 32 bits, whatever it is read as, and fail."""
        return (self.physical, self.logical) == ("INT64", "DECIMAL") and self.precision <= 9

    @classmethod
    def of(cls, leaf: Any) -> "_Leaf":
        import json

        said = json.loads(leaf.logical_type.to_json())
        nested = leaf.path != leaf.name or leaf.max_repetition_level > 0
        return cls(
            top=leaf.path.split(".")[0] if nested else leaf.name,
            nested=nested,
            physical=leaf.physical_type,
            logical=leaf.logical_type.type,
            bits=said.get("bitWidth", 0),
            width=leaf.length if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0,
            precision=leaf.precision,
            scale=leaf.scale,
            signed=said.get("isSigned", True),
        )

    def column(self) -> Column:
        read_as = _READ_AS[self.physical]
        if self.logical in _TEXT:
            return Column("text", read_as)
        if self.logical == "DECIMAL" and self.width <= MAX_DECIMAL_BYTES and 0 <= self.scale <= 38:
            return Column("number", read_as, self.scale, self.width)
        if self.logical == "INT" and not self.signed:
            return Column("number", _UNSIGNED.get((self.physical, self.bits), read_as))
        if self.logical in ("NONE", "INT") and read_as not in ("binary", "timestamp"):
            return Column("number", read_as)
        return Column("other", read_as)


def _unread(footer: Any) -> Iterator[tuple[int, str]]:
    """Give the leaves that lie in the file in a way that Spark's readers do not know, and which.

    A writer may choose an encoding by the values. It is public then, as the size of the file is; and who is told of
    it here pays nothing for a job that could only fail.
    """
    for group in range(footer.num_row_groups):
        chunks = footer.row_group(group)
        for leaf in range(chunks.num_columns):
            chunk = chunks.column(leaf)
            unread = {chunk.compression} - _CODECS | {*chunk.encodings} - _ENCODINGS
            yield from ((leaf, how) for how in sorted(unread))


def _footer(path: str, size: int, read: Read) -> Any:
    """Parse the footer, which says how long it is in the last bytes of the file."""
    import pyarrow
    import pyarrow.parquet

    tail = read(path, max(0, size - _GUESS), min(size, _GUESS))
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < 12 or tail[-4:] != _MAGIC or needed > size:
        raise UnreadableError
    if needed > len(tail):
        tail = read(path, size - needed, needed)
    return pyarrow.parquet.read_metadata(pyarrow.BufferReader(tail))
