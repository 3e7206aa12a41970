"""What each column is, decided over all of its cells, and the SQL that makes it."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from dpcloud.data.importing import cells
from dpcloud.data.importing.cells import COMMA, NATIVE, POINT, identifier, quote
from dpcloud.data.importing.options import Options, owners
from dpcloud.data.importing.spool import PREFIX
from dpjobs.errors import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MIXED = 0.1
"""From this share of numbers on a column with other cells, too, is a column of numbers in which some do not fit."""

COUNTS = "counts only (COUNT), no SUM or MEAN"
"""What a column of texts is good for."""

_NATIVE = ("native", "native whole")
_PLAIN = ("whole", *_NATIVE)
_NUMBERS = {*_PLAIN, *cells.CLASSES}
_WHOLE = {"whole", "native whole", "digits", "comma 3", "point 3", "comma groups", "point groups", "blank groups"}


@dataclass(frozen=True)
class Found:
    """How often a way to write a cell occurs (never shown), with its sign of money, and where it does first.

    `even` tells that all these cells are of the same length.
    """

    how: str
    money: str
    percent: bool
    brackets: bool
    even: bool
    times: int
    file: int
    line: int
    cell: str


@dataclass
class Column:
    """A column of the new table.

    `value` gives the SQL of its value from the names of the trimmed cell and its body (see `cells`), null where a
    cell does not fit; it is None where the column is kept as it is. `unnamed` says that its name was made up.
    """

    name: str
    type: str
    value: Callable[[str, str], str] | None
    notes: list[str] = field(default_factory=list)
    unnamed: bool = False


@dataclass
class Survey:
    """What all cells of one column look like."""

    name: str
    found: list[Found]

    @classmethod
    def of(cls, connection: "DuckDBPyConnection", name: str, options: Options) -> "Survey":
        """Read the whole column."""
        rows = connection.execute(
            f"""with cell as ({filled(name)})
            select how, money, percent, brackets, min(length(v)) = max(length(v)), count(*),
                arg_min(struct_pack(f := file, l := line, c := v),
                struct_pack(f := file, l := line)) as place
            from (select *, {cells.class_of(words(options), options.true, options.false)} as how,
                    case when b = '' then '' else {cells.money("v")} end as money,
                    b <> '' and contains(v, '%') as percent, b <> '' and starts_with(v, '(') as brackets from cell)
            group by all order by count(*) desc, place"""
        ).fetchall()
        return cls(name, [Found(*row[:6], *(row[6][key] for key in "flc")) for row in rows])

    @property
    def filled(self) -> list[Found]:
        """Without the words that are read as empty."""
        return [found for found in self.found if not found.how.startswith("word ")]

    @property
    def times(self) -> int:
        """Return how many cells are filled: to hold against what was written, never to be shown."""
        return sum(found.times for found in self.filled)

    @property
    def hows(self) -> set[str]:
        """The ways in which its filled cells are written."""
        return {found.how for found in self.filled}

    def share(self, hows: set[str]) -> float:
        """Return the share of the filled cells that are written in one of these ways."""
        return sum(found.times for found in self.filled if found.how in hows) / (self.times or 1)

    @property
    def is_text(self) -> bool:
        """Whether it is text as far as its cells tell: few numbers, or codes with leading zeros or of many digits."""
        codes = self.hows & {"code", "long"} and self.hows <= {
            "code",
            "long",
            "whole",
            "native whole",
            "text",
            *cells.LETTERS,
        }
        return bool(codes) or self.share(_NUMBERS) < MIXED

    def first(self, hows: set[str]) -> Found:
        """Return the first of the cells that are written in one of these ways."""
        return min((f for f in self.filled if f.how in hows), key=lambda f: (f.file, f.line))


def words(options: Options) -> str:
    """Return the SQL of the list of words for empty."""
    return ", ".join(map(quote, options.empty)) or "null"


def filled(name: str) -> str:
    """Return the SQL of a column's cells that are not blank: `file`, `line`, `v` and `b` (its body)."""
    cell = identifier(PREFIX + name)
    return f"select *, {cells.body('v')} as b from (select file, line, {cell} as v from source) where v <> ''"


