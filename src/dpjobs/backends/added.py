"""What a backend adds up for a plan about numbers: the fewest sums that tell the totals of all its cells."""

from collections.abc import Sequence
from typing import NamedTuple

from dpjobs.formula import ONE, Formula, K
from dpjobs.plan import LEFT_OUT, SIDES, Cell, Plan, Rows

ALL, FILLED, BROKEN, BELOW, ABOVE = "all", "filled", "broken", "below", "above"
"""What rows are counted: all; those with a filled cell, of lines that are not broken; broken ones; beyond a bound."""


class Added(NamedTuple):
    """What was added up: formulas over the rows with a number, and how many rows there are of each kind."""

    sums: dict[Formula, int]
    rows: dict[Rows, int]

    @classmethod
    def of(cls, plan: Plan, has_lines: bool, found: Sequence[int]) -> "Added":
        """Take the sum of each of `formulas`, and then the number of rows for each of `counts`."""
        wanted = formulas(plan)
        sums = dict(zip(wanted, found, strict=False))
        told = dict(zip(counts(plan, has_lines), found[len(wanted) :], strict=True))
        numbers, rows = sums[ONE], {}
        if ALL in told:
            broken = told.get(BROKEN, 0)
            rows[Rows.BROKEN_LINE] = broken
            rows[Rows.NO_NUMBER] = told[FILLED] - numbers
            rows[Rows.EMPTY] = told[ALL] - broken - told[FILLED]
        if BELOW in told:
            rows |= {Rows.BELOW: told[BELOW], Rows.ABOVE: told[ABOVE]}
            rows[Rows.WITHIN] = numbers - told[BELOW] - told[ABOVE]
        return cls(sums, rows)

    def total(self, cell: Cell) -> int:
        """A cell's total."""
        if cell.formula is None:
            return cell.upper * self.rows[cell.rows]
        return sum(times * self.sums[atom] for atom, times in cell.formula.linear().items())


def formulas(plan: Plan) -> list[Formula]:
    """Return what has to be added up over the rows with a number: ONE, which is how many they are, first, then K.

    Where cells share tokens, no row gives more to one of them than to a cell; to a separate square's it may be twice
    as much, so that 63 bits hold half as many rows.
    """
    live = (cell.formula for cell in plan.live if cell.formula)
    return list(dict.fromkeys([ONE, K, *(atom for formula in live for atom in formula.linear())]))


def counts(plan: Plan, has_lines: bool) -> list[str]:
    """Return which kinds of rows have to be counted; `has_lines`: lines may be broken."""
    needed = []
    if plan.kinds.intersection(LEFT_OUT):
        needed += [ALL, FILLED, BROKEN] if has_lines else [ALL, FILLED]
    if plan.kinds.intersection(SIDES):
        needed += [BELOW, ABOVE]
    return needed
