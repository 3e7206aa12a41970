"""Which share of a row's tokens lies where: ratios of noisy totals, with their intervals.

All tokens together are a whole number of rows' tokens. Where the noise is small beside those of a row, that says more
of the totals than their own noise does.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dpjobs.engines.base import Noisy
from dpjobs.interval import Term, quantile
from dpjobs.noise import Noise
from dpjobs.statistics.base import Estimate, Range

_FLOOR = 1.5  # scales of noise for each cell: what the noisy number of tokens counts at least as, for the value
_ROWS_PART = 0.02  # of the error probability, for the number of rows, where the noise leaves one
_FAR = 40.0  # scales: of noise beyond, the probability is next to nothing
_ROUNDS = 60
_CLOSE = 1e-4  # of its distance from the value, by which an end may be farther out than it need be
ALL = Range(0.0, 1.0)

# The density of a sum of as many Laplace variables of scale 1, but for a factor: this polynomial · exp(−|x|)
_DENSITY: dict[int, Callable[[float], float]] = {2: lambda x: 1 + x, 3: lambda x: 3 + 3 * x + x * x}


class Shares(NamedTuple):
    """Totals of cells that share tokens, how sure an interval has to be, and whether their sum is known."""

    values: list[float]
    noises: list[Noise]
    total: float
    alpha: float
    exact: bool = False

    @classmethod
    def of(cls, noisy: Sequence[Noisy], alpha: float) -> "Shares":
        """Take noisy totals. Whether the noise leaves but one number of rows depends on the plan alone."""
        noises = [n.noise for n in noisy if n.noise is not None]
        tokens, total = noisy[0].cell.sensitivity, sum(n.value for n in noisy)
        if noises and quantile([Term(1.0, noise) for noise in noises], alpha * _ROWS_PART) < tokens / 2:
            exact = float(tokens * round(total / tokens))
            return cls(_settled(noisy, exact), noises, exact, alpha * (1.0 - _ROWS_PART), exact=True)
        return cls([float(n.value) for n in noisy], noises, float(total), alpha)

    @classmethod
    def likely(cls, noisy: Sequence[Noisy]) -> "Shares":
        """The totals that are likely, for the value: their sum is that of the rows expected.

        It is no less than one row's tokens, and than what is lost in the noise: divided by that, noise alone says
        little, and where there are rows to speak of it is the number itself.
        """
        noises = [n.noise for n in noisy if n.noise is not None]
        scale = max((noise.b for noise in noises), default=0.0)
        settled = _settled(noisy, _expected(noisy, scale))
        least = max(noisy[0].cell.sensitivity, _FLOOR * len(noisy) * scale, 1.0)
        return cls(settled, noises, max(sum(settled), least), 1.0)

    def part(self, part: float) -> "Shares":
        """The same, with a part of the error probability."""
        return self._replace(alpha=self.alpha * part)

    def sum(self, worth: Sequence[float]) -> float:
        """Σ worth·tokens."""
        return math.fsum(w * x for w, x in zip(worth, self.values, strict=True))

    def spread(self, weights: Sequence[Range]) -> float:
        """The quantile of the noise, with weights that lie in these ranges.

        Where the sum of all is known, so is that of the noise, and what the weights have in common weighs nothing.
        """
        low = high = 0.0
        if self.exact:
            low, high = (math.fsum(ends) / len(weights) for ends in zip(*weights, strict=True))
        most = [max(abs(w.low - high), abs(w.high - low)) for w in weights]
        return quantile([Term(w, noise) for w, noise in zip(most, self.noises, strict=False)], self.alpha)

    def slope(self) -> float | None:
        """How fast a quantile over the total can move with its weights; None where there may be no row at all."""
        if self.exact:
            return 0.0 if self.total > 0 else None  # weights that move together weigh as before
        most = self.spread([Range(1.0, 1.0)] * len(self.values))
        return most / self.total if self.total > most else None


def _settled(noisy: Sequence[Noisy], total: float) -> list[float]:
    """The totals nearest to the noisy ones whose sum is `total`."""
    off = (sum(n.value for n in noisy) - total) / len(noisy)
    return [n.value - off for n in noisy]


def _expected(noisy: Sequence[Noisy], scale: float) -> float:
    """All tokens, by the whole number of rows that is expected from the noisy totals."""
    total, tokens = sum(n.value for n in noisy), noisy[0].cell.sensitivity
    if not 0 < scale < tokens:
        return float(total)  # so many numbers of rows are likely that their mean is the noisy number
    density, rows = _DENSITY[len(noisy)], total / tokens
    near = range(math.floor(rows - _FAR * scale / tokens), math.ceil(rows + _FAR * scale / tokens) + 1)
    far = [abs(total - n * tokens) / scale for n in near]
    least = min(far)
    likely = [density(x) * math.exp(least - x) for x in far]
    return tokens * math.fsum(n * p for n, p in zip(near, likely, strict=True)) / math.fsum(likely)


def value_of(worth: Sequence[float], noisy: Sequence[Noisy]) -> float:
    """Return Σ worth·tokens / Σ tokens, each worth between 0 and 1; near the middle where noise is all there is."""
    likely = Shares.likely(noisy)
    return ALL.clip(0.5 + likely.sum([w - 0.5 for w in worth]) / likely.total)


def share_of(worth: Sequence[float], shares: Shares) -> Range:
    """Return an interval for the true p = Σ worth·tokens / Σ tokens.

    With noisy totals X, Σ (worth − p)·X is pure noise at the true p: the p for which it is small enough form a
    confidence set (Fieller 1954, with the engines' distribution in place of the normal). Its ends are where it is
    as large as its own quantile.
    """
    slope, total, part = shares.slope(), shares.total, shares.sum(worth)
    if slope is None:
        return ALL

    def moved(p: float, sign: int) -> float:
        return (part + sign * shares.spread([Range(w - p, w - p) for w in worth])) / total

    centre = ALL.clip(part / total)
    low = end(lambda p: moved(p, -1), ALL.low, centre, slope)
    high = end(lambda p: moved(p, 1), ALL.high, centre, slope)
    return Range(low, high)


def held(value: float, interval: Range) -> Estimate:
    """The value in its interval."""
    return Estimate(interval.clip(value), *interval)


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
