"""What becomes of a line, a text or a number, in DuckDB's SQL: the same whole numbers as in `spark.rows`.

Texts are plain ASCII here (`lines`). DuckDB's regular expressions are RE2's: every one takes a time linear in the
text, but there is no looking ahead. So each pattern is written such that the next character alone says how to go on,
which is RE2's fastest way, too.
"""

import math

from dpjobs.bounds import HIGHEST, LOWEST, OFFSET
from dpjobs.plan import Grid

_SPACE = r"[\x00-\x20]*"
# Of a line, whose only \n is its end
_NOT_QUOTE = r"[\x00-\t\x0b-!#-\x7f]"
_NOT_COMMA = r"[\x00-\t\x0b-+\--\x7f]"
_NEITHER = r"[\x00-\t\x0b-!#-+\--\x7f]"
# A quoted part ends at the next quote; where another follows at once ("" for a quote) the next part begins there.
_CLOSED = rf'(?:(?:"{_NOT_QUOTE}*")+(?:{_NEITHER}{_NOT_COMMA}*)?|{_NEITHER}{_NOT_COMMA}*|)'
_NEVER_CLOSED = rf'\A"(?:{_NOT_QUOTE}|"")*\n\z'
_QUOTED = rf'\A"((?:{_NOT_QUOTE}|"")*)"{_SPACE}\z'
_NUMBER = (
    rf"(?i)\A{_SPACE}((?:[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)|true|false))"
    rf"{_SPACE}\z"
)
_REPEATED = 1000  # the most that RE2 repeats
_ROUNDER = 1.5 * 2.0**52
_NEAR = 2.0**50  # steps
_LONG = 100_000
"""Characters: DuckDB takes no exponent beyond 655,360 as it is, which shows in numbers of about as many digits."""
EXACT = "exact_double"
"""The function that reads such a number."""


def literal(text: str) -> str:
    """Return the text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Return a column's name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def not_blank(line: str) -> str:
    """Whether a line has a character other than blanks."""
    return rf"regexp_matches({line}, '[\x21-\x7f]')"


def is_broken(line: str, commas: str, width: int) -> str:
    """Whether a line has another number of cells than `width`, `commas` being how many commas it has."""
    whole = rf"regexp_matches({line}, '{_cells(width - 1)}{_CLOSED}\n\z')"
    opened = rf'\A(?:{_CLOSED},)*("(?:{_NOT_QUOTE}|"")*\n)\z'
    in_rest = f"regexp_replace(regexp_extract({line}, '{opened}', 1), '[^,]', '', 'g')"
    return (
        f"(case when not contains({line}, '\"') then {commas} <> {width - 1} when {whole} then false "
        f"when regexp_matches({line}, '{opened}') then length({_emptied(line)}) + length({in_rest}) <> {width - 1} "
        "else true end)"
    )


def cell(line: str, place: int) -> str:
    """The text of a line's cell by its place, from 0 on, after RFC 4180; empty when the line has too few.

    A quote that is never closed, or not at a cell's beginning, is a character like any other. Behind one that is
    never closed all quotes stand in pairs, so that no cell there holds a comma: with the cells before it emptied, the
    line can be split at its commas.
    """
    strict = _nth(_CLOSED, place)
    rest = f"substr({line}, length({_before(line)}) + 1)"
    split = f"regexp_extract({_emptied(line)} || {rest}, '{_nth(_NOT_COMMA + '*', place)}', 1)"
    found = f"regexp_extract({line}, '{strict}', 1)"
    return (
        f"(case when {found} <> '' or not contains({line}, '\"') or regexp_matches({line}, '{strict}') "
        f"then {unquoted(found)} when regexp_matches({rest}, '{_NEVER_CLOSED}') then {unquoted(split)} else '' end)"
    )


def _before(line: str) -> str:
    """The cells of a line that are closed, up to the last one or one that is never closed, each with its comma."""
    return rf"regexp_extract({line}, '\A(?:{_CLOSED},)*', 0)"


def _emptied(line: str) -> str:
    """Their commas alone."""
    return f"regexp_replace({_before(line)}, '{_CLOSED},', ',', 'g')"


def _nth(cell: str, place: int) -> str:
    return rf"{_cells(place, cell)}({cell})(?:,|\n)"


def _cells(times: int, cell: str = _CLOSED) -> str:
    """So many cells from a line's beginning, each with its comma."""
    whole, left = divmod(times, _REPEATED)
    return r"\A" + rf"(?:{cell},){{{_REPEATED}}}" * whole + (rf"(?:{cell},){{{left}}}" if left else "")


