"""From files to bounded integer columns: read, select, clean, clamp, fixed point. All lazy, all in the JVM.

What a row is: one line of CSV that ends in `\\n`, or one Parquet row. Whatever a row holds, it changes no other
row, it cannot make the job fail, and it becomes either nothing or integers within the plan's bounds.
"""

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from dpjobs.measurement import SUM, SUM_OF_SQUARES, Grid, Plan, Squares
from dpjobs.query import Query
from dpjobs.source import Source, is_local

MAX_LINE = 1 << 20
"""Bytes: a CSV line as long as this or longer is left out (no part of it is parsed)."""

CELL = "cell"
_ONE = "one"

# One hostile line must not change its neighbours: no multi-line cells, `\\n` alone ends a line, and no line that
# gets through has more columns than the parser takes. Bad rows give nulls, never an exception.
_CSV_OPTIONS: dict[str, str] = {
    "header": "true",
    "enforceSchema": "true",
    "mode": "PERMISSIVE",
    "multiLine": "false",
    "lineSep": "\n",
    "sep": ",",
    "quote": '"',
    "escape": '"',
    "encoding": "UTF-8",
    "maxColumns": str(MAX_LINE + 1),
    "maxCharsPerColumn": "-1",
    "mapreduce.input.linerecordreader.line.maxlength": str(MAX_LINE),
}


def read(spark: SparkSession, source: Source, column: str | None) -> DataFrame:
    """Return the table's rows with the one column asked for as `cell`, or with no column's content at all.

    A CSV's cells are strings; only the column asked for is parsed, and no pass is spent on guessing types.
    """
    paths = [_escaped(path) for path in source.paths]
    if source.format == "parquet":
        table = spark.read.parquet(*paths)
        cell = None if column is None else F.col("`" + column.replace("`", "``") + "`")
    else:
        fields = [StructField(f"c{i}", StringType()) for i in range(len(source.columns))]
        reader = spark.read.schema(StructType(fields)).options(**_CSV_OPTIONS)
        table = reader.csv(paths)
        cell = None if column is None else F.col(f"c{list(source.columns).index(column)}")
    return table.select(F.lit(1).alias(_ONE) if cell is None else cell.alias(CELL))


def counted(rows: DataFrame) -> DataFrame:
    """Keep the rows whose cell is not empty, as SQL's COUNT does; all of them when there is no cell."""
    if CELL not in rows.columns:
        return rows
    cell = F.col(CELL)
    kept = rows.where(cell.isNotNull())
    if isinstance(rows.schema[CELL].dataType, StringType):
        kept = kept.where(~cell.isin("", "\r"))  # the last cell of a line that ends in \r\n keeps the \r
    return kept.select(F.lit(1).alias(_ONE))


def numbers(rows: DataFrame) -> DataFrame:
    """Keep the rows whose cell is a number, as a double `cell`; infinities are kept, to be clamped."""
    value = F.col(CELL).cast("double")
    if isinstance(rows.schema[CELL].dataType, StringType):
        # Java reads "12d" and "1.5F" as numbers; in a table they are codes
        value = F.when(~F.col(CELL).rlike(r"[0-9.][dDfF]\s*$"), value)
    doubles = rows.select(value.alias(CELL))
    return doubles.where(F.col(CELL).isNotNull() & ~F.isnan(CELL))


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
