"""Writes the synthetic census table through Spark, at any size and always the same for the same seed."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from dpcloud.data.schema import COLUMNS, DEFAULT_ROWS, ROW_NUMBER, layers
from dpjobs.errors import InputError

if TYPE_CHECKING:  # Spark is imported by whoever made the session, and not for `--help`
    from pyspark.sql import DataFrame, SparkSession

FORMATS = ("csv", "parquet")
MAX_ROWS = 10**10
ROWS_PER_FILE = 1_000_000
"""A table up to this size is one file; a larger one is a folder of files of at most this size."""

_COLUMNS_PER_METHOD = 8
"""Measured: 37 columns take ten times longer in one method, 3 columns two thirds of the time."""

# RFC 4180, and nothing trimmed: Spark's own defaults escape with a backslash.
_CSV = {
    "header": "true",
    "quote": '"',
    "escape": '"',
    "nullValue": "",
    "emptyValue": "",
    "lineSep": "\n",
    "encoding": "UTF-8",
    "ignoreLeadingWhiteSpace": "false",
    "ignoreTrailingWhiteSpace": "false",
}


def generate(
    spark: "SparkSession",
    *,
    rows: int = DEFAULT_ROWS,
    seed: int = 0,
    output: Path,
    format: str = "csv",
    columns: Sequence[str] | None = None,
) -> None:
    """Write `rows` synthetic census tracts to `output`, which must not exist yet.

    Up to a million rows give one file, more give a folder of files named part-00000 and so on. The bytes
    depend on the arguments alone, not on cores or sessions. `format` is "csv" (RFC 4180, UTF-8, a header
    in each file, an empty cell for null) or "parquet" (bigint, double, string). `columns` are some of the
    table's columns, or the row number `id`, in the order wanted; None means all 37. `TractId` repeats only
    beyond 10⁸ rows.

    Raises InputError when an argument is not allowed or the output cannot be written; nothing is left
    behind then.
    """
    check(rows=rows, seed=seed, output=output, format=format, columns=columns)
    made = table(spark, rows=rows, seed=seed, columns=columns, parts=max(1, -(-rows // ROWS_PER_FILE)))
    try:
        with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as folder:
            with _compiled(spark, len(made.columns)):
                _write(made, Path(folder) / "table", format)
            files = sorted((Path(folder) / "table").glob("part-*"))
            result = files[0] if len(files) == 1 else Path(folder) / "table"
            _refuse_existing(output)
            result.rename(output)
    except OSError:
        raise _unwritable(output) from None


def table(
    spark: "SparkSession", *, rows: int, seed: int, columns: Sequence[str] | None = None, parts: int
) -> "DataFrame":
    """Return the table in the order of its row numbers, in `parts` partitions, which do not change a cell."""
    made = spark.range(0, rows, 1, parts)
    wanted = columns or COLUMNS
    for layer in layers(wanted, rows, seed):
        made = made.selectExpr(*layer)
    return made.select(*wanted)


def check(*, rows: int, seed: int, output: Path, format: str, columns: Sequence[str] | None) -> None:
    """Raise InputError when `generate` would refuse these arguments; needs no Spark."""
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
    known = {name.lower(): name for name in (*COLUMNS, ROW_NUMBER)}
    for name in columns:
        if name not in known.values():
            close = get_close_matches(name.lower(), known, n=1)
            hint = f"; did you mean {known[close[0]]!r}?" if close else ""
            raise InputError.of("unknown column", name, f"id or a column of the census file{hint}")
    if not columns or len(set(columns)) < len(columns):
        raise InputError.of("columns", ",".join(columns), "at least one, each once")


@contextlib.contextmanager
def _compiled(spark: "SparkSession", columns: int) -> Iterator[None]:
    """Let Spark make one Java method per table while that is small: of more than 8,000 bytes Java compiles none."""
    key = "spark.sql.codegen.wholeStage"
    before = str(spark.conf.get(key))
    spark.conf.set(key, "true" if columns <= _COLUMNS_PER_METHOD else "false")
    try:
        yield
    finally:
        spark.conf.set(key, before)


def _write(made: "DataFrame", folder: Path, format: str) -> None:
    """Write the files part-00000 … with no others beside them. Raises OSError whatever goes wrong in Spark."""
    writer = made.write.options(**_CSV) if format == "csv" else made.write
    try:
        writer.save(folder.absolute().as_uri(), format=format)
    except Exception as error:  # Spark tells a full disk as a Java exception of several pages
        raise OSError from error
    for file in folder.iterdir():
        # Spark names a part "part-00000-" and a random id, and adds a checksum and a marker.
        if file.name.startswith("part-"):
            file.rename(folder / f"{file.name[:10]}.{format}")
        else:
            file.unlink()


def _refuse_existing(output: Path) -> None:
    if os.path.lexists(output):
        raise InputError.of("the output exists already", output, "a path where nothing is yet")


def _unwritable(output: Path) -> InputError:
    return InputError.of("the output cannot be written", output, "a writable folder with enough free space")