def decide(surveys: Sequence[Survey], options: Options, files: Sequence[str], comma_separated: bool) -> list[Column]:
    """Return what each column is; raises InputError, which may quote a cell, where that would be a guess."""
    numbers = [s for s in surveys if s.name in options.number or not (s.is_text or s.name in options.text)]
    told = set[str]().union(*(s.hows for s in numbers))
    mark_elsewhere = "." if comma_separated and told & POINT and not told & COMMA else None
    return [_decided(s, s in numbers, options, files, mark_elsewhere) for s in surveys]


def _decided(
    survey: Survey, is_number: bool, options: Options, files: Sequence[str], mark_elsewhere: str | None
) -> Column:
    empties = [found.how.removeprefix("word ") for found in survey.found if found.how.startswith("word ")]
    words_there = ", ".join(f"'{word}'" for word in sorted(empties))
    notes = [f"{words_there} read as empty"] if empties else []
    if survey.name in options.text or not survey.filled:
        return _text(survey, notes + ([] if survey.filled else ["no cell is filled"]))
    if is_number:
        return _number(survey, options, files, mark_elsewhere, notes)
    if survey.hows == {"truth"}:
        return Column(
            survey.name, "true/false", cells.Truth(options.true, options.false), [*notes, "counts as 1 and 0"]
        )
    if survey.hows == {"date"}:
        return Column(survey.name, "date", cells.date, notes)
    if survey.hows <= {"date", "time"}:
        return Column(survey.name, "date and time", cells.time, notes)
    return _text(survey, notes + _why_text(survey))


def _text(survey: Survey, notes: list[str]) -> Column:
    return Column(survey.name, "text", cells.text, [*notes, *_letters(survey), COUNTS])


def _letters(survey: Survey) -> list[str]:
    for how, (true, false) in cells.LETTERS.items():
        if survey.hows == {how}:
            return [f"--true {true} --false {false} reads it as true/false"]
    return []


def _why_text(survey: Survey) -> list[str]:
    if "code" in survey.hows:
        return ["codes with leading zeros"]
    if "long" in survey.hows:
        return ["digits too many for a number"]
    if "other date" in survey.hows:
        return ["dates that are not year-month-day: which is the day is not guessed"]
    if survey.hows & _NUMBERS:
        return ["a few cells are numbers"]
    return []


def _number(
    survey: Survey, options: Options, files: Sequence[str], mark_elsewhere: str | None, notes: list[str]
) -> Column:
    mark = options.decimals.get(survey.name, options.decimals.get("")) or _mark(survey, files, mark_elsewhere)
    numbers = [found for found in survey.filled if found.how in _NUMBERS]
    if not numbers and not survey.hows & {"code", "long"}:
        found = survey.first(survey.hows)
        raise owners(
            f"{_place(found, files)}, column {quoted(survey.name)}: {quoted(found.cell)} is no number, nor is any "
            f"other cell of the column, which --number calls one of numbers; leave out --number "
            f"{shlex.quote(survey.name)}"
        )
    if survey.name not in options.number:
        _check_no_code(survey, numbers, files)
    written = [found for found in numbers if found.how not in _NATIVE]
    percent = _more_than_half(written, [f for f in written if f.percent])
    money = next((found.money for found in numbers if found.money), "")
    whole = survey.hows & _NUMBERS <= _WHOLE - {"comma 3" if mark == "," else "point 3"}
    value = cells.Number(mark, "bigint" if whole else "double", percent, money)
    code = survey.name in options.number and "code" in survey.hows
    notes += ["leading zeros are dropped"] if code else []
    return Column(
        survey.name, "whole number" if whole else "number", value, notes + _how_written(numbers, mark, percent)
    )


