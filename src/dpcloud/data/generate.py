"""Writes the synthetic census table through DuckDB, at any size and always the same for the same seed."""

import os
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from dpcloud.data.hashing import MACROS
from dpcloud.data.schema import COLUMNS, DEFAULT_ROWS, ROW_NUMBER, layers
from dpjobs.errors import InputError

FORMATS = ("csv", "parquet")
MAX_ROWS = 10**10
ROWS_PER_FILE = 1_000_000
"""A table up to this size is one file; a larger one is a folder of files of at most this size."""

# RFC 4180, quoted where need be
_OPTIONS = {"csv": "format csv, header", "parquet": "format parquet"}


def generate(
    *,
    rows: int = DEFAULT_ROWS,
    seed: int = 0,
    output: Path,
    format: str = "csv",
    columns: Sequence[str] | None = None,
    rows_per_file: int = ROWS_PER_FILE,
) -> None:
    """Write `rows` synthetic census tracts to `output`, which must not exist yet.

    Up to `rows_per_file` rows give one file, more give a folder of files named part-00000 and so on. The bytes
    depend on the arguments alone, not on cores or sessions. `format` is "csv" (RFC 4180, UTF-8, a header
    in each file, an empty cell for null) or "parquet" (bigint, double, string). `columns` are some of the
    table's columns, or the row number `id`, in the order wanted; None means all 37. `TractId` repeats only
    beyond 10⁸ rows.

    Raises InputError when an argument is not allowed or the output cannot be written; nothing is left
    behind then.
    """
    check(rows=rows, seed=seed, output=output, format=format, columns=columns)
    parts = max(1, -(-rows // rows_per_file))
    try:
        with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as folder:
            made = Path(folder) / "table"
            made.mkdir()
            files = [made / f"part-{part:05}.{format}" for part in range(parts)]
            for part, file in enumerate(files):
                first, last = part * rows // parts, (part + 1) * rows // parts
                _write(select(rows=rows, seed=seed, columns=columns, first=first, last=last), file, format)
            result = files[0] if parts == 1 else made
            _refuse_existing(output)
            result.rename(output)
    except OSError:
        raise _unwritable(output) from None


def select(*, rows: int, seed: int, columns: Sequence[str] | None = None, first: int = 0, last: int) -> str:
    """Return the SQL of the table's rows from number `first` to before `last`, in order."""
    wanted = columns or COLUMNS
    made = f"select range as {ROW_NUMBER} from range({first}, {last})"  # noqa: S608 (numbers)
    for layer in [*layers(wanted, rows, seed), wanted]:
        made = f"select {', '.join(layer)} from ({made})"  # noqa: S608 (formulas, and columns that are known)
    return made


def check(*, rows: int, seed: int, output: Path, format: str, columns: Sequence[str] | None) -> None:
    """Raise InputError when `generate` would refuse these arguments."""
    if not 0 <= rows <= MAX_ROWS:
        raise InputError.of("number of rows", rows, f"a whole number from 0 to {MAX_ROWS:,}")
    if not -(2**63) < seed < 2**63:
        raise InputError.of("seed", seed, "a whole number of at most 63 bits")
    if format not in FORMATS:
        raise InputError.of("unknown format", format, " or ".join(FORMATS))
    if columns is not None:
        _check_columns(columns)
    _refuse_existing(output)
    if not output.parent.is_dir():
        raise InputError.of("the output's folder is not there", output.parent, "a folder that exists")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise _unwritable(output)


def _check_columns(columns: Sequence[str]) -> None:
    by_lower_case = {name.lower(): name for name in (*COLUMNS, ROW_NUMBER)}
    for name in columns:
        if name not in by_lower_case.values():
            close = get_close_matches(name.lower(), by_lower_case, n=1)
            hint = f"; did you mean {by_lower_case[close[0]]!r}?" if close else ""
            raise InputError.of("unknown column", name, f"id or a column of the census file{hint}")
    if not columns or len(set(columns)) < len(columns):
        raise InputError.of("columns", ",".join(columns), "at least one, each once")


def _write(made: str, file: Path, format: str) -> None:
    """Write one file. Raises OSError whatever goes wrong in DuckDB, of which a full disk is the likeliest."""
    import duckdb

    try:
        with duckdb.connect() as connection:
            for macro in MACROS:
                connection.execute(macro)
            connection.execute(f"copy ({made}) to {_text(file)} ({_OPTIONS[format]})")
    except duckdb.Error as error:
        raise OSError from error
    except RuntimeError:  # what DuckDB makes of Ctrl-C
        raise KeyboardInterrupt from None


def _text(path: Path) -> str:
    return "'" + str(path.absolute()).replace("'", "''") + "'"


def _refuse_existing(output: Path) -> None:
    if os.path.lexists(output):
        raise InputError.of("the output exists already", output, "a path where nothing is yet")


def _unwritable(output: Path) -> InputError:
    return InputError.of("the output cannot be written", output, "a writable folder with enough free space")
