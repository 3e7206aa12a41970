"""The distributions of the engines' noise, as numbers: tails and quantiles. Nothing is drawn here.

Both are integer-valued and symmetric; `scale` is b, the scale of the Laplace distribution they descend from.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar


@dataclass(frozen=True)
class Noise(ABC):
    """A symmetric integer distribution around 0 with scale b > 0."""

    scale: Fraction
    name: ClassVar[str]

    @cached_property
    def b(self) -> float:
        """The scale as a double."""
        return float(self.scale)

    @abstractmethod
    def tail(self, k: int) -> float:
        """P(|N| >= k) for k >= 1; 1 for k <= 0."""

    @property
    @abstractmethod
    def excess(self) -> float:
        """The least d for which |N| <= |L| + d can hold always, L being Laplace(b) drawn from the same chance."""

    def quantile(self, confidence: float) -> int:
        """The smallest q with P(|N| <= q) >= confidence; beyond 2⁴⁵, to the precision of a double."""
        alpha = 1.0 - confidence
        q = max(0, math.floor(-self.b * math.log(alpha)) - 2)
        step = max(1, q // 2**45)  # beyond 2⁴⁵ single integers are finer than the doubles here
        while self.tail(q + 1) > alpha:
            q += step
        while q > 0 and self.tail(q) <= alpha:
            q -= step
        return q


@dataclass(frozen=True)
class TwoSidedGeometric(Noise):
    """P(N = k) ∝ exp(−|k|/b): Tumult Core's AddGeometricNoise (Ghosh, Roughgarden, Sundararajan 2009)."""

    name: ClassVar[str] = "two-sided geometric"

    def tail(self, k: int) -> float:
        """P(|N| >= k) = 2·exp(−k/b) / (1 + exp(−1/b))."""
        if k <= 0:
            return 1.0
        return 2.0 * math.exp(-k / self.b) / (1.0 + math.exp(-1.0 / self.b))

    @property
    def excess(self) -> float:
        """b·ln(2 / (1 + exp(−1/b))), from matching the tails above with Laplace's exp(−x/b)."""
        return self.b * math.log(2.0 / (1.0 + math.exp(-1.0 / self.b)))


@dataclass(frozen=True)
class RoundedLaplace(Noise):
    """Laplace(b) rounded to the nearest integer: Google's LaplaceMechanism on integers, as PyDP wraps it."""

    name: ClassVar[str] = "rounded Laplace"

    def tail(self, k: int) -> float:
        """P(|N| >= k) = exp(−(k − ½)/b)."""
        return 1.0 if k <= 0 else math.exp(-(k - 0.5) / self.b)

    @property
    def excess(self) -> float:
        """Rounding moves a number by at most ½."""
        return 0.5


NOISES: dict[str, type[Noise]] = {kind.name: kind for kind in (TwoSidedGeometric, RoundedLaplace)}
"""Every distribution by its name."""
