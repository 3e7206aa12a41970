"""Bounds found privately, when none are given: one noisy histogram over fixed public bins.

Each number falls into one bin by its sign and binary exponent, so one row changes one bin by one (L1 sensitivity 1).
All that follows is a function of the noisy counts, which costs nothing more:

1. *Seen* is a bin whose noisy count exceeds scale·ln(bins / 2β): by a union bound, no empty bin does except with
   probability about β (Wilson et al., "Differentially Private SQL with Bounded User Contribution", arXiv 1909.01917,
   section 5.1.1, which stops at the outermost of these).
2. Near the largest seen bin, on both sides of 0, fewer bins are tested, so a lower threshold does.
3. Further out single bins drown in noise while together they matter. Their rows are estimated outward: each bin has
   at most half of the one before, and at most its noisy count and one scale of noise; a ratio never grows again.
4. The bound goes out by factors of two while 12/ε rows (VARIANCE: 24/ε) are estimated to lie beyond it: up to
   there clipping them costs more than the noise of a range twice as wide (Amin et al., "Bounding User Contributions",
   ICML 2019).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from dpjobs.epsilon import Epsilon
from dpjobs.noise import Noise
from dpjobs.plan import TOKENS, Cell, Plan
from dpjobs.query import Bounds, Query

LOWEST, HIGHEST = -30, 65
"""Exponents e of the bins (2^(e−1), 2^e]; smaller magnitudes count as 0, larger ones as the last bin."""
OFFSET = 1 - LOWEST
"""What is added to an exponent, so that its bin's number has the sign of the bin; bin 0 holds 0."""
BINS = tuple(range(-(HIGHEST + OFFSET), HIGHEST + OFFSET + 1))
BETA = 0.01
"""The probability aimed at that any empty bin is taken for a seen one, wherever it lies."""
NEAR_BETA = 0.1
"""The same for the bins near the largest seen one: there a false one costs a range a few times as wide, no more."""
INWARD, OUTWARD = 7, 3
"""How many factors of two near is, from the largest seen bin."""
LARGEST_RATIO = 0.5
"""Of the rows in a bin to those in the one before, beyond what is seen: a half is a Pareto tail of index 1."""
CLIPPED = {Query.SUM: 12.0, Query.MEAN: 12.0, Query.VARIANCE: 24.0}
"""Estimated rows beyond a bound, times the answer's epsilon, from which on the bound goes out."""
_MOST = 2**200  # no draw is larger; so every count is a double
FALLBACK = Bounds(-(2.0**20), 2.0**20)
"""What is used, and said, when no bin passes: fixed and public, whatever the column holds."""
PRIVATE, NONE_FOUND = "private", "fallback"
"""Where bounds are from that nobody gave, as a release has it."""


@dataclass(frozen=True)
class FoundBounds:
    """Bounds from the noisy histogram; `source` is PRIVATE, or NONE_FOUND when no bin passed.

    `threshold` is what a bin's noisy count has to exceed to be seen wherever it lies, `beta` the probability that any
    empty bin's does.
    """

    bounds: Bounds
    source: str
    epsilon: Epsilon
    threshold: float
    beta: float
    noise: Noise


def histogram_plan(column: str | None, epsilon: Epsilon) -> Plan:
    """Return the histogram's cells: every number gives 1 to that of its bin, so all draws cost epsilon once."""
    cells = (Cell(f"bin {b}", 0, 1, Fraction(1), sensitivity=1, epsilon=epsilon, bin=b) for b in BINS)
    return Plan(None, column, TOKENS, tuple(cells))


