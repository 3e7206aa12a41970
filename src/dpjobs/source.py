"""What lies at the address that a user gave: which files, which columns. Reads headers and schemas, never a row.

Everything here happens before the reservation, so a refusal costs nothing; and a refusal may depend on the
header, the schema and the names of the files alone, never on a row.
"""

import bz2
import csv
import difflib
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dpjobs.errors import InputError, quoted

MAX_HEADER = 1 << 16
_BZ2_BLOCK = 1 << 20  # bytes: a block gives nothing before it is whole, and holds 900,000 at most
FORMATS = {"csv": (".csv", ".csv.gz", ".csv.bz2"), "parquet": (".parquet", ".pq")}
_READABLE = "an existing CSV or Parquet file, a folder of them, or an s3:// address"
_HEADER = "a first line of distinct column names that are not empty and not numbers"
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_BLANK = bytes(range(33))
_OTHER_CODECS = (".deflate", ".lz4", ".snappy", ".zst", ".xz", ".zip")


@dataclass(frozen=True)
class Entry:
    """A file or folder below the address: its full path and size in bytes."""

    path: str
    size: int
    is_folder: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]


class Files(Protocol):
    """How files are listed and begun: local ones in Python, others through Hadoop."""

    def look(self, uri: str) -> Entry | None:
        """Return what is at the address, None when nothing is."""

    def children(self, uri: str) -> list[Entry]:
        """Return what a folder holds."""

    def head(self, path: str, size: int) -> bytes:
        """Return a file's first bytes."""

    def parquet_columns(self, paths: list[str]) -> dict[str, str]:
        """Return each column with "number", "text" or "other"; raises ValueError when files differ."""


@dataclass(frozen=True)
class Source:
    """A table that can be read: its files, their format, and its columns with their kinds.

    `columns` maps each name to "number", "text" or "other"; a CSV's columns are all text. `size` is in bytes.
    `headers` are the CSV files' header lines as they stand, which may differ in quotes and line ends.
    """

    paths: tuple[str, ...]
    format: str
    columns: dict[str, str]
    size: int
    headers: frozenset[str] = frozenset()

    def check_column(self, column: str, numeric: bool) -> None:
        """Raise InputError unless the column is there and, where `numeric`, can hold numbers."""
        if column not in self.columns:
            close = difflib.get_close_matches(column, self.columns, n=1)
            # One name at most: the "columns" of a file without a header are its first record
            hint = f"; did you mean {quoted(close[0])}?" if close else ""
            raise InputError.of("no such column", column, "a column of the table's header" + hint)
        if numeric and self.columns[column] == "other":
            raise InputError.of("the column's type holds no numbers", column, "a numeric or text column")


def format_of(uri: str, given: str | None, files: Files) -> str:
    """Return the format given, else what the names tell; raises InputError when they tell nothing."""
    allowed = "csv, parquet"
    if given is not None:
        if given.strip().lower() not in FORMATS:
            raise InputError.of("unknown format", given, allowed)
        return given.strip().lower()
    entry = files.look(uri)
    if entry is None:
        raise InputError.of("no such file or folder", uri, _READABLE)
    names = [e.name for e in _visible(files.children(uri))] if entry.is_folder else [entry.name]
    if not names:
        raise InputError.of("nothing to read, an empty folder", uri, _READABLE)
    found = {known_format(name) for name in names} or {None}
    if len(found) == 1 and (only := found.pop()) is not None:
        return only
    raise InputError.of("unknown format", uri, f"a name that ends in .csv or .parquet, or the format: {allowed}")


def known_format(name: str) -> str | None:
    """Return the format that a name's ending tells, None when it tells none."""
    lowered = name.lower()
    return next((f for f, endings in FORMATS.items() if lowered.endswith(endings)), None)


def inspect(uri: str, format_: str, files: Files) -> Source:
    """List the files at the address and read their header or schema; raises InputError in one line."""
    entry = files.look(uri)
    if entry is None:
        raise InputError.of("no such file or folder", uri, _READABLE)
    if not entry.is_folder and entry.name.startswith(("_", ".")):
        raise InputError.of("a hidden file, which Spark skips", uri, "a name that begins with neither _ nor .")
    found = _visible(_walk(entry, format_, files)) if entry.is_folder else [entry]
    kept = [e for e in found if e.size > 0]
    if not kept:
        raise InputError.of("nothing to read, zero bytes", uri, _READABLE)
    paths = [e.path for e in kept]
    size = sum(e.size for e in kept)
    if format_ == "parquet":
        return Source(tuple(paths), format_, _parquet_columns(uri, paths, files), size)
    lines = [_header_line(path, files) for path in paths]
    headers = [_names(path, line) for path, line in zip(paths, lines, strict=True)]
    if any(header != headers[0] for header in headers):
        raise InputError.of("headers differ within the folder", uri, "the same header in every file")
    return Source(tuple(paths), format_, dict.fromkeys(headers[0], "text"), size, frozenset(lines))


