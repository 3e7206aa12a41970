"""What a row is, once more in plain and slow Python, after docs/how-it-works.md: what backends are held against."""

import bz2
import gzip
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from dpjobs.bounds import HIGHEST, LOWEST, OFFSET
from dpjobs.plan import Grid, Plan
from dpjobs.source import Source

MAX_LINE = 1 << 20
_BLANK = bytes(range(33)).decode("latin-1")
_NUMBER = re.compile(r"[+-]?((\d++(\.\d*+)?|\.\d++)(e[+-]?\d++)?|inf|infinity)", re.ASCII | re.IGNORECASE)


def _content(path: Path) -> bytes:
    return {".gz": gzip.decompress, ".bz2": bz2.decompress}.get(path.suffix, bytes)(path.read_bytes())


def _lines(content: bytes, headers: frozenset[bytes], limit: int) -> Iterator[str]:
    """The lines that are rows, as far as they are read, one character a byte."""
    whole = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line in whole if whole[-1] else whole[:-1]:
        text = line[:limit].decode("latin-1")
        if text.strip(_BLANK) and line not in headers:
            yield text


def cells(line: str) -> list[str]:
    """A line's cells, character by character; of one that is quoted as a whole what stands between its quotes."""
    found, at = [], 0
    while True:
        start, inner = at, None
        if line[at : at + 1] == '"':
            close = _closing(line, at)
            if close is not None:
                inner, at = line[at + 1 : close], close + 1
        comma = line.find(",", at)
        end = len(line) if comma < 0 else comma
        whole_in_quotes = inner is not None and not line[at:end].strip(_BLANK)
        found.append(inner if whole_in_quotes else line[start:end])
        if comma < 0:
            return found
        at = comma + 1


def _closing(line: str, at: int) -> int | None:
    """Where the quote that opens at `at` is closed: at one that is not the first of a pair."""
    at += 1
    while (at := line.find('"', at)) >= 0:
        if line[at + 1 : at + 2] != '"':
            return at
        at += 2
    return None


def number(text: str | None) -> float | None:
    """The number of a text: Python's own reading rounds to the nearest double, as Java's does."""
    plain = (text or "").strip(_BLANK)
    if plain.lower() in ("true", "false"):
        return float(plain.lower() == "true")
    return float(plain) if _NUMBER.fullmatch(plain) else None


def steps(x: float, grid: Grid) -> int:
    clamped = min(max(x, grid.bounds.lower), grid.bounds.upper)
    return min(max(round((clamped - grid.origin) / grid.step), grid.lower), grid.upper)


def bin_of(x: float) -> int:
    if abs(x) <= 2.0 ** (LOWEST - 1):
        return 0
    exponent = next((e for e in range(LOWEST, HIGHEST) if abs(x) <= 2.0**e), HIGHEST)
    return int(math.copysign(exponent + OFFSET, x))


def of_numbers(values: list[float | None], plan: Plan) -> list[int]:
    """The totals of a plan for numbers; nothing and NaN are left out."""
    numbers = [x for x in values if x is not None and not math.isnan(x)]
    if plan.bins:
        bins = [bin_of(x) for x in numbers]
        return [bins.count(cell.bin) for cell in plan.live]
    if plan.counts:
        return [sum(x is not None for x in values) for _ in plan.live]
    assert plan.grid is not None
    ks = [steps(x, plan.grid) for x in numbers]
    return [sum(cell.formula.value(k) for k in ks) for cell in plan.live if cell.formula]


def of_texts(texts: list[str | None], plan: Plan) -> list[int]:
    """The totals of a plan for texts."""
    if plan.counts:
        return [sum(text not in ("", "\r", None) for text in texts) for _ in plan.live]
    return of_numbers([number(text) for text in texts], plan)


def texts(source: Source, column: str | None, limit: int) -> list[str | None]:
    """The cells of a column, of all rows; without a column the rows."""
    place = None if column is None else list(source.columns).index(column)
    contents = tuple(_content(Path(path)) for path in source.paths)
    return list(_texts(contents, source.headers, place, limit))


@lru_cache(maxsize=4)
def _texts(contents: tuple[bytes, ...], headers: frozenset[bytes], place: int | None, limit: int) -> tuple[str, ...]:
    rows = [row for content in contents for row in _lines(content, headers, limit)]
    if place is None:
        return tuple(rows)
    parsed = (cells(row) for row in rows)
    return tuple(row[place] if place < len(row) else "" for row in parsed)


def of_csv(source: Source, plan: Plan, limit: int = MAX_LINE) -> list[int]:
    """The totals of a plan for CSV files; the column is none of the folders'."""
    found = texts(source, plan.column, limit)
    return [len(found) for _ in plan.live] if plan.column is None else of_texts(found, plan)
