"""Bounds found privately, when none are given: one noisy histogram over fixed public bins.

Each number falls into one bin by its sign and binary exponent, so one row changes one bin by one (L1
sensitivity 1). A bin counts as occupied when its noisy count exceeds scale·ln(bins / 2β): by a union bound, no
empty bin does except with probability about β. The method is Tumult's and Google's "approximate bounds"
(Wilson et al., "Differentially Private SQL with Bounded User Contribution", arXiv 1909.01917, section 5.1.1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dpjobs.engines.base import Engine
from dpjobs.measurement import COUNT, Measurement
from dpjobs.noise import Noise
from dpjobs.prepare import CELL
from dpjobs.query import Bounds

LOWEST, HIGHEST = -30, 65
"""Exponents e of the bins (2^(e−1), 2^e]; smaller magnitudes count as 0, larger ones as the last bin."""
_OFFSET = 1 - LOWEST
BINS = tuple(range(-(HIGHEST + _OFFSET), HIGHEST + _OFFSET + 1))
BETA = 0.01
"""The probability aimed at that any empty bin passes for an occupied one."""
FALLBACK = Bounds(-(2.0**20), 2.0**20)
"""What is used, and said, when no bin passes: fixed and public, whatever the column holds."""

_BIN = "bin"


@dataclass(frozen=True)
class FoundBounds:
    """Bounds from the noisy histogram; `source` is "private", or "fallback" when no bin passed.

    `threshold` is what a bin's noisy count had to exceed, `beta` the probability that any empty bin's does.
    """

    bounds: Bounds
    source: str
    epsilon: Decimal
    threshold: float
    beta: float
    noise: Noise


def asked(epsilon: Decimal) -> Measurement:
    """Return the measurement that is made of every bin at a cost of `epsilon` in all."""
    return Measurement(COUNT, 1, 1, Fraction(1), epsilon)


def draw(engine: Engine, numbers: DataFrame, epsilon: Decimal) -> tuple[list[int], Noise]:
    """Draw the noisy count of each of BINS, and tell the noise in it, at a cost of `epsilon` in all.

    `numbers` are the doubles in `cell` as `prepare.numbers` gives them.
    """
    binned = numbers.select(_bin(F.col(CELL)).alias(_BIN))
    return engine.histogram(binned, _BIN, BINS, asked(epsilon))


def found(counts: Sequence[int], noise: Noise, epsilon: Decimal) -> FoundBounds:
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
    exponent = abs(bin_) - _OFFSET
    inner, outer = 2.0 ** (exponent - 1), 2.0**exponent
    return (inner, outer) if bin_ > 0 else (-outer, -inner)


def _bin(x: Column) -> Column:
    size = F.abs(x)
    # the logarithm can be off by an ulp at powers of two; comparing with exact powers puts it right
    guess = F.ceil(F.log2(F.least(F.greatest(size, F.lit(2.0 ** (LOWEST - 2))), F.lit(2.0**HIGHEST))))
    exponent = (
        F.when(F.pow(F.lit(2.0), guess - 1) >= size, guess - 1)
        .when(F.pow(F.lit(2.0), guess) < size, guess + 1)
        .otherwise(guess)
    )
    exponent = F.least(exponent, F.lit(HIGHEST).cast("bigint"))
    bin_ = F.when(exponent < LOWEST, F.lit(0)).otherwise(F.signum(x) * (exponent + _OFFSET))
    return bin_.cast("bigint")