def _visible(entries: list[Entry]) -> list[Entry]:
    return sorted((e for e in entries if not e.name.startswith(("_", "."))), key=lambda e: e.path)


def _walk(folder: Entry, format_: str, files: Files) -> list[Entry]:
    found = []
    for entry in _visible(files.children(folder.path)):
        if not entry.is_folder:
            found.append(entry)
        elif format_ == "parquet":
            found += _walk(entry, format_, files)
        else:
            raise InputError.of("a folder inside the folder", entry.path, "a folder that holds CSV files only")
    return found


def _parquet_columns(uri: str, paths: list[str], files: Files) -> dict[str, str]:
    try:
        return files.parquet_columns(paths)
    except Exception:  # the library's text may quote bytes of the file
        raise InputError.of(
            "not readable as Parquet, or files of different columns", uri, "Parquet files of the same columns"
        ) from None


def _header_line(path: str, files: Files) -> str:
    """The first line that is not blank, without a byte order mark, which Hadoop skips, too."""
    if _codec(path) not in ("", ".gz", ".bz2"):
        raise InputError.of(
            "unknown compression", path, "plain, or a name that ends in .gz or .bz2, in small letters"
        )
    try:
        head = _decompressed(path, files)[:MAX_HEADER]
        *whole, rest = head.split(b"\n")
        lines = [*whole, rest] if len(head) < MAX_HEADER else whole
        line = next(line for line in lines if line.strip(_BLANK)).decode("utf-8-sig")
        if any(ord(c) < 32 and c != "\t" for c in line.removesuffix("\r")):
            raise ValueError
        return line
    except (OSError, EOFError, zlib.error, ValueError, StopIteration):
        raise InputError.of("not readable as CSV (binary, not UTF-8, or no header)", path, _HEADER) from None


def _names(path: str, line: str) -> list[str]:
    names = [cell.strip() for cell in next(csv.reader([line.removesuffix("\r")]), [])]
    if not names or not all(names) or len(set(names)) != len(names) or any(map(_NUMERIC.fullmatch, names)):
        # never shown: in a file without a header this line is the first record
        raise InputError.of("header cells empty, duplicate or numeric", path, _HEADER)
    return names


def _codec(path: str) -> str:
    """The compression that the name tells; Hadoop knows it in small letters only, so others are unknown to us."""
    ending = "." + path.rsplit(".", 1)[-1]
    return ending if ending.lower() in (".gz", ".bz2", *_OTHER_CODECS) else ""


def _decompressed(path: str, files: Files) -> bytes:
    """The beginning of the text; raises EOFError when the compressed file ends within its first line."""
    decompressor: Any
    if _codec(path) == ".gz":
        decompressor = zlib.decompressobj(wbits=31)
        head = decompressor.decompress(files.head(path, MAX_HEADER), MAX_HEADER)
    elif _codec(path) == ".bz2":
        decompressor = bz2.BZ2Decompressor()
        head = decompressor.decompress(files.head(path, _BZ2_BLOCK), MAX_HEADER)
    else:
        return files.head(path, MAX_HEADER)
    if len(head) < MAX_HEADER and b"\n" not in head and not decompressor.eof:
        raise EOFError
    return bytes(head)


class LocalFiles:
    """Files of this machine, looked at without starting Spark."""

    def look(self, uri: str) -> Entry | None:
        """Return what is at the path, None when nothing is or it may not be seen."""
        path = Path(uri)
        try:
            return Entry(str(path), path.stat().st_size, path.is_dir())
        except (OSError, ValueError):
            return None

    def children(self, uri: str) -> list[Entry]:
        """Return what a folder holds; raises InputError when it may not be listed."""
        try:
            return [Entry(str(p), p.stat().st_size, p.is_dir()) for p in Path(uri).iterdir()]
        except OSError:
            raise InputError.of("a folder that cannot be listed", uri, _READABLE) from None

    def head(self, path: str, size: int) -> bytes:
        """Return a file's first bytes."""
        with Path(path).open("rb") as file:
            return file.read(size)

    def parquet_columns(self, paths: list[str]) -> dict[str, str]:
        """Read the footers with pyarrow, which Spark needs anyway."""
        import pyarrow.parquet
        import pyarrow.types as t

        schemas = [pyarrow.parquet.read_schema(path) for path in paths]
        if any(schema.names != schemas[0].names or schema.types != schemas[0].types for schema in schemas):
            raise ValueError("schemas differ")

        def kind(type_: object) -> str:
            if t.is_integer(type_) or t.is_floating(type_) or t.is_decimal(type_):
                return "number"
            return "text" if t.is_string(type_) or t.is_large_string(type_) else "other"

        return {field.name: kind(field.type) for field in schemas[0]}
