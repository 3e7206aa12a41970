"""Parquet files: columns that have types already keep them; texts are looked at as those of a CSV are."""

from typing import TYPE_CHECKING

from dpcloud.data.importing.cells import BLANKS, identifier, quote
from dpcloud.data.importing.files import Part
from dpcloud.data.importing.spool import PREFIX
from dpjobs.errors import InputError, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LINE = "file_row_number"
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
TYPED = {
    **dict.fromkeys(_WHOLE, "whole number"),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "number"),
    "BOOLEAN": "true/false",
    "DATE": "date",
    "TIME": "time",
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"), "date and time"
    ),
}
"""How the types of DuckDB are called on the screen."""


def source_of_parquet(db: "DuckDBPyConnection", parts: list[Part]) -> None:
    """Make the view `source`; raises InputError where the files differ, or hold more than plain values."""
    columns = [_columns(db, part) for part in parts]
    for part, there in zip(parts, columns, strict=True):
        other = next(iter(sorted(there.keys() ^ columns[0].keys())), None)
        if other is not None:
            which = "has a" if other in there else "has no"
            allowed = f"the same columns as in {parts[0].name}"
            raise InputError.of(f"{part.name} {which} column {quoted(other)}", part.name, allowed)
    each = []
    for number, part in enumerate(parts):
        chosen = [f"{_plain(name, type_)} as {identifier(PREFIX + name)}" for name, type_ in columns[0].items()]
        each.append(
            f"select {number} as file, {_LINE} + 1 as line, {', '.join(chosen)} "
            f"from read_parquet({quote(str(part.path))}, {_LINE} = true)"
        )
    db.execute(f"create view source as {' union all '.join(each)}")


def _columns(db: "DuckDBPyConnection", part: Part) -> dict[str, str]:
    import duckdb

    try:
        rows = db.execute(f"describe select * from read_parquet({quote(str(part.path))})").fetchall()
    except duckdb.Error:
        raise InputError.of("not readable as Parquet", part.name, "a whole Parquet file") from None
    columns = {str(row[0]): str(row[1]) for row in rows}
    names = {row[0] for row in db.execute(f"select name from parquet_schema({quote(str(part.path))})").fetchall()}
    if other := sorted(columns.keys() - names):  # DuckDB gives the second another name
        what = "a column whose name differs from another's by capitals alone, called"
        raise InputError.of(what, other[0], "names that differ by more")
    for name, type_ in columns.items():
        if name.casefold() == _LINE:
            raise InputError.of("a column of a name that DuckDB gives to its own", name, "another name")
        if type_.partition("(")[0] not in (*TYPED, "VARCHAR") and not type_.startswith("ENUM"):
            raise InputError.of(f"a column of the type {type_[:40]}", name, "numbers, texts, dates, true and false")
    return columns


def _plain(name: str, type_: str) -> str:
    kind = type_.partition("(")[0]
    if kind.startswith("TIMESTAMP"):
        return f"cast({identifier(name)} as timestamp)"
    if kind not in TYPED:
        return f"trim(cast({identifier(name)} as varchar), {quote(BLANKS)})"
    return identifier(name)
