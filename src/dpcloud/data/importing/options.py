"""What the user may say of the files, checked."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from dpcloud.data.importing.cells import BLANKS, FALSE, TRUE, WORDS, is_value
from dpjobs.errors import InputError

OWNER = "(this line quotes your table: it is for its owner)"
END = 3
"""So many lines at the end of a file may be totals or notes."""
_SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}


@dataclass(frozen=True, kw_only=True)
class Options:
    """None where nothing was said: then it is found out, or refused where a guess would be needed.

    `header` is the line of names, 0 where there is none; `decimals` maps columns to their decimal mark, "" stands for
    all others; `quote` is None where quotes are plain characters; `empty` are the words that are read as empty,
    `true` and `false` those for a truth, whatever their capitals.
    """

    separator: str | None = None
    quote: str | None = '"'
    encoding: str | None = None
    header: int | None = None
    decimals: dict[str, str]
    empty: tuple[str, ...] = WORDS
    true: tuple[str, ...] = TRUE
    false: tuple[str, ...] = FALSE
    text: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    sheet: str | None = None
    lenient: bool = False


def owners(message: str) -> InputError:
    """Return an error that quotes a cell, and says so."""
    return InputError(f"{message} {OWNER}")


def below_the_table(after: int) -> str:
    """Return what to say of a line that does not fit, by how many lines come after it."""
    return "; a total or a note below the table is no row: delete it" if after < END else ""


def separator_of(given: str | None) -> str | None:
    """Check a separator; raises InputError."""
    if given is None:
        return None
    mark = _SEPARATORS.get(given.lower(), given)
    if len(mark) != 1 or mark in "\"'\r\n" or mark.isalnum():
        raise InputError.of(
            "the separator", given, "one character such as ';' or '|', or tab, comma, semicolon, space"
        )
    return mark


def quote_of(given: str | None) -> str | None:
    """Check a quote; raises InputError."""
    if given is None or given.lower() == "double":
        return '"'
    marks = {"none": None, "single": "'", '"': '"', "'": "'"}
    if given.lower() not in marks:
        raise InputError.of("the quote", given, "double, single or none")
    return marks[given.lower()]


def truths_of(
    true: Sequence[str], false: Sequence[str], empty: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check the words for true and false; return them with those that always are; raises InputError."""
    true, false = [tuple(word.strip(BLANKS) for word in given) for given in (true, false)]
    for word in (*true, *false):
        known = word.lower() in TRUE + FALSE
        if not word or (is_value(word) and not known):
            raise InputError.of("a word for true or false", word, "a word that is no number, no date and not empty")
        if word in empty:
            raise InputError.of("a word for true or false is read as empty", word, "one of them; see --keep-words")
    all_true, all_false = (*TRUE, *true), (*FALSE, *false)
    both = {word.lower() for word in all_true} & {word.lower() for word in all_false}
    if both:
        raise InputError.of("a word stands for true and for false", min(both), "one of them, whatever its capitals")
    return all_true, all_false


def encoding_named(given: str | None) -> str | None:
    """Check an encoding's name; raises InputError."""
    if given is None:
        return None
    try:
        info = codecs.lookup(given)
    except (LookupError, ValueError):
        info = None
    if info is None or not info._is_text_encoding:
        raise InputError.of(
            "unknown encoding", given, "one that Python knows, such as utf-8, utf-16, cp1252, shift_jis"
        )
    return "utf-8-sig" if info.name == "utf-8" else info.name


def decimals_of(given: Sequence[str]) -> dict[str, str]:
    """Check `MARK` and `COLUMN=MARK`; return the mark by column, under "" that of all others; raises InputError."""
    marks: dict[str, str] = {}
    for word in given:
        column, _, mark = word.rpartition("=")
        if mark not in (".", ","):
            raise InputError.of("the decimal mark", word, "'.' or ',', or COLUMN=. or COLUMN=, for one column")
        if column in marks:
            raise InputError.of(
                "the decimal mark is given twice", word, "once for each column, and once for all others"
            )
        marks[column] = mark
    return marks
