"""What a cell can be: patterns that Python and DuckDB read alike, and the SQL that makes a value of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

NATIVE = "\x01"
"""Begins a cell that was a number already (JSON, Excel): its point is a decimal point, whatever others are."""

BLANKS = " \t\r\n\u00a0\u2007\u2009\u202f\ufeff"
_SPACES = " \u00a0\u2007\u2009\u202f"
_B, _GROUP = f"[{_SPACES}]", f"[{_SPACES}'\u2019]"
CURRENCY = (
    r"(?:US\$|R\$|A\$|C\$|[$€£¥₹₽₩₪₺]|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|ZAR|kr|zł|Ft)"
)
_SIGN = "[-+\u2212]"
_E = r"(?:[eE][+-]?\d{1,3})"
_BODY = rf"(?:\d(?:[\d.,'’{_SPACES}]*[\d.,])?|[.,]\d+){_E}?"
PARENTHESES = r"^\(([^()]*)\)$"
NUMBER = rf"^(?:{_SIGN}?{_B}*(?:{CURRENCY})?{_B}*|{CURRENCY}{_B}*{_SIGN}{_B}*)({_BODY}){_B}*(?:%|{CURRENCY})?$"
"""A number with its sign, currency or percent sign; its only group is what is left without them."""

PLAIN = r"[+-]?(?:0|[1-9]\d{0,17})"
CODE = r"0\d+"
LONG = r"[+-]?\d{19,}"
DATE = r"\d{4}-\d{2}-\d{2}"
TIME = rf"{DATE}[ T]\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d{{1,6}})?)?"
OTHER_DATE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[ T].*)?"
_SPACED = rf"[1-9]\d{{0,2}}(?:{_GROUP}\d{{3}})+"


def _grouped(by: str) -> str:
    """Thousands with a separator; commas also as in India, after each two digits but the last three."""
    groups = rf"[1-9]\d{{0,2}}(?:{by}\d{{3}})+"
    return rf"(?:{groups}|\d{{1,2}}(?:,\d{{2}})+,\d{{3}})" if by == "," else groups


def _fraction(mark: str) -> str:
    return rf"(?:\d+{mark}\d*|{mark}\d+){_E}?"


def _any(mark: str, other: str) -> str:
    return rf"(?:\d+|{_grouped(other)}|{_SPACED})(?:{mark}\d*)?{_E}?|{mark}\d+{_E}?"


CLASSES = {
    "digits": r"\d+",
    "exponent": rf"\d+{_E}",
    "point 3": r"[1-9]\d{0,2}\.\d{3}",
    "comma 3": r"[1-9]\d{0,2},\d{3}",
    "point": _fraction(r"\."),
    "comma": _fraction(","),
    "comma groups": _grouped(","),
    "comma groups, point": rf"{_grouped(',')}\.\d*",
    "point groups": _grouped(r"\."),
    "point groups, comma": _grouped(r"\.") + r",\d*",
    "blank groups": _SPACED,
    "blank groups, point": rf"{_SPACED}\.\d*",
    "blank groups, comma": rf"{_SPACED},\d*",
}
"""How a number is written; a cell is of the first that fits it. The two with a 3 may mean either."""

POINT = {"point", "comma groups", "comma groups, point", "blank groups, point"}
COMMA = {"comma", "point groups", "point groups, comma", "blank groups, comma"}
"""What tells the decimal mark."""

ACCEPTED = {".": _any(r"\.", ","), ",": _any(",", r"\.")}
"""What is a number where this is the decimal mark."""

WORDS = ("NA", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan", "<NA>", r"\N", "-")
"""Cells that are read as empty, unless the user says which are."""

TRUE, FALSE = ("true", "yes"), ("false", "no")
LETTERS = {"Y/N": ("Y", "N"), "T/F": ("T", "F")}
"""Pairs of letters that are often true and false, but may be codes: they stay text, and the options are named."""


def is_value(cell: str) -> bool:
    """Tell whether a cell of the first line looks like one of a row rather than a name."""
    v = cell.strip(BLANKS)
    words = v.split()
    if len(words) > 1 and all(map(is_value, words)):  # a row whose cells are separated by blanks
        return True
    if v in WORDS or v.lower() in TRUE + FALSE:
        return True
    if any(re.fullmatch(p, v) for p in (PLAIN, CODE, LONG, DATE, TIME, OTHER_DATE)):
        return True
    found = re.match(NUMBER, re.sub(PARENTHESES, r"-\1", v))
    return found is not None and any(re.fullmatch(p, found[1]) for p in CLASSES.values())


def quote(text: str) -> str:
    """Write a text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def parquet(*paths: object, options: str = "") -> str:
    """Write the reading of these Parquet files as SQL: no name is a pattern, and no folder's name a column."""
    listed = ", ".join(quote(one_file(path)) for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false{options})"


