"""VARIANCE: K tokens a row in three cells, after the square's Bernstein polynomials.

Of a row of k steps b2 = round(k²/K), b1 = 2·(k − b2), b0 = K − 2k + b2: none is below 0, together they are K, and
b1/2 + b2 = k. So b2's share of all tokens is the mean square, in units of the range, and b1/2 + b2's the mean.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from dpjobs.engines.base import Noisy
from dpjobs.formula import K
from dpjobs.interval import quantile
from dpjobs.plan import SEPARATE, TOKENS, Cell, Plan, tokens_grid
from dpjobs.query import Bounds, Query
from dpjobs.statistics import separate
from dpjobs.statistics.base import Estimate, Range, Statistic, within
from dpjobs.statistics.shares import share_of, terms, total_of

B0, B1, B2 = "b0", "b1", "b2"
_WORTH = (0.0, 0.5, 1.0)  # of b0, b1 and b2 for the mean
_MEAN_PART = 0.1  # of the error probability, for where the mean lies
_ROUNDS = 30


class Variance(Statistic):
    """The population variance of the clamped values."""

    query = Query.VARIANCE
    separate_parts = 3

    def plan(self, column: str | None, bounds: Bounds | None, epsilon: Decimal) -> Plan:
        """Three cells."""
        if bounds is None:
            raise ValueError("VARIANCE needs bounds")
        grid = tokens_grid(bounds, epsilon)
        tokens, step = grid.upper, Fraction(grid.step)
        epsilon = epsilon if tokens else Decimal(0)
        b2 = (2 * K * K + tokens) // (2 * max(tokens, 1))
        formulas = {B0: tokens - 2 * K + b2, B1: 2 * (K - b2), B2: b2}
        cells = (Cell(name, 0, tokens, step, tokens, epsilon, formula) for name, formula in formulas.items())
        return Plan(Query.VARIANCE, column, TOKENS, tuple(cells), grid)

    def separate(self, column: str | None, bounds: Bounds | None, epsilon: Decimal) -> Plan:
        """A count, a sum and a sum of squares about the middle."""
        return separate.plan(Query.VARIANCE, column, bounds, epsilon)

    def estimate(self, plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
        """Return mean square − mean², and all variances that the noise leaves possible.

        For any c the variance + (mean − c)² is linear in the three totals. With the true mean for c that is the
        variance alone; c runs through an interval for the mean.
        """
        if plan.recipe == SEPARATE:
            return separate.variance(plan, noisy, confidence)
        if plan.grid is None:
            raise ValueError("a plan for VARIANCE has a grid")
        width = plan.grid.bounds.upper - plan.grid.bounds.lower
        unit = (plan.grid.upper * plan.grid.step) ** 2
        share = _variance(noisy, 1.0 - confidence)
        # Rounding moves every value by at most h, so the standard deviation, at most R/2, by at most h (Minkowski);
        # and b2 is rounded to a whole token
        h = plan.grid.rounding
        slack = width * h + h * h + unit / (2 * max(plan.grid.upper, 1))
        possible = Range(0.0, width * width / 4)
        return within(possible, unit * share.value, unit * share.low - slack, unit * share.high + slack)

    def whole(self, bounds: Bounds | None, rows: int) -> float:
        """The largest variance that the bounds allow."""
        return (bounds.upper - bounds.lower) ** 2 / 4 if bounds else 0.0


def _variance(noisy: Sequence[Noisy], alpha: float) -> Estimate:
    """The variance in units of the range's square, and its interval."""
    total = total_of(noisy)
    largest = 0.25
    if total <= 0:
        return Estimate(0.0, 0.0, largest)
    mean = share_of(_WORTH, noisy, alpha * _MEAN_PART)
    about = (noisy[1].value / 2 + noisy[2].value) / total
    raw = noisy[2].value / total - about * about
    nearest = min(max(about, mean.low), mean.high)
    farthest = max(abs(mean.low - about), abs(mean.high - about))
    found = Range(0.0, largest)
    for _ in range(_ROUNDS):
        q = quantile(terms(_weights(mean, found), noisy), alpha * (1.0 - _MEAN_PART)) / total
        last = found
        found = Range(found.clip(raw + (nearest - about) ** 2 - q), found.clip(raw + farthest**2 + q))
        if math.isclose(found.high - found.low, last.high - last.low, rel_tol=1e-6):
            break
    return Estimate(min(max(raw, 0.0), largest), found.low, found.high)


def _weights(mean: Estimate, variance: Range) -> list[float]:
    """The largest weights of the three noises, over all means and variances in their intervals."""
    low, high = mean.low, mean.high
    product = [c * (1.0 - c) for c in (low, high, *([0.5] if low < 0.5 < high else []))]
    squares = (Range(low**2, high**2), Range(-max(product), -min(product)), Range((1 - high) ** 2, (1 - low) ** 2))
    return [max(abs(s.high - variance.low), abs(s.low - variance.high)) for s in squares]
