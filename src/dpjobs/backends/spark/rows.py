"""From files to bounded integer columns: read, select, clean, clamp, fixed point. All lazy, all in the JVM.

What a row is: one line of CSV that ends in `\\n`, or one Parquet row. Whatever a row holds, it changes no other
row, it cannot make the job fail, and it becomes either nothing or integers within the plan's bounds.

So no string function of Spark sees what a file holds: Spark checks no string that it reads, and believes the first
byte of a character about the character's length, past the end of the string, where an earlier row still stands.
Bytes stay bytes until they are cut to a bounded length and turned into a string of one character a byte, row by row.
"""

import math

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructType

from dpjobs import parquet
from dpjobs.addresses import is_local
from dpjobs.bounds import HIGHEST, LOWEST, OFFSET
from dpjobs.plan import LEFT_OUT, SIDES, Grid, Plan, Rows
from dpjobs.source import Source

MAX_LINE = 1 << 20
"""Bytes: of a longer CSV line, or a longer text in Parquet, only these are read."""

CELL = "cell"
BROKEN = "broken"
FILLED = "filled"
NUMBER = "x"
KIND = "kind"
BIN = "bin"
STEPS = "k"
CODES = {kind: code for code, kind in enumerate((*LEFT_OUT, *SIDES))}
"""What stands in the column of kinds."""
_ONE = "one"
_LINE = "dpjobs.line"

# Every pattern is possessive or atomic, so that each takes a time linear in the line: a cell of a million digits
# or quotes must not keep a core busy for hours, nor use up Java's stack.
_SPACE = r"[\x00-\x20]*+"
_INNER = r'[^"]*+(?:""[^"]*+)*+'
_CELL_OF_LINE = rf'(?>"{_INNER}"[^,]*+|[^,]*+)'
_OPENED = rf'(?:"(?={_INNER}"{_SPACE}(?:,|\z)))?+'  # the quote of a cell that is quoted as a whole, if it is
_DARK = r"[^\x00-\x20]"
# What is a number in a text: no hexadecimals, no "12d" and "1.5F", which Java would take
_DIGITS = r"(?>\d++(?:\.\d*+)?+|\.\d++)(?:e[+-]?+\d++)?+"
_NUMBER = rf"(?i)\A{_SPACE}((?>[+-]?+(?>{_DIGITS}|inf(?:inity)?+)|true|false)){_SPACE}\z"
_EXACT = 1 << 53  # whole numbers up to here are exact doubles, and so are powers of ten up to the 22nd


def read(spark: SparkSession, source: Source, column: str | None) -> DataFrame:
    """Return the table's rows with the one column asked for as `cell`, or with no column's content at all.

    `broken` says of a CSV's row whether its line has another number of cells than the header. Text has one character
    a byte; decimals are doubles; other cells are as Spark's reader gives them. Only the column asked for is read from
    Parquet, or parsed in a CSV. Reads no row itself; raises Spark's AnalysisException when it cannot read the files.
    """
    reader = spark.read.schema(_schema(source, column))
    if column in source.partitions:
        reader = reader.option("basePath", f"file://{source.root}" if is_local(source.root) else source.root)
    paths = [_escaped(path) for path in source.paths]
    table = reader.parquet(*paths) if source.format == "parquet" else _lines(reader, paths, source.headers)
    if column is None:
        return table.select(F.lit(1).alias(_ONE))
    if column in source.partitions:
        cell = F.col(_quoted(column))
    elif source.format == "parquet":
        cell = _parquet_cell(F.col(_quoted(column)), source.columns[column])
    else:
        cell = _cell(list(source.columns), column)
        return table.select(cell.alias(CELL), _is_broken(source.width).alias(BROKEN))
    return table.select(cell.alias(CELL))


def _schema(source: Source, column: str | None) -> StructType:
    """What Spark is told to read, so that it looks at no file to guess, and at no other column."""
    schema = StructType()
    if source.format == "csv":
        schema = schema.add(_LINE, "string")
    if column in source.partitions or (column is not None and source.format == "parquet"):
        schema = schema.add(column, source.columns[column].read_as)
    return schema


def _lines(reader: DataFrameReader, paths: list[str], headers: frozenset[bytes]) -> DataFrame:
    """The lines of CSV files, as text, but for the header and for blank ones.

    Not Spark's CSV reader: it fails on too many columns, and the limit that Hadoop's reader offers for a line's
    length lets the end of a long line through as a row where a split happens to begin within it, so that one row
    more could change how all others are read. Here what becomes of a line depends on the line alone.
    """
    table = reader.text(paths, lineSep="\n")
    line = F.col(_quoted(_LINE)).cast("binary")
    bounded = _bounded(line)
    # hardly a line needs more than its first bytes to be told from a blank one
    dark = _text(F.substring(line, 1, 32)).rlike(_DARK) | _text(bounded).rlike(_DARK)
    table = table.where(~bounded.isin(*headers) & dark)
    return table.withColumn(_LINE, _text(bounded))


