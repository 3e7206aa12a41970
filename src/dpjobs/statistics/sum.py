"""SUM: one signed cell, to which a row gives its clamped value in steps."""

import math
from collections.abc import Sequence
from fractions import Fraction

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.formula import K
from dpjobs.interval import quantile
from dpjobs.plan import TOKENS, Cell, Grid, Plan, most_steps, nearest, smallest_step
from dpjobs.query import Bounds, Query
from dpjobs.statistics.base import Estimate, Part, Range, Statistic, within

NAME = "sum"


class Sum(Statistic):
    """The sum of the clamped values."""

    query = Query.SUM

    def plan(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
        """One cell, whose sensitivity is the larger bound in steps."""
        if bounds is None:
            raise ValueError("SUM needs bounds")
        grid = grid_from_zero(bounds, epsilon)
        most = max(abs(grid.lower), abs(grid.upper))
        cell = Cell(NAME, grid.lower, grid.upper, Fraction(grid.step), most, epsilon if most else Epsilon(0), K)
        return Plan(Query.SUM, column, TOKENS, (cell,), grid)

    def estimate(self, plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
        """Return the noisy sum; its interval is the noise's own quantile, for the sum of the rounded values.

        Each of these differs by at most `plan.rounding_per_row`.
        """
        part = Part.of(noisy[0])
        q = quantile(part.term(), 1.0 - confidence)
        return within(self.possible(plan), part.value, part.value - q, part.value + q)

    def possible(self, plan: Plan) -> Range:
        """No sum lies on the side of 0 on which the bounds allow no value."""
        cell = plan.cell(NAME)
        return Range(0.0 if cell.lower >= 0 else -math.inf, 0.0 if cell.upper <= 0 else math.inf)

    def whole(self, bounds: Bounds | None, rows: int) -> float:
        """The largest sum that so many rows can have."""
        return rows * max(abs(bounds.lower), abs(bounds.upper)) if bounds else 0.0


def grid_from_zero(bounds: Bounds, epsilon: Epsilon) -> Grid:
    """The grid whose 0 is 0, with at most as many steps to either bound as a row may have tokens."""
    lower, upper = Fraction(bounds.lower), Fraction(bounds.upper)
    step = smallest_step(max(abs(lower), abs(upper)), most_steps(epsilon))
    return Grid(bounds, 0.0, float(step), nearest(lower, step), nearest(upper, step))
