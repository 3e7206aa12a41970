"""From noisy numbers to a value and its interval: post-processing that never sees the data.

SUM and COUNT are linear in one noise, whose own quantile gives the interval. For MEAN, with a = mean − middle,
the noisy sum − a·(noisy count) is pure noise at the true a, so the a for which it is small enough form a
confidence set (Fieller 1954, with the engines' distribution in place of the normal). For VARIANCE, var + (r − c)²
is linear in the three noisy numbers for every fixed c (r: the true mean − middle); c runs through a confidence
set for r. This keeps the promise of a joint box over the noisy parts and is up to two times narrower.

Nothing here raises, whatever the noisy integers (64 bits) and the bounds are: an error that depends on the noise
would be an output that nobody has paid for.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from dpjobs.engines.base import Noisy
from dpjobs.interval import Term, quantile
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, Plan
from dpjobs.query import Query

_MEAN_PART = 0.1  # of the error probability, for where the mean lies, when the variance is asked
_ROUNDS = 30


class Estimate(NamedTuple):
    """The answer in the column's unit (its square for VARIANCE) and its interval."""

    value: float
    low: float
    high: float


def estimate(plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
    """Turn a plan's noisy measurements into the answer with an interval of at least that confidence.

    The interval is for the statistic of the clamped values; SUM's is for the sum of the rounded ones (each
    differs by at most `plan.rounding_per_row`). Value and interval are cut at what is possible: no count is below
    0, no sum on the side of 0 on which the bounds allow no value.
    """
    parts = {n.measurement.name: _Part.of(n) for n in noisy}
    alpha = 1.0 - confidence
    if plan.query is Query.COUNT:
        return _linear(parts[COUNT], alpha, _Range(0.0, math.inf))
    if plan.grid is None:
        raise ValueError(f"a plan for {plan.query.value} has a grid")
    if plan.query is Query.SUM:
        lowest = 0.0 if plan.grid.bounds.lower >= 0 else -math.inf
        return _linear(parts[SUM], alpha, _Range(lowest, 0.0 if plan.grid.bounds.upper <= 0 else math.inf))
    bounds, middle = plan.grid.bounds, plan.grid.middle
    span = _Range(bounds.lower - middle, bounds.upper - middle)
    if plan.query is Query.MEAN:
        mean = _mean(parts, span, alpha)
        h = plan.grid.rounding
        return _within(
            _Range(bounds.lower, bounds.upper), middle + mean.value, middle + mean.low - h, middle + mean.high + h
        )
    return _variance(plan, parts, span, alpha)


class _Range(NamedTuple):
    low: float
    high: float

    @property
    def largest(self) -> float:
        return max(abs(self.low), abs(self.high))

    def clip(self, x: float) -> float:
        return min(max(x, self.low), self.high)


class _Part(NamedTuple):
    """A noisy number in the column's unit: `value` = integers · `step`."""

    value: float
    step: float
    noisy: Noisy

    @classmethod
    def of(cls, noisy: Noisy) -> "_Part":
        step = noisy.measurement.step
        return cls(float(noisy.value * step), float(step), noisy)

    def term(self, weight: float = 1.0) -> list[Term]:
        noise = self.noisy.noise
        return [] if noise is None else [Term(abs(weight) * self.step, noise)]


def _linear(part: _Part, alpha: float, possible: _Range) -> Estimate:
    q = quantile(part.term(), alpha)
    return _within(possible, part.value, part.value - q, part.value + q)


def _mean(parts: dict[str, _Part], span: _Range, alpha: float) -> Estimate:
    """The mean less the middle: sum / count, within its possible range."""
    count, total = parts[COUNT], parts[SUM]
    value = span.clip(total.value / max(count.value, 1.0))
    if count.value - quantile(count.term(), alpha) <= 0:
        return Estimate(value, *span)  # as far as the noise tells there may be no row at all
    found = span
    for _ in range(_ROUNDS):  # every round's range holds; each makes the next one's noise smaller
        q = quantile([*total.term(), *count.term(found.largest)], alpha)
        last = found
        found = _Range(span.clip((total.value - q) / count.value), span.clip((total.value + q) / count.value))
        if found == last or math.isclose(found.largest, last.largest, rel_tol=1e-6):
            break
    return Estimate(value, *found)


def _variance(plan: Plan, parts: dict[str, _Part], span: _Range, alpha: float) -> Estimate:
    grid, squares = plan.grid, plan.squares
    if grid is None or squares is None:
        raise ValueError("a plan for VARIANCE has a grid and squares")
    count, total, square = parts[COUNT], parts[SUM], parts[SUM_OF_SQUARES]
    centre = squares.centre * grid.step**2
    largest = (grid.bounds.upper - grid.bounds.lower) ** 2 / 4
    n = max(count.value, 1.0)
    r = total.value / n
    raw = square.value / n + centre - r * r
    value = min(max(raw, 0.0), largest)
    mean = _mean(parts, span, alpha * _MEAN_PART)
    if count.value - quantile(count.term(), alpha) <= 0:
        return Estimate(value, 0.0, largest)
    nearest = mean.low if r < mean.low else mean.high if r > mean.high else r
    farthest = max(abs(mean.low - r), abs(mean.high - r))
    about = max(abs(mean.low), abs(mean.high))
    found = _Range(0.0, largest)
    for _ in range(_ROUNDS):
        # the count's weight is |centre + c² − v| for a c and a v in their ranges
        weight = max(abs(centre - found.high), abs(centre + about * about - found.low))
        terms = [*square.term(), *total.term(2 * about), *count.term(weight)]
        q = quantile(terms, alpha * (1.0 - _MEAN_PART)) / n
        last = found
        low = raw + (nearest - r) ** 2 - q
        high = raw + farthest**2 + q
        found = _Range(min(max(low, 0.0), largest), min(max(high, 0.0), largest))
        if math.isclose(found.low, last.low, rel_tol=1e-6) and math.isclose(found.high, last.high, rel_tol=1e-6):
            break
    # Rounding moves every value by at most h, so the standard deviation, at most R/2, by at most h (Minkowski)
    h = grid.rounding
    width = grid.bounds.upper - grid.bounds.lower
    slack = width * h + h * h + float(square.noisy.measurement.step) / 2
    return _within(_Range(0.0, largest), value, found.low - slack, found.high + slack)


def _within(span: _Range, value: float, low: float, high: float) -> Estimate:
    """Cut all three to what is possible, `span`; the value always lies in its interval."""
    low, high = span.clip(low), span.clip(high)
    return Estimate(min(max(value, low), high), low, high)