def one_file(path: object) -> str:
    """Return a path that DuckDB, which reads names as patterns, takes for this file alone."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path))


def identifier(name: str) -> str:
    """Write a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def body(v: str) -> str:
    """Return the SQL of a number without its sign, currency and percent sign; `v` is the trimmed cell.

    It is empty where there is nothing but digits, or no number.
    """
    undecorated = f"regexp_extract(regexp_replace({v}, {quote(PARENTHESES)}, '-\\1'), {quote(NUMBER)}, 1)"
    return f"case when {_fits(v, PLAIN)} or not regexp_matches({v}, '[0-9]') then '' else {undecorated} end"


def money(v: str) -> str:
    """Return the SQL of a cell's sign of money, empty where it has none."""
    return f"regexp_extract({v}, {quote(CURRENCY)})"


def class_of(words: str, true: Sequence[str], false: Sequence[str]) -> str:
    """Return the SQL of a cell's class; `v` is the trimmed cell, `b` its body, `words` those for empty."""
    written = " ".join(f"when {_fits('b', pattern)} then {quote(name)}" for name, pattern in CLASSES.items())
    letters = " ".join(f"when {_is_one_of('v', pair)} then {quote(name)}" for name, pair in LETTERS.items())
    return f"""case when v in ({words}) then 'word ' || v
        when {_fits("v", PLAIN)} then 'whole'
        when {_is_native("v")} then case when {_fits("substr(v, 2)", PLAIN)} then 'native whole'
            when {_fits("substr(v, 2)", LONG)} then 'long' else 'native' end
        when {_is_one_of("v", (*true, *false))} then 'truth'
        {letters}
        when not regexp_matches(v, '[0-9]') then 'text'
        when {_fits("v", CODE)} then 'code'
        when {_fits("v", LONG)} then 'long'
        when {_fits("v", DATE)} and try_cast(v as date) is not null then 'date'
        when {_fits("v", TIME)} and try_cast(v as timestamp) is not null then 'time'
        when {_fits("v", OTHER_DATE)} then 'other date'
        {written} else 'text' end"""


@dataclass(frozen=True)
class Number:
    """How the numbers of a column are written, and what they become.

    `mark` is the decimal mark, `type` bigint or double; with `percent` a cell must have that sign, without must not;
    `money` is the currency that a cell may have.
    """

    mark: str
    type: str
    percent: bool
    money: str

    def __call__(self, v: str, b: str) -> str:
        """Return the SQL of a cell's number from the trimmed cell and its body; null where it is none like these."""
        other = "." if self.mark == "," else ","
        taken = f"regexp_replace({b}, {quote(f'[{other}' + _GROUP[1:])}, '', 'g')"
        clean = f"replace({taken}, ',', '.')" if self.mark == "," else taken
        sign = f"(case when regexp_matches({v}, '^[^0-9.,]*[-\u2212]') or starts_with({v}, '(') then '-' else '' end)"
        shown = f"contains({v}, '%')" if self.percent else f"not contains({v}, '%')"
        fits = f"{_fits(b, ACCEPTED[self.mark])} and {shown} and {money(v)} in ('', {quote(self.money)})"
        plain = f"""when {_fits(v, PLAIN)} then try_cast({v} as {self.type})
            when {_is_native(v)} then try_cast(substr({v}, 2) as {self.type})"""
        whens = f"{'' if self.percent else plain} when {fits} then try_cast({sign} || {clean} as {self.type})"
        value = f"case {whens} end"
        return value if self.type == "bigint" else f"nullif(nullif({value}, 'inf'::double), '-inf'::double)"


@dataclass(frozen=True)
class Truth:
    """The words for true and for false, whatever their capitals."""

    true: Sequence[str]
    false: Sequence[str]

    def __call__(self, v: str, _: str) -> str:
        """Return the SQL of a cell's truth; null where it is neither."""
        return f"case when {_is_one_of(v, self.true)} then true when {_is_one_of(v, self.false)} then false end"


def date(v: str, _: str) -> str:
    """Return the SQL of a cell's date."""
    return f"try_cast({v} as date)"


def time(v: str, _: str) -> str:
    """Return the SQL of a cell's date and time."""
    return f"try_cast({v} as timestamp)"


def text(v: str, _: str) -> str:
    """Return the SQL of a cell's text."""
    return f"ltrim({v}, chr({ord(NATIVE)}))"


def _fits(value: str, pattern: str) -> str:
    return f"regexp_full_match({value}, {quote(pattern)})"


def _is_one_of(value: str, words: Sequence[str]) -> str:
    return f"lower({value}) in ({', '.join(f'lower({quote(word)})' for word in words)})"


def _is_native(value: str) -> str:
    return f"starts_with({value}, chr({ord(NATIVE)}))"