def _check_no_code(survey: Survey, numbers: list[Found], files: Sequence[str]) -> None:
    """Raise InputError where numbers may be codes in groups, such as phones: 555 101 201.

    Numbers of people and money differ in length sooner or later, codes do not.
    """
    first, *others = numbers
    if others or first.how != "blank groups" or not first.even or first.money or first.percent or first.brackets:
        return
    if "'" in first.cell or "\u2019" in first.cell:
        return
    name = shlex.quote(survey.name)
    raise owners(
        f"{_place(first, files)}, column {quoted(survey.name)}: {quoted(first.cell)} may be a number or a code, such "
        f"as a phone's, for all of the column are of one length with blanks in them: --number {name} or --text {name}"
    )


def _more_than_half(all_: list[Found], some: list[Found]) -> bool:
    return 2 * sum(f.times for f in some) > sum(f.times for f in all_)


def _mark(survey: Survey, files: Sequence[str], mark_elsewhere: str | None) -> str:
    hows = survey.hows
    both = f"--decimal . or --decimal , (--decimal '{survey.name}=.' for this column alone)"
    if hows & POINT and hows & COMMA:
        point, comma = survey.first(POINT), survey.first(COMMA)
        raise owners(
            f"column {quoted(survey.name)}: {quoted(point.cell)} ({_place(point, files)}) has a decimal point and "
            f"{quoted(comma.cell)} ({_place(comma, files)}) a decimal comma; say {both}, or --text and the column"
        )
    if hows & POINT:
        return "."
    if hows & COMMA:
        return ","
    unclear = hows & {"point 3", "comma 3"}
    if not unclear or (unclear == {"comma 3"} and mark_elsewhere == "."):
        return "."
    found = survey.first(unclear)
    plain = found.cell.replace(",", ".")
    thousands = found.cell.replace(",", "").replace(".", "")
    with_point, with_comma = (plain, thousands) if found.how == "point 3" else (thousands, plain)
    raise owners(
        f"{_place(found, files)}, column {quoted(survey.name)}: {quoted(found.cell)} may be {thousands} or {plain}, "
        f"and no cell of the column tells: --decimal . reads {with_point}, --decimal , reads {with_comma} "
        f"(--decimal '{survey.name}=.' for this column alone)"
    )


def _how_written(numbers: list[Found], mark: str, percent: bool) -> list[str]:
    hows = {found.how for found in numbers}
    other = "," if mark == "." else "."
    said = []
    if hows & COMMA and mark == ",":
        said.append("decimal comma")
    if any(how.startswith("comma" if other == "," else "point") and how not in ("comma", "point") for how in hows):
        said.append(f"'{other}' between thousands taken out")
    if any(how.startswith("blank groups") for how in hows):
        said.append("blanks or apostrophes between thousands taken out")
    if percent:
        said.append("% taken out: 13.7% is 13.7")
    moneys = sorted({found.money for found in numbers if found.money})
    said += [f"{quoted(money)} taken out" for money in moneys[:1]]
    if any(found.brackets for found in numbers):
        said.append("(5) is −5")
    return said


def _place(found: Found, files: Sequence[str]) -> str:
    return f"{files[found.file]}, line {found.line}"


def refuse(column: Column, file: str, line: int, cell: str, below: str) -> NoReturn:
    """Raise InputError for the first cell that does not fit its column."""
    cell = cell.removeprefix(NATIVE)
    raise owners(
        f"{file}, line {line}, column {quoted(column.name)}: {quoted(cell)} is no {column.type} as other cells of it "
        f"are{_written(column)}; --empty {shlex.quote(cell)} reads this one as empty, --lenient all that do not fit, "
        f"--text {shlex.quote(column.name)} keeps the column as text{below}"
    )


def _written(column: Column) -> str:
    return f" ({'; '.join(column.notes)})" if column.notes else ""
