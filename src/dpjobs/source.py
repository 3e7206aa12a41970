"""What lies at the address that a user gave: which files, which columns. Reads headers and schemas, never a row.

Everything here happens before the reservation, so a refusal costs nothing; and a refusal may depend on the
header, the schema and the names of the files alone, never on a row.
"""

import shlex
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from dpjobs import header, parquet
from dpjobs.addresses import is_local, within
from dpjobs.errors import InputError, quoted
from dpjobs.identity import identity
from dpjobs.parquet import Column

FORMATS = {"csv": (".csv", ".csv.gz", ".csv.bz2"), "parquet": (".parquet", ".pq")}
_READABLE = "an existing CSV or Parquet file, a folder of them, or an s3:// address"
_PARTITIONS = "folders that are all named like year=2020, in the same order, or none"


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

    def read(self, path: str, start: int, size: int) -> bytes:
        """Return a file's bytes from `start` on, `size` of them or as many as there are."""


@dataclass(frozen=True)
class Source:
    """A table that can be read: its files, their format, and its columns with their kinds.

    `columns` maps each name to its Column; a CSV's columns are all text. `size` is in bytes. `headers` are the CSV
    files' header lines as they may stand there, `width` is how many cells these have. `partitions` are the columns
    that folders named like `year=2020` below `root` give. `refused` says of other columns why they cannot be asked.
    """

    paths: tuple[str, ...]
    format: str
    columns: dict[str, Column]
    size: int
    root: str
    headers: frozenset[bytes] = frozenset()
    width: int = 0
    partitions: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)

    def check_column(self, column: str, numeric: bool) -> None:
        """Raise InputError unless the column is there and, where `numeric`, can hold numbers."""
        if column not in self.columns:
            if column in self.refused:
                allowed = "a column of plain values, in every file and of the same type"
                raise InputError.of(f"the column {self.refused[column]}", column, allowed)
            raise InputError.of("no such column", column, "a column of the table's header" + self._hint(column))
        if numeric and self.columns[column].kind == "other":
            allowed = "a column of numbers, true and false, or text; COUNT takes any"
            raise InputError.of("the column's type holds no numbers", column, allowed)

    def _hint(self, column: str) -> str:
        # Shows only a name that the user has almost typed: a file without a header has its first record for names
        alike = sorted(name for name in self.columns if _folded(name) == _folded(column))
        if alike:
            return f"; did you mean {quoted(alike[0])}?"
        if self.format == "parquet":
            how = f"import pyarrow.parquet as p; print(p.read_schema({self.paths[0]!r}).names)"
            return f", which shows with: python -c {shlex.quote(how)}"
        only = f" ({header.ONE_CELL}){header.IMPORT}" if len(self.columns) - len(self.partitions) == 1 else ""
        return f", which shows with: {header.how_to_see(self.paths[0])}{only}"


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def format_of(uri: str, given: str | None, files: Files | None) -> str:
    """Return the format given, else what the names tell; raises InputError when they tell nothing.

    `files` is None where the address cannot be looked at yet: then its own name has to tell.
    """
    allowed = "csv, parquet"
    if given is not None:
        if given.strip().lower() not in FORMATS:
            raise InputError.of("unknown format", given, allowed + header.IMPORT)
        return given.strip().lower()
    if files is None:
        if (told := known_format(uri)) is None:
            raise InputError.of("unknown format", uri, "--format csv or --format parquet" + header.IMPORT)
        return told
    entry = files.look(uri)
    if entry is None:
        raise InputError.of("no such file or folder", uri, _READABLE)
    names = _endings(entry, files) if entry.is_folder else [entry.name]
    if not names:
        raise InputError.of("nothing to read, an empty folder", uri, _READABLE)
    formats = {known_format(name) for name in names} or {None}
    if len(formats) == 1 and (only := formats.pop()) is not None:
        return only
    allowed = f"a name that ends in .csv or .parquet, or the format: {allowed}"
    raise InputError.of("unknown format", uri, allowed + header.IMPORT)


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
    kept = [e for e in (_walk(entry, format_, files) if entry.is_folder else [entry]) if e.size > 0]
    if not kept:
        raise InputError.of("nothing to read, zero bytes", uri, _READABLE)
    if is_local(uri):
        _refuse_twice(kept)
    else:
        _refuse_files_that_are_folders(entry, kept, files)
    partitions = _partitions(entry, kept) if entry.is_folder else ()
    if format_ == "parquet":
        schema = _parquet_columns(uri, kept, files)
        columns, refused, lines, width = schema.usable, schema.refused, frozenset[bytes](), 0
    else:
        headers = [header.read_header(e.path, partial(files.read, e.path, 0)) for e in kept]
        other = next((e for e, h in zip(kept, headers, strict=True) if h.names != headers[0].names), None)
        if other is not None:
            name, first = (e.path.removeprefix(entry.path).lstrip("/") for e in (other, kept[0]))
            allowed = f"the same header in every file of the folder, as {quoted(first)} has it"
            raise InputError.of("headers differ within the folder", name, allowed + header.IMPORT)
        columns, refused = {name: Column("text") for name in headers[0].names}, {}
        lines, width = frozenset(line for h in headers for line in h.lines), len(headers[0].names)
    # these hide columns of the same name in the files, as in Hive
    of_folders = {name: Column("text") for name in partitions}
    return Source(
        paths=tuple(e.path for e in kept),
        format=format_,
        columns=columns | of_folders,
        size=sum(e.size for e in kept),
        root=entry.path,
        headers=lines,
        width=width,
        partitions=partitions,
        refused=refused,
    )


