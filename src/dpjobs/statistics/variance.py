"""VARIANCE: K tokens a row in three cells, after the square's Bernstein polynomials.

Of a row of k steps b2 = round(k²/K), b1 = 2·(k − b2), b0 = K − 2k + b2: none is below 0, together they are K, and
b1/2 + b2 = k. So b2's share of all tokens is the mean square, in units of the range, and b1/2 + b2's the mean.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.formula import K
from dpjobs.plan import SEPARATE, TOKENS, Cell, Plan, tokens_grid
from dpjobs.query import Bounds, Query
from dpjobs.statistics import separate
from dpjobs.statistics.base import Estimate, Range, Statistic, within
from dpjobs.statistics.shares import Shares, end, held, share_of

B0, B1, B2 = "b0", "b1", "b2"
_MEAN, _SQUARE = (0.0, 0.5, 1.0), (0.0, 0.0, 1.0)  # what b0, b1 and b2 are worth for the mean and the mean square
_POSSIBLE = Range(0.0, 0.25)
_PIECES = 4  # of the interval for the mean, each with weights of its own
_MEAN_PART = 0.1  # of the error probability, for where the mean lies


class Variance(Statistic):
    """The population variance of the clamped values."""

    query = Query.VARIANCE
    separate_parts = 3

    def plan(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
        """Three cells."""
        if bounds is None:
            raise ValueError("VARIANCE needs bounds")
        grid = tokens_grid(bounds, epsilon)
        tokens, step = grid.upper, Fraction(grid.step)
        epsilon = epsilon if tokens else Epsilon(0)
        b2 = (2 * K * K + tokens) // (2 * max(tokens, 1))
        formulas = {B0: tokens - 2 * K + b2, B1: 2 * (K - b2), B2: b2}
        cells = (Cell(name, 0, tokens, step, tokens, epsilon, formula) for name, formula in formulas.items())
        return Plan(Query.VARIANCE, column, TOKENS, tuple(cells), grid)

    def separate(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
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
        unit = (plan.grid.upper * plan.grid.step) ** 2
        share = _variance(noisy, 1.0 - confidence)
        # b2 is rounded to a whole token; and rounding moves every value, so the standard deviation, by at most h
        h, token = plan.grid.rounding, unit / (2 * max(plan.grid.upper, 1))
        low = max(math.sqrt(max(unit * share.low - token, 0.0)) - h, 0.0) ** 2
        high = (math.sqrt(unit * share.high + token) + h) ** 2
        return within(self.possible(plan), unit * share.value, low, high)

    def possible(self, plan: Plan) -> Range:
        """From 0 to where half of the values lie at either bound."""
        if plan.grid is None:
            raise ValueError("a plan for VARIANCE has a grid")
        return Range(0.0, self.whole(plan.grid.bounds, 0))

    def whole(self, bounds: Bounds | None, rows: int) -> float:
        """The largest variance that the bounds allow."""
        return (bounds.upper - bounds.lower) ** 2 / 4 if bounds else 0.0


def value_of(noisy: Sequence[Noisy]) -> float:
    """Return the variance in units of the range's square, from the noisy cells alone."""
    likely = Shares.likely(noisy)
    mean = 0.5 + likely.sum([w - 0.5 for w in _MEAN]) / likely.total
    return _POSSIBLE.clip(likely.sum(_SQUARE) / likely.total - mean * mean)


def _variance(noisy: Sequence[Noisy], alpha: float) -> Estimate:
    """The variance in units of the range's square, and its interval."""
    value, both = value_of(noisy), Shares.of(noisy, alpha)
    shares, mean = both.part(1.0 - _MEAN_PART), share_of(_MEAN, both.part(_MEAN_PART))
    slope, total = shares.slope(), shares.total
    if slope is None:
        return held(value, _POSSIBLE)
    about, square = shares.sum(_MEAN) / total, shares.sum(_SQUARE) / total
    raw = square - about * about
    steps = [mean.low + (mean.high - mean.low) * i / _PIECES for i in range(_PIECES + 1)]
    pieces = [Range(*piece) for piece in pairwise(steps)]

    def moved(v: float, sign: int) -> float:
        return sign * max(
            sign * (raw + _off(about, piece, sign)) + shares.spread(_weights(piece, v)) / total for piece in pieces
        )

    largest = max(c * (1.0 - c) for c in (mean.low, mean.high, mean.clip(0.5)))
    centre = _POSSIBLE.clip(raw)
    low = end(lambda v: moved(v, -1), 0.0, centre, slope)
    high = end(lambda v: moved(v, 1), _POSSIBLE.high, centre, slope)
    low, high = min(low, largest), min(high, largest)  # of values from 0 to 1 with the mean c it is at most c·(1 − c)
    return held(value, Range(low, high))


def _off(about: float, piece: Range, sign: int) -> float:
    """(about − c)², the largest (sign 1) or the least (sign −1) over all c of the piece."""
    if sign < 0:
        return (about - piece.clip(about)) ** 2
    return max((about - piece.low) ** 2, (about - piece.high) ** 2)


def _weights(mean: Range, v: float) -> list[Range]:
    """What the three noises weigh at the variance v, over all means of a range."""
    low, high = mean
    product = [c * (1.0 - c) for c in (low, high, mean.clip(0.5))]
    squares = (Range(low**2, high**2), Range(-max(product), -min(product)), Range((1 - high) ** 2, (1 - low) ** 2))
    return [Range(s.low - v, s.high - v) for s in squares]