def _bounded(value: Column) -> Column:
    return F.when(F.octet_length(value) <= MAX_LINE, value).otherwise(F.substring(value, 1, MAX_LINE))


def _text(value: Column) -> Column:
    """Bytes as a string that is valid whatever they are, as Latin-1: one character a byte, each byte alone.

    Commas, quotes, blanks, digits and signs are ASCII, and no byte of another character in UTF-8 is; so these are
    found where they stand, and neither a cut nor a broken character can make or hide one.
    """
    return F.decode(value, "ISO-8859-1")


def _cell(columns: list[str], column: str) -> Column:
    """The column's cell of a line, after RFC 4180; empty when the line has too few.

    A quote that is never closed, or not at a cell's beginning, is a character like any other.
    """
    place = columns.index(column)
    pattern = rf'\A(?:{_CELL_OF_LINE},){{{place}}}+{_OPENED}((?<="){_INNER}|{_CELL_OF_LINE})'
    return F.regexp_extract(_quoted(_LINE), pattern, 1)


def _is_broken(width: int) -> Column:
    """Whether a line has another number of cells than `width`."""
    line = F.col(_quoted(_LINE))
    commas = F.length(line) - F.length(F.replace(line, F.lit(","), F.lit("")))
    pattern = rf"\A(?:{_CELL_OF_LINE},){{{width - 1}}}+{_CELL_OF_LINE}\z"
    return F.when(line.contains('"'), ~line.rlike(pattern)).otherwise(commas != width - 1)


def _parquet_cell(cell: Column, column: parquet.Column) -> Column:
    if column.kind == "text":
        return _text(_bounded(cell))
    if column.scale is None:
        return cell
    if column.read_as != "binary":
        return _scaled(cell.cast("bigint"), column.scale)
    if 0 < column.width <= 8:
        return _scaled(_whole(cell, 8, 0, signed=True).cast("bigint"), column.scale)
    high, low = _whole(cell, 16, 0, signed=True), _whole(cell, 16, 8, signed=False)
    # beyond 38 digits Spark's decimals are null: a negative number's high half is rounded up, towards 0
    half, step = high.cast("decimal(19,0)"), F.lit(str(1 << 64)).cast("decimal(20,0)")
    rest = low.cast("decimal(20,0)")
    whole = F.when(half < 0, (half + F.lit("1").cast("decimal(1,0)")) * step - (step - rest)).otherwise(
        half * step + rest
    )
    fits = F.octet_length(cell).between(1, parquet.MAX_DECIMAL_BYTES)
    return F.when(fits, _parsed(whole, column.scale))


def _whole(value: Column, width: int, start: int, signed: bool) -> Column:
    """Eight bytes of a whole number (two's complement, from the highest byte on) widened to `width`, as digits."""
    sign = F.when(value >= F.lit(b"\x80"), F.lit(b"\xff" * width)).otherwise(F.lit(b"\x00" * width))
    wide = F.substring(F.concat(sign, value), -width, width)
    return F.conv(F.hex(F.substring(wide, start + 1, 8)), 16, -10 if signed else 10)


def _scaled(whole: Column, scale: int) -> Column:
    """The double nearest to whole / 10^scale, for a bigint."""
    if scale > 22:
        return _parsed(whole, scale)
    exact = whole.between(-_EXACT, _EXACT)
    return F.when(exact, whole.cast("double") / F.lit(10.0**scale)).otherwise(_parsed(whole, scale))


def _parsed(whole: Column, scale: int) -> Column:
    return F.concat(whole.cast("string"), F.lit(f"e-{scale}")).cast("double")


def counted(rows: DataFrame) -> DataFrame:
    """Keep the rows whose cell is not empty, as SQL's COUNT does; all of them when there is no cell."""
    return rows.where(is_filled(rows)).select(F.lit(1).alias(_ONE))


def is_filled(rows: DataFrame) -> Column:
    """Whether a row counts as one whose cell is not empty; every one does where there is no cell."""
    if CELL not in rows.columns:
        return F.lit(True)
    if isinstance(rows.schema[CELL].dataType, StringType):
        # the last cell of a line that ends in \r\n keeps the \r
        return ~F.coalesce(F.col(CELL), F.lit("")).isin("", "\r")
    return F.col(CELL).isNotNull()


