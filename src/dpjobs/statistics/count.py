"""COUNT: one cell, to which every row gives 1."""

import math
from collections.abc import Sequence
from fractions import Fraction

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.formula import ONE
from dpjobs.interval import quantile
from dpjobs.plan import TOKENS, Cell, Plan
from dpjobs.query import Bounds, Query
from dpjobs.statistics.base import Estimate, Part, Range, Statistic, within

NAME = "count"


def cell(epsilon: Epsilon) -> Cell:
    """The cell that counts rows."""
    return Cell(NAME, 1, 1, Fraction(1), sensitivity=1, epsilon=epsilon, formula=ONE)


class Count(Statistic):
    """The number of rows, or of cells that are not empty."""

    query = Query.COUNT

    def plan(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
        """One cell."""
        return Plan(Query.COUNT, column, TOKENS, (cell(epsilon),))

    def estimate(self, plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
        """Return the noisy count; its interval is the noise's own quantile. No count is below 0."""
        part = Part.of(noisy[0])
        q = quantile(part.term(), 1.0 - confidence)
        return within(self.possible(plan), part.value, part.value - q, part.value + q)

    def possible(self, plan: Plan) -> Range:
        """No count is below 0."""
        return Range(0.0, math.inf)

    def whole(self, bounds: Bounds | None, rows: int) -> float:
        """The rows."""
        return float(rows)
