"""Bounds found privately, when none are given: one noisy histogram over fixed public bins.

Each number falls into one bin by its sign and binary exponent, so one row changes one bin by one (L1
sensitivity 1). A bin counts as occupied when its noisy count exceeds scale·ln(bins / 2β): by a union bound, no
empty bin does except with probability about β. The method is Tumult's and Google's "approximate bounds"
(Wilson et al., "Differentially Private SQL with Bounded User Contribution", arXiv 1909.01917, section 5.1.1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dpjobs.epsilon import Epsilon
from dpjobs.noise import Noise
from dpjobs.plan import TOKENS, Cell, Plan
from dpjobs.query import Bounds

LOWEST, HIGHEST = -30, 65
"""Exponents e of the bins (2^(e−1), 2^e]; smaller magnitudes count as 0, larger ones as the last bin."""
OFFSET = 1 - LOWEST
"""What is added to an exponent, so that its bin's number has the sign of the bin; bin 0 holds 0."""
BINS = tuple(range(-(HIGHEST + OFFSET), HIGHEST + OFFSET + 1))
BETA = 0.01
"""The probability aimed at that any empty bin passes for an occupied one."""
FALLBACK = Bounds(-(2.0**20), 2.0**20)
"""What is used, and said, when no bin passes: fixed and public, whatever the column holds."""


@dataclass(frozen=True)
class FoundBounds:
    """Bounds from the noisy histogram; `source` is "private", or "fallback" when no bin passed.

    `threshold` is what a bin's noisy count had to exceed, `beta` the probability that any empty bin's does.
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


def from_histogram(counts: Sequence[int], noise: Noise, epsilon: Epsilon) -> FoundBounds:
    """Return the bounds that the noisy counts of BINS show; nothing of the data is needed any more."""
    limit, beta = threshold(noise)
    occupied = [bin_ for bin_, count in zip(BINS, counts, strict=True) if count > limit]
    if not occupied:
        return FoundBounds(FALLBACK, "fallback", epsilon, limit, beta, noise)
    bounds = Bounds(_edges(occupied[0])[0], _edges(occupied[-1])[1])
    return FoundBounds(bounds, "private", epsilon, limit, beta, noise)


def threshold(noise: Noise) -> tuple[float, float]:
    """Return what a bin's noisy count must exceed, and the probability that any empty bin's does.

    The threshold is scale·ln(bins / 2β). That is Laplace's; the engines' noise is discrete, so the probability is
    counted anew for it and, where it is well above β, which happens at a large epsilon, the threshold is raised.
    """
    limit = noise.b * math.log(len(BINS) / (2 * BETA))
    if _passing(noise, limit) > 1.1 * BETA:
        limit = float(noise.quantile(1 - 2 * BETA / len(BINS)))
    return limit, _passing(noise, limit)


def _passing(noise: Noise, limit: float) -> float:
    """P(some empty bin's noise exceeds the limit), by a union bound."""
    return len(BINS) * noise.tail(math.floor(limit) + 1) / 2


def _edges(bin_: int) -> tuple[float, float]:
    if bin_ == 0:
        return 0.0, 0.0
    exponent = abs(bin_) - OFFSET
    inner, outer = 2.0 ** (exponent - 1), 2.0**exponent
    return (inner, outer) if bin_ > 0 else (-outer, -inner)
