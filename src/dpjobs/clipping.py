"""What an answer's noise and its bounds may hide: warnings where either could mislead.

Pure functions of noisy numbers: they cost nothing and read nothing.
"""

import math
from collections.abc import Sequence

from dpjobs.left_out import Share
from dpjobs.plan import Plan, Rows
from dpjobs.query import Bounds, Query
from dpjobs.statistics.base import Estimate, Range

MATTERS = 0.05
"""The part of the answer from which on a possible error is told."""
_NOTHING = (
    "the noise interval is all that the bounds allow: this answer says nothing of the table; more rows or more "
    "epsilon would"
)
_NEXT = "if you know what the values can be without looking at them, give `--lower` and `--upper`"


def none_found(bounds: Bounds, epsilon: str) -> str:
    """Say that the histogram showed nothing, and what was used instead."""
    return (
        f"no bounds could be found for epsilon {epsilon} (too few numbers in the column): a fixed range of "
        f"{_plain(bounds.lower)} to {_plain(bounds.upper)} was used, which has nothing to do with the table; "
        "give `--lower` and `--upper`"
    )


def hidden(plan: Plan, answer: Estimate, shares: Sequence[Share]) -> list[str]:
    """Return what `unseen` says of a plan with bounds found privately, its answer, and the rows that were checked."""
    if plan.query is None or plan.grid is None:
        return []
    checked = {share.kind: share for share in shares}
    below, above = (checked.get(kind) for kind in (Rows.BELOW, Rows.ABOVE))
    return unseen(
        plan.query,
        plan.grid.bounds,
        answer.value,
        None if below is None else max(below.rows + below.half, 0.0),
        None if above is None else max(above.rows + above.half, 0.0),
        (above and above.of) or 0.0,
    )


def unseen(
    query: Query, bounds: Bounds, value: float, below: float | None, above: float | None, numbers: float
) -> list[str]:
    """Return a sentence where rows that noise can hide beyond a bound would move the answer, lay they farther out.

    `value` is the noisy answer. `below` and `above` are the upper ends of the intervals for how many rows lie beyond
    each bound, None where they were not counted; `numbers` is about how many rows have a number. Never raises.
    """
    found = f"the bounds {_plain(bounds.lower)} and {_plain(bounds.upper)} were found privately"
    if bounds.lower == bounds.upper:
        only = _plain(bounds.lower)
        return [f"{found}: nothing but {only} could be seen, and all other values count as it; {_NEXT}"]
    if below is None or above is None:
        return [f"{found}; how many numbers lie beyond them was not counted, so the answer may be far off; {_NEXT}"]
    each = farther(query, bounds, numbers)
    sides = [(above, "above", bounds.upper), (below, "below", bounds.lower)]
    matter = [side for side in sides if side[0] * each > MATTERS * abs(value)]
    if not matter:
        return []
    rows = " or ".join(f"{rows:,.0f} rows {where} {_plain(bound)}" for rows, where, bound in matter)
    moved = each * max(rows for rows, _, _ in matter)
    return [
        f"{found}, and the noise could hide up to {rows}: if those lay as far beyond it as the bounds are apart, the "
        f"answer would be off by {_part(moved, value)}, if farther, by more, and its interval does not include that; "
        f"{_NEXT}"
    ]


def farther(query: Query, bounds: Bounds, numbers: float) -> float:
    """How much one row moves the answer that counts as a bound, and lies one range farther out."""
    width = bounds.upper - bounds.lower
    if query is Query.SUM:
        return width
    if query is Query.MEAN:
        return width / max(numbers, 1.0)
    return 3.0 * width * width / max(numbers, 1.0)  # from the mean it is two ranges away at most, and counts as one


def wide(query: Query, answer: Estimate, possible: Range) -> list[str]:
    """Return a sentence where the noise interval is more than 5 % of the answer to either side. Never raises."""
    value, low, high = answer
    if (low, high) == possible:
        return [_NOTHING]
    half = max(high - value, value - low)
    if half <= MATTERS * abs(value):
        return []
    narrower = "" if query is Query.COUNT else "narrower bounds (`--lower`, `--upper`), "
    return [f"the noise is ± {_part(half, value)} of the answer: {narrower}more epsilon or more rows make it less"]


def _part(error: float, value: float) -> str:
    """Say an error as a percentage of the answer, in two digits."""
    percent = 100.0 * error / abs(value) if value else math.inf
    return f"{percent:.2g} %" if percent < 99.5 else "100 % or more"


def _plain(bound: float) -> str:
    return f"{bound:,.15g}"
