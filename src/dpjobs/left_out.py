"""What an answer about numbers leaves out and what it clamps: cells beside the answer's own, and how they are told.

A row without a number gives all its tokens to a cell that says why, so knowing how many there are costs nothing. How
many numbers lie beyond the bounds costs a share of epsilon of its own: those rows have given their tokens already.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.interval import Term, quantile
from dpjobs.plan import ANSWER, CHECK, LEFT_OUT, SIDES, TOKENS, Cell, Plan, Rows


def with_checks(plan: Plan, answer: Epsilon, check: Epsilon, has_lines: bool) -> Plan:
    """Return the plan with the cells that tell what its answer leaves out, and clamps.

    `answer` is the answer's epsilon, which those that are left out share where cells share tokens. `check` is spent
    beside it, 0 for nothing: then an engine that accounts by itself tells nothing. `has_lines`: the table is text,
    whose lines may be broken.
    """
    if plan.counts:
        return plan
    left_out = LEFT_OUT if has_lines else LEFT_OUT[:-1]
    cells = list(plan.cells)
    if plan.recipe == TOKENS:
        cells += [_cell(kind, max(plan.cells[0].sensitivity, 1), ANSWER, answer) for kind in left_out]
    if check:
        checked = SIDES if plan.recipe == TOKENS else (*left_out, *SIDES)
        cells += [_cell(kind, 1, CHECK, check) for kind in checked]
    return replace(plan, cells=tuple(cells))


def _cell(kind: Rows, tokens: int, vector: str, epsilon: Epsilon) -> Cell:
    step = Fraction(1, tokens)
    return Cell(kind.value, 0, tokens, step, sensitivity=tokens, epsilon=epsilon, rows=kind, vector=vector)


def of_answer(noisy: Sequence[Noisy]) -> list[Noisy]:
    """Return the noisy cells that the answer follows from."""
    return [n for n in noisy if n.cell.rows is Rows.NUMBERS]


_BEYOND = 0.98
"""How sure it has to be that there are such rows at all, before a warning says so: 1 % of false alarms a kind."""
_TYPED = "`dpcloud data import` reads such files"


@dataclass(frozen=True)
class Share:
    """Noisy rows of one kind, their interval at the release's confidence, and of how many rows they are a part.

    `least` is what they are at least, as far as the noise tells at `_BEYOND`; `of` is None where it is not known.
    """

    kind: Rows
    rows: float
    low: float
    high: float
    least: float
    of: float | None = None

    @property
    def is_beyond_noise(self) -> bool:
        """Whether there are such rows, whatever the noise."""
        return self.least > 0

    @property
    def percent(self) -> float | None:
        """Their share of `of`."""
        return None if self.of is None else min(100.0 * self.rows / self.of, 100.0)

    def __str__(self) -> str:
        """Say about how many, in no more digits than the noise leaves."""
        half = max(self.high - self.rows, 0.5)
        rows = f"{rounded(self.rows, half)} ± {rounded(half, half)} rows"
        if self.percent is None or not self.of:
            return f"about {rows}"
        return f"about {rounded(self.percent, 100.0 * half / self.of)} % ({rows})"


def rounded(x: float, half: float) -> str:
    """Write a number to the digit that half of its interval reaches."""
    digits = -math.floor(math.log10(half)) if 0 < half < math.inf else 0
    return f"{round(x, digits):,.{max(digits, 0)}f}"


def shares(plan: Plan, noisy: Sequence[Noisy], confidence: float) -> list[Share]:
    """Return how many rows of each kind there are, of those that the plan has cells for."""
    found = {n.cell.rows: _share(n, confidence) for n in noisy if n.cell.rows is not Rows.NUMBERS}
    numbers = _numbers(plan, noisy)
    if numbers is None or numbers <= 0:
        return [share for kind, share in found.items() if kind is not Rows.WITHIN]
    filled = numbers + (found[Rows.NO_NUMBER].rows if Rows.NO_NUMBER in found else 0.0)
    everything = numbers + sum(found[kind].rows for kind in LEFT_OUT if kind in found)
    wholes = {Rows.BELOW: numbers, Rows.ABOVE: numbers, Rows.NO_NUMBER: filled}
    return [
        replace(share, of=wholes.get(kind, everything)) for kind, share in found.items() if kind is not Rows.WITHIN
    ]


def _share(noisy: Noisy, confidence: float) -> Share:
    rows = float(noisy.value * noisy.cell.step)
    half, beyond = (_half(noisy, level) for level in (confidence, _BEYOND))
    return Share(noisy.cell.rows, max(rows, 0.0), max(rows - half, 0.0), max(rows + half, 0.0), rows - beyond)


def _half(noisy: Noisy, confidence: float) -> float:
    terms = [] if noisy.noise is None else [Term(float(noisy.cell.step), noisy.noise)]
    return quantile(terms, 1.0 - confidence)


def _numbers(plan: Plan, noisy: Sequence[Noisy]) -> float | None:
    """About how many rows have a number; None where the cells do not tell."""
    answer = [n for n in of_answer(noisy) if n.noise is not None]
    if plan.recipe == TOKENS and len(answer) > 1:
        return sum(n.value for n in answer) / answer[0].cell.sensitivity
    sides = [n.value for n in noisy if n.cell.rows in SIDES]
    return float(sum(sides)) if sides else None


def warnings(plan: Plan, found: Sequence[Share]) -> list[str]:
    """Return a sentence for each kind of rows that is there beyond noise."""
    return [_warning(plan, share) for share in found if share.is_beyond_noise]


def _warning(plan: Plan, share: Share) -> str:
    bounds = plan.grid.bounds if plan.grid else None
    if bounds and share.kind in (Rows.BELOW, Rows.ABOVE):
        where = "below" if share.kind is Rows.BELOW else "above"
        bound = bounds.lower if share.kind is Rows.BELOW else bounds.upper
        return (
            f"{share} of the numbers lie {where} {bound:,.15g} and count as it: the answer and its interval are for "
            "the values as clamped"
        )
    if share.kind is Rows.NO_NUMBER:
        return (
            f"{share} of the filled cells are no numbers and are left out: thousands separators, percent signs, "
            f"decimal commas, codes? {_TYPED}"
        )
    if share.kind is Rows.BROKEN_LINE:
        return (
            f"{share} of the lines have more or fewer cells than the header and are left out: cells with line breaks, "
            f"or commas without quotes? {_TYPED}"
        )
    return f"{share} of the rows have an empty cell and are left out"


def as_json(found: Sequence[Share]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each kind by name, as a release has it."""
    for share in found:
        half = max(share.high - share.rows, 0.5)
        told: dict[str, Any] = {"rows": share.rows, "interval": [share.low, share.high]}
        if share.of:
            told["percent"] = float(rounded(share.percent or 0.0, 100.0 * half / share.of).replace(",", ""))
        yield share.kind.value, told
