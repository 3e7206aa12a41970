"""Which share of a row's tokens lies where: ratios of noisy totals, with their intervals."""

import math
from collections.abc import Sequence

from dpjobs.engines.base import Noisy
from dpjobs.interval import Term, quantile
from dpjobs.statistics.base import Estimate, Range

_ROUNDS = 30


def total_of(noisy: Sequence[Noisy]) -> int:
    """The noisy number of all tokens."""
    return sum(n.value for n in noisy)


def share_of(worth: Sequence[float], noisy: Sequence[Noisy], alpha: float) -> Estimate:
    """Return Σ worth·tokens / Σ tokens, each worth between 0 and 1, and an interval for its true value p.

    With noisy totals X, Σ (worth − p)·X is pure noise: the p for which it is small enough form a confidence set
    (Fieller 1954, with the engines' distribution in place of the normal).
    """
    total = total_of(noisy)
    part = math.fsum(w * n.value for w, n in zip(worth, noisy, strict=True))
    tokens = max((n.cell.sensitivity for n in noisy), default=0)
    possible = Range(0.0, 1.0)
    # below one row's tokens the noise alone speaks, and the middle is as good as any
    value = possible.clip(0.5 + (part - total / 2) / max(total, tokens, 1))
    found = possible
    for _ in range(_ROUNDS if total > 0 else 0):  # every round's range holds; each makes the next one's noise smaller
        weights = [max(abs(w - found.low), abs(w - found.high)) for w in worth]
        q = quantile(terms(weights, noisy), alpha)
        last = found
        found = Range(found.clip((part - q) / total), found.clip((part + q) / total))
        if math.isclose(found.high - found.low, last.high - last.low, rel_tol=1e-6):
            break
    return Estimate(value, min(found.low, value), max(found.high, value))


def terms(weights: Sequence[float], noisy: Sequence[Noisy]) -> list[Term]:
    """The noises with these weights; none where there is no noise."""
    return [Term(w, n.noise) for w, n in zip(weights, noisy, strict=True) if n.noise is not None]
