"""From files to bounded integer columns: read, select, clean, clamp, fixed point. All lazy, all in the JVM.

What a row is: one line of CSV that ends in `\\n`, or one Parquet row. Whatever a row holds, it changes no other
row, it cannot make the job fail, and it becomes either nothing or integers within the plan's bounds.
"""

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from dpjobs.addresses import is_local
from dpjobs.measurement import SUM, SUM_OF_SQUARES, Grid, Plan, Squares
from dpjobs.query import Query
from dpjobs.source import Source

MAX_LINE = 1 << 20
"""Characters: of a longer CSV line only these are read."""

CELL = "cell"
_ONE = "one"
_LINE = "value"

# Every pattern is possessive or atomic, so that each takes a time linear in the line: a cell of a million digits
# or quotes must not keep a core busy for hours, nor use up Java's stack.
_SPACE = r"[\x00-\x20]*+"
_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'
_CELL_OF_LINE = rf"(?>{_QUOTED}[^,]*+|[^,]*+)"
_UNQUOTED = rf'\A"([^"]*+(?:""[^"]*+)*+)"{_SPACE}\z'
# What is a number in a text: no hexadecimals, no "12d" and "1.5F", which Java would take
_NUMBER = rf"(?i)\A{_SPACE}([+-]?+(?>(?>\d++(?:\.\d*+)?+|\.\d++)(?:e[+-]?+\d++)?+|inf(?:inity)?+)){_SPACE}\z"


def read(spark: SparkSession, source: Source, column: str | None) -> DataFrame:
    """Return the table's rows with the one column asked for as `cell`, or with no column's content at all.

    A CSV's cells are strings; only the column asked for is parsed, and no pass is spent on guessing types. Reads
    no row itself; raises Spark's AnalysisException when the files' schema is none that Spark knows.
    """
    paths = [_escaped(path) for path in source.paths]
    if source.format == "parquet":
        table = spark.read.parquet(*paths)
        cell = None if column is None else F.col("`" + column.replace("`", "``") + "`")
    else:
        table = _lines(spark, paths, source.headers)
        cell = None if column is None else _cell(list(source.columns), column)
    return table.select(F.lit(1).alias(_ONE) if cell is None else cell.alias(CELL))


def _lines(spark: SparkSession, paths: list[str], headers: frozenset[str]) -> DataFrame:
    """The lines of CSV files but for blank ones and the header, each at most MAX_LINE long.

    Not Spark's CSV reader: it fails on too many columns, and the limit that Hadoop's reader offers for a line's
    length lets the end of a long line through as a row where a split happens to begin within it, so that one row
    more could change how all others are read. Here what becomes of a line depends on the line alone.
    """
    line = F.col(_LINE)
    cut = F.when(F.octet_length(line) <= MAX_LINE, line).otherwise(F.substring(line, 1, MAX_LINE))
    kept = line.rlike(r"[^\x00-\x20]") & ~line.isin(*headers)
    return spark.read.text(paths, lineSep="\n").where(kept).select(cut.alias(_LINE))


def _cell(columns: list[str], column: str) -> Column:
    """The column's cell of a line, after RFC 4180; empty when the line has too few.

    A quote that is never closed, or not at a cell's beginning, is a character like any other.
    """
    place = columns.index(column)
    found = F.regexp_extract(_LINE, rf"\A(?:{_CELL_OF_LINE},){{{place}}}+({_CELL_OF_LINE})", 1)
    return F.regexp_replace(found, _UNQUOTED, "$1")


def counted(rows: DataFrame) -> DataFrame:
    """Keep the rows whose cell is not empty, as SQL's COUNT does; all of them when there is no cell."""
    if CELL not in rows.columns:
        return rows
    if isinstance(rows.schema[CELL].dataType, StringType):
        filled = ~F.col(CELL).isin("", "\r")  # the last cell of a line that ends in \r\n keeps the \r
    else:
        filled = F.col(CELL).isNotNull()
    return rows.where(filled).select(F.lit(1).alias(_ONE))


def numbers(rows: DataFrame) -> DataFrame:
    """Keep the rows whose cell is a number, as a double `cell`; infinities are kept, to be clamped."""
    if not isinstance(rows.schema[CELL].dataType, StringType):
        doubles = rows.select(F.col(CELL).cast("double").alias(CELL))
        return doubles.where(F.col(CELL).isNotNull() & ~F.isnan(CELL))
    value = F.regexp_extract(CELL, _NUMBER, 1).cast("double")
    # explode() is a fence: without it Spark would parse each line once for the filter and again for every use
    return rows.select(F.explode(F.array(value)).alias(CELL)).where(F.col(CELL).isNotNull())


def prepare(rows: DataFrame, plan: Plan) -> DataFrame:
    """Return one row per counted row, with a bigint column for every measured sum, within its bounds.

    `rows` is what `read` returned. Nulls are gone before anything is clamped: Spark's `least` and `greatest`
    skip them and would give the bound.
    """
    if plan.query is Query.COUNT:
        return counted(rows)
    if plan.grid is None:
        raise ValueError(f"a plan for {plan.query.value} has a grid")
    measured = numbers(rows).select(_integer(F.col(CELL), plan.grid).alias(SUM))
    if plan.squares is None:
        return measured
    return measured.select(SUM, _square(F.col(SUM), plan.squares).alias(SUM_OF_SQUARES))


def _integer(x: Column, grid: Grid) -> Column:
    """k = round((clamp(x) − middle) / step), clamped again as an integer; division by a power of two is exact."""
    clamped = F.least(F.greatest(x, F.lit(grid.bounds.lower)), F.lit(grid.bounds.upper))
    k = F.rint((clamped - F.lit(grid.middle)) / F.lit(grid.step)).cast("bigint")
    return _clamped(k, grid.lower, grid.upper)


def _square(k: Column, squares: Squares) -> Column:
    """(k² − centre + half) >> shift, clamped; |k| <= 2²⁴, so k² fits 49 bits."""
    half = (1 << squares.shift) >> 1
    shifted = F.shiftright(k * k + F.lit(half - squares.centre).cast("bigint"), squares.shift)
    return _clamped(shifted, squares.lower, squares.upper)


def _clamped(k: Column, lower: int, upper: int) -> Column:
    return F.least(F.greatest(k, F.lit(lower).cast("bigint")), F.lit(upper).cast("bigint"))


def _escaped(path: str) -> str:
    """Keep Spark from reading a path as a pattern, or a local one as one of the cluster's default file system."""
    escaped = "".join("\\" + c if c in "{}[]*?\\" else c for c in path)
    return f"file://{escaped}" if is_local(path) else escaped
