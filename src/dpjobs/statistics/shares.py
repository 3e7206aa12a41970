"""Which share of a row's tokens lies where: ratios of noisy totals, with their intervals."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dpjobs.engines.base import Noisy
from dpjobs.interval import Term, quantile
from dpjobs.statistics.base import Estimate, Range

_FLOOR = 1.5  # scales of noise for each cell: what the noisy number of tokens counts at least as, for the value
_ROUNDS = 60
_CLOSE = 1e-4  # of its distance from the value, by which an end may be farther out than it need be
ALL = Range(0.0, 1.0)


class Shares(NamedTuple):
    """Noisy cells that share tokens, and how sure an interval for them has to be."""

    noisy: Sequence[Noisy]
    alpha: float

    @property
    def total(self) -> int:
        """The noisy number of all tokens."""
        return sum(n.value for n in self.noisy)

    @property
    def at_least(self) -> float:
        """The number of all tokens, but no less than one row's and than what is lost in the noise.

        Divided by this, noise alone says little; and where there are rows to speak of it is the number itself.
        """
        scale = max((n.noise.b for n in self.noisy if n.noise is not None), default=0.0)
        tokens = max((n.cell.sensitivity for n in self.noisy), default=0)
        return max(self.total, tokens, _FLOOR * len(self.noisy) * scale, 1.0)

    def sum(self, worth: Sequence[float]) -> float:
        """Σ worth·tokens."""
        return math.fsum(w * n.value for w, n in zip(worth, self.noisy, strict=True))

    def spread(self, weights: Sequence[float]) -> float:
        """The quantile of the noise with these weights."""
        return quantile(
            [Term(abs(w), n.noise) for w, n in zip(weights, self.noisy, strict=True) if n.noise is not None],
            self.alpha,
        )

    def slope(self) -> float | None:
        """How fast a quantile over the total can move with its weights; None where there may be no row at all."""
        most, total = self.spread([1.0] * len(self.noisy)), self.total
        return most / total if total > most else None


def value_of(worth: Sequence[float], shares: Shares) -> float:
    """Return Σ worth·tokens / Σ tokens, each worth between 0 and 1; near the middle where noise is all there is."""
    return ALL.clip(0.5 + (shares.sum(worth) - shares.total / 2) / shares.at_least)


def share_of(worth: Sequence[float], shares: Shares) -> Estimate:
    """Return `value_of` and an interval for the true share p.

    With noisy totals X, Σ (worth − p)·X is pure noise at the true p: the p for which it is small enough form a
    confidence set (Fieller 1954, with the engines' distribution in place of the normal). Its ends are where it is
    as large as its own quantile.
    """
    total, part = shares.total, shares.sum(worth)
    value = value_of(worth, shares)
    slope = shares.slope()
    if slope is None:
        return Estimate(value, *ALL)

    def moved(p: float, sign: int) -> float:
        return (part + sign * shares.spread([w - p for w in worth])) / total

    centre = ALL.clip(part / total)
    low = end(lambda p: moved(p, -1), ALL.low, centre, slope)
    high = end(lambda p: moved(p, 1), ALL.high, centre, slope)
    return Estimate(min(max(value, low), high), low, high)


def end(toward: Callable[[float], float], start: float, centre: float, slope: float) -> float:
    """Walk from `start` towards `centre`, up to where x = toward(x), and never past that.

    `toward` moves by at most slope < 1 times as much as x does, so x − toward(x) falls by at most 1 + slope.
    """
    inward = 1.0 if start < centre else -1.0
    x = start
    for _ in range(_ROUNDS):
        step = (toward(x) - x) * inward / (1.0 + slope)
        if step <= 0.0:
            break
        x += inward * step
        if (centre - x) * inward <= 0.0:
            return centre
        if step <= _CLOSE * abs(centre - x):
            break
    return x
