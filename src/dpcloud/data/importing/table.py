"""From files to one Parquet file: read, decide over whole columns, write at once or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dpcloud.data.importing.cells import body, identifier, quote
from dpcloud.data.importing.cells import parquet as parquet_files
from dpcloud.data.importing.columns import Column, Survey, decide, filled, refuse, words
from dpcloud.data.importing.excel import ExcelRecords
from dpcloud.data.importing.files import Part, find
from dpcloud.data.importing.json_lines import JsonRecords
from dpcloud.data.importing.options import Options, below_the_table
from dpcloud.data.importing.spool import PREFIX, Records, Spool
from dpcloud.data.importing.text import TextRecords
from dpcloud.data.importing.typed import TYPED, source_of_parquet
from dpjobs import parquet
from dpjobs.errors import InputError, quoted
from dpjobs.identity import identity

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY = "2GB"


@dataclass
class _Read:
    """What was found out about each file, and about each column; the columns without a name of their own.

    `comma` says that commas separate all cells, so that none of them stands in a number without quotes.
    """

    files: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    unnamed: set[str] = field(default_factory=set)
    comma: bool = True


@dataclass(frozen=True)
class Imported:
    """What was made: its columns, and of each file what was found out about it; `replaced` another at its path.

    `left_out` are columns, `hidden` members of zips, which were not read.
    """

    output: Path
    columns: list[Column]
    files: dict[str, list[str]]
    left_out: list[str]
    hidden: list[str]
    replaced: bool


def import_table(given: Sequence[str], output: Path, options: Options, overwrite: bool) -> Imported:
    """Read the files and write `output`; raises InputError, and then nothing is left behind."""
    _check_output(output, overwrite)
    parts = find(given)
    _check_not_an_input(output, parts)
    replaced = output.exists()
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as name,
            _connection(name) as db,
        ):
            read = _read(parts, Path(name), db, options)
            names, made = [part.name for part in parts], Path(name) / "made.parquet"
            surveys, columns, left_out = _columns(db, options, names, read)
            _write(db, columns, options, made)
            _check_fit(db, surveys, columns, options, names, made)
            _check_readable(made)
            if not overwrite:
                _check_output(output, overwrite)
            made.replace(output)
    except OSError:
        raise _unwritable(output) from None
    return Imported(output, columns, read.files, left_out, [name for part in parts for name in part.hidden], replaced)


def _read(parts: list[Part], folder: Path, db: "DuckDBPyConnection", options: Options) -> _Read:
    """Make the view `source`; return what was found out."""
    if parts[0].kind == "parquet":
        return _Read(source_of_parquet(db, parts))
    spool = Spool(folder)
    read = _Read()
    first: list[str] | None = None
    capitals: dict[str, str] = {}
    for number, part in enumerate(parts):
        records = _records(part, options)
        if part.kind != "json":
            first = first if first is not None else records.names
            _check_same(records.names, first, part, parts[0])
        spool.take(number, records)
        _check_capitals(records.names, capitals, part)
        read.files[part.name] = records.said
        read.unnamed |= records.unnamed
        read.comma = read.comma and records.separator == ","
        for name, said in records.notes.items():
            noted = read.notes.setdefault(name, [])
            noted.extend(text for text in said if text not in noted)
    db.execute(f"create view source as select * from {parquet_files(*spool.files, options=', union_by_name = true')}")
    return read


def _records(part: Part, options: Options) -> Records:
    if part.kind == "json":
        return JsonRecords(part, options)
    return ExcelRecords(part, options) if part.kind == "excel" else TextRecords(part, options)


def _check_same(names: list[str], first: list[str], part: Part, first_part: Part) -> None:
    other = next(iter(sorted(set(names) ^ set(first))), None)
    if other is not None:
        which = "has no" if other in first else "has a"
        raise InputError.of(
            f"{part.name} {which} column {quoted(other)}", part.name, f"the same columns as in {first_part.name}"
        )


def _check_capitals(names: list[str], capitals: dict[str, str], part: Part) -> None:
    """Raise InputError where two names differ by capitals alone, which neither DuckDB nor Spark tells apart."""
    for name in names:
        other = capitals.setdefault(name.casefold(), name)
        if other != name:
            what = f"a column whose name differs from {quoted(other)} by capitals alone, in {part.name}"
            raise InputError.of(what, name, "names that differ by more")


def _columns(
    db: "DuckDBPyConnection",
    options: Options,
    names: list[str],
    read: _Read,
) -> tuple[list[Survey], list[Column], list[str]]:
    """Decide what each column is; raises InputError."""
    there = {
        name.removeprefix(PREFIX): str(type_)
        for name, type_, *_ in db.execute("describe source").fetchall()
        if name.startswith(PREFIX)
    }
    if not there:
        raise InputError.of("nothing to read", names[0], "a file with columns")
    for wanted in {*options.text, *options.number, *(set(options.decimals) - {""})} - there.keys():
        raise InputError.of("no such column", wanted, ", ".join(map(quoted, there)))
    surveys = [Survey.of(db, name, options) for name, type_ in there.items() if type_ == "VARCHAR"]
    decided = {column.name: column for column in decide(surveys, options, names, read.comma)}
    empty = {survey.name for survey in surveys if not survey.found}
    left_out = [name for name in there if name in empty and name in read.unnamed]
    columns = []
    for name, type_ in there.items():
        if name in left_out:
            continue
        column = decided.get(name) or Column(name, TYPED.get(type_.partition("(")[0], type_.lower()), None)
        column.notes[:0] = read.notes.get(name, [])
        column.unnamed = name in read.unnamed
        columns.append(column)
    return surveys, columns, left_out


def _check_fit(
    db: "DuckDBPyConnection",
    surveys: list[Survey],
    columns: list[Column],
    options: Options,
    names: list[str],
    made: Path,
) -> None:
    """Whatever was decided, no filled cell is lost without a word: as many are written as were found."""
    times = {survey.name: survey.times for survey in surveys}
    counts = ", ".join(f"count({identifier(column.name)})" for column in columns)
    written = db.execute(f"select {counts} from {parquet_files(made)}").fetchone() or ()
    for column, count in zip(columns, written, strict=True):
        if column.value is None or count == times[column.name]:
            continue
        if options.lenient:
            column.notes.append("cells that do not fit are empty")
            continue
        file, line, cell = db.execute(
            f"select file, line, v from ({filled(column.name)}) where (v in ({words(options)})) is not true "
            f"and ({column.value('v', 'b')}) is null order by file, line limit 1"
        ).fetchone() or (0, 0, "")
        after = db.execute(f"select count(*) from source where file = {file} and line > {line}").fetchone() or (0,)
        refuse(column, names[file], line, cell, below_the_table(after[0]))


def _write(db: "DuckDBPyConnection", columns: list[Column], options: Options, made: Path) -> None:
    """Write the values of all columns: each cell trimmed, empty where it is one of the words for that."""
    cells, bodies, values = [], [], []
    for i, column in enumerate(columns):
        raw, name = identifier(PREFIX + column.name), identifier(column.name)
        if column.value is None:
            cells.append(f"{raw} as v{i}")
            values.append(f"v{i} as {name}")
        else:
            cells.append(f"case when ({raw} in ({words(options)})) is not true then nullif({raw}, '') end as v{i}")
            bodies.append(f"{body(f'v{i}')} as b{i}")
            values.append(f"{column.value(f'v{i}', f'b{i}')} as {name}")
    inner = f"select {', '.join(cells)} from source"
    middle = f"select {', '.join(['*', *bodies])} from ({inner})"
    db.execute(f"copy (select {', '.join(values)} from ({middle})) to {quote(str(made))} (format parquet)")


def _check_readable(made: Path) -> None:
    """Hold what was written against what `dpcloud run` reads, on both backends."""

    def read(path: str, start: int, size: int) -> bytes:
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(size)

    refused = parquet.columns([(str(made), made.stat().st_size)], read).refused
    if refused:
        name, why = next(iter(refused.items()))
        raise InputError.of(f"a column that `dpcloud run` would not read ({why})", name, "plain values")


@contextlib.contextmanager
def _connection(folder: str) -> Iterator["DuckDBPyConnection"]:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY,
        "temp_directory": folder,
        "autoinstall_known_extensions": "false",
    }
    try:
        with duckdb.connect(config=settings) as connection:
            yield connection
    except duckdb.IOException as error:
        raise OSError from error
    except RuntimeError:  # what DuckDB makes of Ctrl-C
        raise KeyboardInterrupt from None


def _check_output(output: Path, overwrite: bool) -> None:
    if output.suffix.lower() != ".parquet":
        raise InputError.of("the output's name", output, "a name that ends in .parquet")
    if os.path.lexists(output) and not (overwrite and output.is_file()):
        raise InputError.of(
            "the output exists already", output, "a path where nothing is yet, or a file with --overwrite"
        )
    if not output.parent.is_dir():
        raise InputError.of("the output's folder is not there", output.parent, "a folder that exists")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise _unwritable(output)


def _check_not_an_input(output: Path, parts: list[Part]) -> None:
    if output.exists() and identity(str(output)) in {identity(str(part.path)) for part in parts}:
        raise InputError.of("the output is one of the files to import", output, "a name of its own")


def _unwritable(output: Path) -> InputError:
    return InputError.of("the output cannot be written", output, "a writable folder with enough free space")