def _refuse_twice(files: list[Entry]) -> None:
    """Raise InputError where two of the names are one file: each row would count twice, with the noise for one."""
    seen: dict[str, str] = {}
    for entry in files:
        file = identity(entry.path)
        if file is not None and file in seen:
            allowed = f"every file once; it is {quoted(seen[file])}, too"
            raise InputError.of("a file that a link puts there twice", entry.path, allowed)
        if file is not None:
            seen[file] = entry.path


def _refuse_files_that_are_folders(entry: Entry, kept: list[Entry], files: Files) -> None:
    """Raise InputError where a store of objects has one that is a folder of others, too: Spark reads those instead.

    In a folder they would then be read twice, each row with the noise for one.
    """
    both = {e.path for e in kept} & {outer for e in kept for outer in _above(e.path, entry.path)}
    if not entry.is_folder and [e.path for e in files.children(entry.path)] != [entry.path]:
        both = {entry.path}
    if both:
        raise InputError.of("a file that is a folder, too", min(both), "an address that is either")


def _above(path: str, root: str) -> list[str]:
    """The folders that a path lies in, below the root."""
    parts = path.removeprefix(root).strip("/").split("/")
    return ["/".join([root.rstrip("/"), *parts[:i]]) for i in range(1, len(parts))]


def _visible(entries: list[Entry]) -> list[Entry]:
    """Leave out what Spark skips, by name: hidden files and folders, but no partition."""
    kept = (e for e in entries if not e.name.startswith(".") and (_is_partition(e) or not e.name.startswith("_")))
    return sorted(kept, key=lambda e: e.path)


def _is_partition(entry: Entry) -> bool:
    return entry.is_folder and "=" in entry.name


def _endings(folder: Entry, files: Files) -> list[str]:
    """The names in a folder and its partitions that may tell the format."""
    names: list[str] = []
    for entry in _visible(files.children(folder.path)):
        names += _endings(entry, files) if _is_partition(entry) else [entry.name]
    return names


def _walk(folder: Entry, format_: str, files: Files) -> list[Entry]:
    inside: list[Entry] = []
    for entry in _visible(files.children(folder.path)):
        if not within(entry.path, folder.path):  # a key with /../ in it: Hadoop shows another folder in its place
            raise InputError.of("an object in it whose key has '..'", folder.path, "keys without '..'")
        if not entry.is_folder:
            inside.append(entry)
        elif format_ == "parquet" or _is_partition(entry):
            inside += _walk(entry, format_, files)
        else:
            allowed = "a folder that holds CSV files only, or folders named like year=2020"
            raise InputError.of("a folder inside the folder", entry.path, allowed)
    return inside


def _partitions(root: Entry, files: list[Entry]) -> tuple[str, ...]:
    """The columns that the folders between the root and the files give by their names, the same for every file."""
    between = {tuple(e.path.removeprefix(root.path).strip("/").split("/")[:-1]) for e in files}
    if not any("=" in folder for folders in between for folder in folders):
        return ()
    # Spark undoes Hive's %3D and the like character by character
    keys = {tuple(unquote(f.partition("=")[0], "latin-1") for f in folders) for folders in between}
    names = min(keys)
    plain = any("=" not in folder for folders in between for folder in folders)
    if plain or len(keys) > 1 or not all(names) or len(set(names)) != len(names):
        raise InputError.of("folders of different partitions", root.path, _PARTITIONS)
    return names


def _parquet_columns(uri: str, entries: list[Entry], files: Files) -> parquet.Columns:
    allowed = "Parquet files that Spark 3.5 can read"
    try:
        return parquet.columns([(e.path, e.size) for e in entries], files.read)
    except parquet.UnreadableError as error:
        raise InputError.of(f"not readable as Parquet{error}", uri, allowed) from None
    except InputError:
        raise
    except Exception:  # the library's text may quote bytes of the file
        raise InputError.of("not readable as Parquet", uri, allowed) from None


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

    def read(self, path: str, start: int, size: int) -> bytes:
        """Return a file's bytes from `start` on, `size` of them or as many as there are."""
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(size)
