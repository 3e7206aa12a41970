"""What an answer about numbers leaves out and what it clamps: cells beside the answer's own, and how they are told.

A row without a number gives all its tokens to a cell that says why, so knowing how many there are costs nothing. How
many numbers lie beyond the bounds costs a share of epsilon of its own: those rows have given their tokens already.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.interval import Term, quantile
from dpjobs.plan import ANSWER, CHECK, LEFT_OUT, SIDES, TOKENS, Cell, Plan, Rows
from dpjobs.query import Bounds, Query


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


_BEYOND = {True: 0.99, False: 0.999}
"""How sure it has to be that there are such rows at all, before a warning says so: for what is clamped, and left out.

Half of what is missing to 1 is how often noise alone gives the warning.
"""
_IMPORT = "`dpcloud data import --help` tells how to read such a file"


@dataclass(frozen=True)
class Share:
    """Noisy rows of one kind, half of their interval's width at the release's confidence, and their whole.

    `least` is how many there are at least, as far as the noise tells (`_BEYOND`). `of`, the rows that they are
    a part of, is None where it is not known.
    """

    kind: Rows
    rows: float
    half: float
    least: float
    of: float | None = None

    @property
    def is_beyond_noise(self) -> bool:
        """Whether there are such rows, whatever the noise."""
        return self.least > 0

    @property
    def percent(self) -> float | None:
        """Their share of `of`."""
        return None if self.of is None else min(max(100.0 * self.rows / self.of, 0.0), 100.0)

    def text(self, whole: str, unit: str = "rows") -> str:
        """Say about how many of the whole there are, in no more digits than the noise leaves."""
        rows = f"{plus_minus(self.rows, self.half)} {unit}"
        if self.percent is None or not self.of:
            return f"about {rows} of {whole}"
        return f"about {rounded(self.percent, 100.0 * max(self.half, 1.0) / self.of)} % of {whole} ({rows})"


def plus_minus(rows: float, half: float) -> str:
    """Write a noisy number of rows, which may be below 0, with half of its interval: 310 ± 120."""
    digit = max(half / 10, 1.0)
    return f"{rounded(max(rows, 0.0), digit)} ± {rounded(max(half, 1.0), digit)}"


def rounded(x: float, half: float) -> str:
    """Write a number to the first digit of half of its interval; no finer than it could be a whole number."""
    digits = -math.floor(math.log10(half)) if 0 < half < math.inf else 0
    return f"{round(x, digits):,.{max(digits, 0)}f}"


def shares(plan: Plan, noisy: Sequence[Noisy], confidence: float) -> list[Share]:
    """Return how many rows of each kind there are, of those that the plan has cells for."""
    found = {n.cell.rows: _share(n, confidence) for n in noisy if n.cell.rows is not Rows.NUMBERS}
    told = [share for kind, share in found.items() if kind is not Rows.WITHIN]
    numbers = _numbers(plan, noisy)
    if numbers is None:
        return told
    rows: dict[Rows, float] = {kind: max(share.rows, 0.0) for kind, share in found.items()}
    numbers = max(numbers, 0.0)
    filled = numbers + rows.get(Rows.NO_NUMBER, 0.0)
    everything = numbers + sum(rows.get(kind, 0.0) for kind in LEFT_OUT)
    wholes = {Rows.BELOW: numbers, Rows.ABOVE: numbers, Rows.NO_NUMBER: filled}
    return [replace(share, of=wholes.get(share.kind, everything) or None) for share in told]


def _share(noisy: Noisy, confidence: float) -> Share:
    rows = float(noisy.value * noisy.cell.step)
    half, beyond = (_half(noisy, level) for level in (confidence, _BEYOND[noisy.cell.rows in SIDES]))
    return Share(noisy.cell.rows, rows, half, rows - beyond)


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
    if share.kind in (Rows.BELOW, Rows.ABOVE) and plan.grid and plan.query:
        return _clamped(plan.query, plan.grid.bounds, share)
    if share.kind is Rows.NO_NUMBER:
        if share.of and share.rows + share.half >= share.of:
            return f"no filled cell is a number ({plus_minus(share.rows, share.half)} rows): the answer is noise"
        return (
            f"{share.text('the filled cells')} are no numbers, and are left out: thousands separators, percent "
            f"signs, decimal commas, codes, dates, words? {_IMPORT}"
        )
    if share.kind is Rows.BROKEN_LINE:
        return (
            f"{share.text('the lines', 'lines')} have more or fewer cells than the header, and are left out: cells "
            f"with line breaks, or commas without quotes? {_IMPORT}"
        )
    return f"{share.text('the rows')} have an empty cell, and are left out"


def _clamped(query: Query, bounds: Bounds, share: Share) -> str:
    """Say what the bounds did to the answer."""
    is_below = share.kind is Rows.BELOW
    where, bound = ("below", bounds.lower) if is_below else ("above", bounds.upper)
    other = "another" if query is Query.VARIANCE else "smaller" if is_below else "larger"
    return (
        f"{share.text('the numbers')} lie {where} {bound:,.15g} and count as {bound:,.15g}: the answer and its "
        f"interval are for the values as clamped; the {query.value} of the values as they are is {other}, by an "
        "amount that this run cannot tell"
    )


def as_json(found: Sequence[Share]) -> dict[str, dict[str, float]]:
    """Return each kind by name as a release has it: noisy rows, half of their interval's width, and percentage.

    There is none where the rows are no more than noise.
    """
    return {
        share.kind.value: {"rows": share.rows, "half_width": share.half}
        | ({} if share.percent is None or not share.is_beyond_noise else {"percent": round(share.percent, 6)})
        for share in found
    }