def numbers(rows: DataFrame) -> DataFrame:
    """Return every row's number as the double `x`, null where it has none: true is 1, false 0; infinities stay.

    `filled` and `broken` say why it has none.
    """
    broken = F.col(BROKEN) if BROKEN in rows.columns else F.lit(False)
    if not isinstance(rows.schema[CELL].dataType, StringType):
        x = F.col(CELL).cast("double")
        return rows.select(F.when(~F.isnan(x), x).alias(NUMBER), is_filled(rows).alias(FILLED), broken.alias(BROKEN))
    # explode() is a fence: without it Spark would parse each line once for the filter and again for every use
    cells = rows.select(F.explode(F.array(CELL)).alias(CELL), broken.alias(BROKEN))
    text = F.when(~F.col(BROKEN), F.regexp_extract(CELL, _NUMBER, 1))
    texts = cells.select(F.explode(F.array(text)).alias(CELL), is_filled(cells).alias(FILLED), BROKEN)
    value = F.coalesce(F.col(CELL).cast("double"), F.col(CELL).cast("boolean").cast("double"))
    return texts.select(F.explode(F.array(value)).alias(NUMBER), FILLED, BROKEN)


def steps(rows: DataFrame, plan: Plan) -> DataFrame:
    """Return what `numbers` does, and each row's number in steps, `k`, null where it has none."""
    return numbers(rows).select(_steps(F.col(NUMBER), plan.number_grid).alias(STEPS), NUMBER, FILLED, BROKEN)


def kinds(rows: DataFrame, plan: Plan) -> DataFrame:
    """Return one row per row of the table, with its `kind`."""
    kind = F.when(F.col(BROKEN), CODES[Rows.BROKEN_LINE]).when(~F.col(FILLED), CODES[Rows.EMPTY])
    kind = kind.when(F.col(NUMBER).isNull(), CODES[Rows.NO_NUMBER])
    kind = kind.when(is_below(plan), CODES[Rows.BELOW]).when(is_above(plan), CODES[Rows.ABOVE])
    return numbers(rows).select(kind.otherwise(CODES[Rows.WITHIN]).alias(KIND))


def is_below(plan: Plan) -> Column:
    """Whether the number lies below the bounds."""
    return F.col(NUMBER) < plan.number_grid.bounds.lower


def is_above(plan: Plan) -> Column:
    """Whether the number lies above the bounds."""
    return F.col(NUMBER) > plan.number_grid.bounds.upper


def cells(rows: DataFrame, plan: Plan) -> DataFrame:
    """Return one row per row that counts, with what it gives to each cell about numbers as a bigint of that name.

    For a histogram it is the number of the row's bin, as `bin`. `rows` is what `read` returned.
    """
    if plan.counts:
        return counted(rows)
    there = numbers(rows).where(F.col(NUMBER).isNotNull())
    if plan.bins:
        return there.select(_bin(F.col(NUMBER)).alias(BIN))
    stepped = there.select(_steps(F.col(NUMBER), plan.number_grid).alias(STEPS))
    formulas = {cell.name: cell.formula.sql(STEPS, "div") for cell in plan.live if cell.formula}
    return stepped.select(*(_never_null(F.expr(formula)).alias(name) for name, formula in formulas.items()))


def _never_null(number: Column) -> Column:
    """Say so of what never is: where it may be, a Session looks for nulls, which takes longer than all the rest."""
    return F.coalesce(number, F.lit(0).cast("bigint"))


def _steps(x: Column, grid: Grid) -> Column:
    """k = round((clamp(x) − origin) / step), clamped again as an integer; null for null and NaN.

    Division by a power of two is exact. Spark's `least` and `greatest` take longer, and would skip nulls.
    """
    k = F.rint((x - F.lit(grid.origin)) / F.lit(grid.step)).cast("bigint")
    if not grid.is_plain:
        k = F.least(F.greatest(k, F.lit(grid.lower).cast("bigint")), F.lit(grid.upper).cast("bigint"))
    first, last = (F.lit(end).cast("bigint") for end in grid.ends)
    clamped = F.when(x <= grid.bounds.lower, first).when(x < grid.bounds.upper, k)
    return clamped.when(x <= math.inf, last)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _escaped(path: str) -> str:
    """Keep Spark from reading a path as a pattern, or a local one as one of the cluster's default file system."""
    escaped = "".join("\\" + c if c in "{}[]*?\\" else c for c in path)
    return f"file://{escaped}" if is_local(path) else escaped


def _bin(x: Column) -> Column:
    size = F.abs(x)
    # the logarithm can be off by an ulp at powers of two; comparing with exact powers puts it right
    guess = F.ceil(F.log2(F.least(F.greatest(size, F.lit(2.0 ** (LOWEST - 2))), F.lit(2.0**HIGHEST))))
    exponent = (
        F.when(F.pow(F.lit(2.0), guess - 1) >= size, guess - 1)
        .when(F.pow(F.lit(2.0), guess) < size, guess + 1)
        .otherwise(guess)
    )
    exponent = F.least(exponent, F.lit(HIGHEST).cast("bigint"))
    bin_ = F.when(exponent < LOWEST, F.lit(0)).otherwise(F.signum(x) * (exponent + OFFSET))
    return bin_.cast("bigint")
