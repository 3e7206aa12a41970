"""MEAN: K tokens a row, k of them high and K − k low; the mean is where between the bounds the high ones' share lies.

The high and the low tokens share epsilon, so the mean has half the squared error of a count and a sum with a half
each. It is the transformed noise of Kulesza, Suresh and Wang (ICML 2024, arXiv 2312.06658).
"""

from collections.abc import Sequence
from fractions import Fraction

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.formula import K
from dpjobs.plan import SEPARATE, TOKENS, Cell, Plan, tokens_grid
from dpjobs.query import Bounds, Query
from dpjobs.statistics import separate
from dpjobs.statistics.base import Estimate, Range, Statistic, within
from dpjobs.statistics.shares import Shares, held, share_of, value_of

HIGH, LOW = "high", "low"
_HIGH = (1.0, 0.0)  # what high and low tokens are worth


class Mean(Statistic):
    """The mean of the clamped values."""

    query = Query.MEAN
    separate_parts = 2

    def plan(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
        """Two cells."""
        if bounds is None:
            raise ValueError("MEAN needs bounds")
        grid = tokens_grid(bounds, epsilon)
        tokens, step = grid.upper, Fraction(grid.step)
        epsilon = epsilon if tokens else Epsilon(0)
        cells = (
            Cell(HIGH, 0, tokens, step, tokens, epsilon, K),
            Cell(LOW, 0, tokens, step, tokens, epsilon, tokens - K),
        )
        return Plan(Query.MEAN, column, TOKENS, cells, grid)

    def separate(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
        """A count and a sum about the middle."""
        return separate.plan(Query.MEAN, column, bounds, epsilon)

    def estimate(self, plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
        """Return lower + (upper − lower) · high / (high + low), and all shares that the noise leaves possible."""
        if plan.recipe == SEPARATE:
            return separate.mean(plan, noisy, confidence)
        if plan.grid is None:
            raise ValueError("a plan for MEAN has a grid")
        width = plan.grid.upper * plan.grid.step
        share = held(value_of(_HIGH, noisy), share_of(_HIGH, Shares.of(noisy, 1.0 - confidence)))
        h = plan.grid.rounding
        low, high = (plan.grid.origin + width * s for s in (share.low, share.high))
        return within(self.possible(plan), plan.grid.origin + width * share.value, low - h, high + h)

    def possible(self, plan: Plan) -> Range:
        """A mean lies between the bounds."""
        if plan.grid is None:
            raise ValueError("a plan for MEAN has a grid")
        return Range(plan.grid.bounds.lower, plan.grid.bounds.upper)

    def whole(self, bounds: Bounds | None, rows: int) -> float:
        """The range."""
        return bounds.upper - bounds.lower if bounds else 0.0
