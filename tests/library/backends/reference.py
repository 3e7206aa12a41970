"""What a row is, once more in plain and slow Python, after docs/how-it-works.md: what backends are held against."""

import bz2
import gzip
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from dpjobs.bounds import HIGHEST, LOWEST, OFFSET
from dpjobs.plan import Grid, Plan, Rows
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
    if plan.counts:
        return [sum(x is not None for x in values) for _ in plan.live]
    return _of_rows([_row(x is not None, None if x is None or math.isnan(x) else x) for x in values], plan)


def of_texts(texts: list[str | None], plan: Plan, broken: list[bool] | None = None) -> list[int]:
    """The totals of a plan for texts; `broken`: of which the line is not as wide as the header."""
    filled = [text not in ("", "\r", None) for text in texts]
    if plan.counts:
        return [sum(filled) for _ in plan.live]
    rows = zip(texts, filled, broken or [False] * len(texts), strict=True)
    return _of_rows([(Rows.BROKEN_LINE, None) if b else _row(f, number(text)) for text, f, b in rows], plan)


def _row(filled: bool, x: float | None) -> tuple[Rows, float | None]:
    if x is None:
        return (Rows.NO_NUMBER if filled else Rows.EMPTY), None
    return Rows.NUMBERS, x


def _of_rows(rows: list[tuple[Rows, float | None]], plan: Plan) -> list[int]:
    numbers = [x for _, x in rows if x is not None]
    if plan.bins:
        bins = [bin_of(x) for x in numbers]
        return [bins.count(cell.bin) for cell in plan.live]
    assert plan.grid is not None
    ks, bounds = [steps(x, plan.grid) for x in numbers], plan.grid.bounds
    kinds = Counter(kind for kind, _ in rows)
    kinds[Rows.BELOW] = sum(x < bounds.lower for x in numbers)
    kinds[Rows.ABOVE] = sum(x > bounds.upper for x in numbers)
    kinds[Rows.WITHIN] = sum(bounds.lower <= x <= bounds.upper for x in numbers)
    return [
        sum(cell.formula.value(k) for k in ks) if cell.formula else cell.upper * kinds[cell.rows]
        for cell in plan.live
    ]


def texts(source: Source, column: str | None, limit: int) -> tuple[list[str | None], list[bool]]:
    """The cells of a column, of all rows, and whether the line is broken; without a column the rows."""
    place = None if column is None else list(source.columns).index(column)
    contents = tuple(_content(Path(path)) for path in source.paths)
    found = _texts(contents, source.headers, place, source.width, limit)
    return [text for text, _ in found], [broken for _, broken in found]


@lru_cache(maxsize=4)
def _texts(
    contents: tuple[bytes, ...], headers: frozenset[bytes], place: int | None, width: int, limit: int
) -> tuple[tuple[str, bool], ...]:
    rows = [row for content in contents for row in _lines(content, headers, limit)]
    if place is None:
        return tuple((row, False) for row in rows)
    parsed = (cells(row) for row in rows)
    return tuple((row[place] if place < len(row) else "", len(row) != width) for row in parsed)


def of_csv(source: Source, plan: Plan, limit: int = MAX_LINE) -> list[int]:
    """The totals of a plan for CSV files; the column is none of the folders'."""
    found, broken = texts(source, plan.column, limit)
    return [len(found) for _ in plan.live] if plan.column is None else of_texts(found, plan, broken)