def from_histogram(counts: Sequence[int], noise: Noise, epsilon: Epsilon, query: Query, rest: Epsilon) -> FoundBounds:
    """Return the bounds for a query that will have the epsilon `rest`, from the noisy counts of BINS, in their order.

    They are powers of two or 0. `epsilon` is what the counts cost. Never raises, whatever the counts are.
    """
    limit, beta = threshold(noise, len(BINS), BETA)
    held = {bin_: float(min(max(n, -_MOST), _MOST)) for bin_, n in zip(BINS, counts, strict=True)}
    seen = _seen(held, noise, limit)
    if not seen:
        return FoundBounds(FALLBACK, NONE_FOUND, epsilon, limit, beta, noise)
    few = CLIPPED[query] / float(rest)
    lower = edges(_further(held, seen[0], noise, few) if seen[0] < 0 else seen[0])[0]
    upper = edges(_further(held, seen[-1], noise, few) if seen[-1] > 0 else seen[-1])[1]
    return FoundBounds(_from_zero(lower, upper), PRIVATE, epsilon, limit, beta, noise)


def threshold(noise: Noise, bins: int, beta: float) -> tuple[float, float]:
    """Return what the noisy count of one of so many bins must exceed, and the probability that any empty one's does.

    The threshold is scale·ln(bins / 2β). That is Laplace's; the engines' noise is discrete, so the probability is
    counted anew for it and, where it is well above β, which happens at a large epsilon, the threshold is raised.
    """
    limit = noise.b * math.log(bins / (2 * beta))
    if _passing(noise, bins, limit) > 1.1 * beta:
        limit = float(noise.quantile(1 - 2 * beta / bins))
    return limit, _passing(noise, bins, limit)


def _passing(noise: Noise, bins: int, limit: float) -> float:
    """P(the noise of some empty bin exceeds the limit), by a union bound."""
    return bins * noise.tail(math.floor(limit) + 1) / 2


def _seen(held: Mapping[int, float], noise: Noise, limit: float) -> list[int]:
    """The bins, in order, that are seen wherever they lie, or near the largest of these."""
    sure = {bin_ for bin_ in BINS if held[bin_] > limit}
    largest = max(map(abs, sure), default=0)
    if not largest:
        return sorted(sure)
    sizes = range(max(largest - INWARD, 1), min(largest + OUTWARD, BINS[-1]) + 1)
    near = [sign * size for size in sizes for sign in (-1, 1)]
    lower_limit, _ = threshold(noise, len(near), NEAR_BETA)
    return sorted(sure.union(bin_ for bin_ in near if held[bin_] > lower_limit))


def _further(held: Mapping[int, float], outermost: int, noise: Noise, few: float) -> int:
    """The bin that a bound reaches on the side of `outermost`, the last seen: fewer than `few` rows lie beyond."""
    tail = _tail(held, outermost, noise.b)
    steps = sum(math.fsum(tail[i:]) >= few for i in range(len(tail)))
    return outermost + (steps if outermost > 0 else -steps)


def _tail(held: Mapping[int, float], outermost: int, scale: float) -> list[float]:
    """Estimate the rows in each bin further out than the last one seen."""
    sign = 1 if outermost > 0 else -1
    rows, tail = held[outermost], []
    ratio = min(LARGEST_RATIO, rows / max(rows, held[outermost - sign]))
    for size in range(abs(outermost) + 1, BINS[-1] + 1):
        before, rows = rows, min(ratio * rows, max(held[sign * size], 0.0) + scale)
        ratio = min(ratio, rows / before) if before else 0.0
        tail.append(rows)
    return tail


def _from_zero(lower: float, upper: float) -> Bounds:
    """Let the bounds begin at 0 where that makes the range wider by no more than a third: small values count, too."""
    if 0 < 4 * lower <= upper:
        return Bounds(0.0, upper)
    if lower <= 4 * upper < 0:
        return Bounds(lower, 0.0)
    return Bounds(lower, upper)


def edges(bin_: int) -> tuple[float, float]:
    """Return the lower and the upper end of a bin's numbers; both are 0 for bin 0."""
    if bin_ == 0:
        return 0.0, 0.0
    exponent = abs(bin_) - OFFSET
    inner, outer = 2.0 ** (exponent - 1), 2.0**exponent
    return (inner, outer) if bin_ > 0 else (-outer, -inner)