def unquoted(cell: str) -> str:
    """What a cell holds that is quoted as a whole; others are as they are."""
    whole = f"starts_with({cell}, '\"') and regexp_matches({cell}, '{_QUOTED}')"
    return f"(case when {whole} then regexp_extract({cell}, '{_QUOTED}', 1) else {cell} end)"


def filled(cell: str) -> str:
    """Whether a text is not empty; the last cell of a line that ends in `\\r\\n` keeps the `\\r`."""
    return f"({cell} not in ('', chr(13)))"


def number(text: str) -> str:
    """The number of a text, as a double, 1 and 0 for true and false; null when it is none."""
    found = f"regexp_extract({text}, '{_NUMBER}', 1)"
    return (
        f"(case when {found} = '' then null when lower({found}) = 'true' then 1.0::double "
        f"when lower({found}) = 'false' then 0.0::double when length({found}) > {_LONG} then {EXACT}({found}) "
        f"else try_cast({found} as double) end)"
    )


def steps(x: str, grid: Grid) -> str:
    """k = round((clamp(x) − origin) / step) of a double, clamped again as an integer; null for null and NaN.

    Division by a power of two is exact, and the cast rounds half to even. NaN is larger than any number here.
    `least` and `greatest` would take three times as long.
    """
    k = f"cast(({x} - {double(grid.origin)}) / {double(grid.step)} as bigint)"
    if not grid.is_plain:
        k = f"least(greatest({k}, {grid.lower}), {grid.upper})"
    first, last = grid.ends
    return (
        f"(case when {x} <= {double(grid.bounds.lower)} then {first}::bigint when {x} < {double(grid.bounds.upper)} "
        f"then {k} when {x} <= {double(math.inf)} then {last}::bigint end)"
    )


def is_fast(grid: Grid) -> bool:
    """Whether a number beyond a bound has as many steps as the bound, if it is clamped only as steps."""
    return grid.is_plain and grid.ends == (grid.lower, grid.upper) and grid.bounds.lower < grid.bounds.upper


def near(x: str, grid: Grid) -> str:
    """Whether a double is so near to the origin that `twice_nearby` is right; NaN, the largest of all, is not.

    One comparison takes a third of the time that two do. The difference may be rounded: twice as far is near enough.
    """
    return f"abs({_less(x, grid.origin)}) <= {double(_NEAR * grid.step)}"


def twice_nearby(x: str, grid: Grid) -> str:
    """2k − (lower + upper), as a double, for a number that is `near`: no branch, so several times as fast.

    A sum with 1.5 · 2⁵² has no room for a fraction, and rounds it half to even; then it is |k − lower| − |k − upper|
    of a k that is not clamped.
    """
    k = f"(({_less(x, grid.origin)} * {double(1 / grid.step)} + {double(_ROUNDER)}) - {double(_ROUNDER)})"
    return f"(abs({_less(k, grid.lower)}) - abs({_less(k, grid.upper)}))"


def _less(x: str, number: float) -> str:
    return f"({x} - {double(float(number))})" if number else x


def bin_of(x: str) -> str:
    """The number of a double's bin; null for null and NaN."""
    size = f"abs({x})"
    # the logarithm can be off by an ulp at powers of two; comparing with exact powers puts it right
    near = f"least(greatest({size}, {double(2.0 ** (LOWEST - 2))}), {double(2.0**HIGHEST)})"
    guess = f"cast(ceil(log2({near})) as integer)"
    exponent = (
        f"least(case when pow(2.0::double, {guess} - 1) >= {size} then {guess} - 1 "
        f"when pow(2.0::double, {guess}) < {size} then {guess} + 1 else {guess} end, {HIGHEST})"
    )
    bin_ = f"case when {exponent} < {LOWEST} then 0 else cast(sign({x}) as integer) * ({exponent} + {OFFSET}) end"
    return f"(case when {x} is null or isnan({x}) then null else {bin_} end)"


def double(x: float) -> str:
    """Return exactly this double as a literal of SQL."""
    return f"cast('{x!r}' as double)"
