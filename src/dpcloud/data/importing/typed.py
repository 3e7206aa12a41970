"""Parquet files: columns that have types already keep them; texts are looked at as those of a CSV are."""

from typing import TYPE_CHECKING

from dpcloud.data.importing.cells import BLANKS, identifier, one_file, parquet, quote
from dpcloud.data.importing.files import Part
from dpcloud.data.importing.spool import PREFIX
from dpjobs.errors import InputError, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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

_LINE = "file_row_number"


def source_of_parquet(db: "DuckDBPyConnection", parts: list[Part]) -> dict[str, list[str]]:
    """Make the view `source`; return what is to be said of each file. Raises InputError where the files differ.

    Columns of lists and other things that are no plain values are left out, which is said.
    """
    all_ = [_columns(db, part) for part in parts]
    columns = [{name: type_ for name, type_ in there.items() if _is_plain(type_)} for there in all_]
    said = {
        part.name: [
            "Parquet",
            *(
                f"column {quoted(name)} is left out: {type_[:40]} is no plain value"
                for name, type_ in there.items()
                if not _is_plain(type_)
            ),
        ]
        for part, there in zip(parts, all_, strict=True)
    }
    if not columns[0]:
        raise InputError.of("no column of plain values", parts[0].name, "numbers, texts, dates, true and false")
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
            f"from {parquet(part.path, options=f', {_LINE} = true')}"
        )
    db.execute(f"create view source as {' union all '.join(each)}")
    return said


def _columns(db: "DuckDBPyConnection", part: Part) -> dict[str, str]:
    import duckdb

    try:
        rows = db.execute(f"describe select * from {parquet(part.path)}").fetchall()
    except duckdb.Error:
        raise InputError.of("not readable as Parquet", part.name, "a whole Parquet file") from None
    columns = {str(row[0]): str(row[1]) for row in rows}
    names = {
        row[0] for row in db.execute(f"select name from parquet_schema({quote(one_file(part.path))})").fetchall()
    }
    if other := sorted(columns.keys() - names):  # DuckDB gives the second another name
        what = "a column whose name differs from another's by capitals alone, called"
        raise InputError.of(what, other[0], "names that differ by more")
    if own := next((name for name in columns if name.casefold() == _LINE), None):
        raise InputError.of("a column of a name that DuckDB gives to its own", own, "another name")
    return columns


def _is_plain(type_: str) -> bool:
    kind = type_.partition("(")[0]
    return not type_.endswith("]") and (kind in (*TYPED, "VARCHAR") or kind == "ENUM")


def _plain(name: str, type_: str) -> str:
    kind = type_.partition("(")[0]
    if kind.startswith("TIMESTAMP"):
        return f"cast({identifier(name)} as timestamp)"
    if kind not in TYPED:
        return f"trim(cast({identifier(name)} as varchar), {quote(BLANKS)})"
    return identifier(name)
