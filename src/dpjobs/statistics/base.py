"""The seam behind which a statistic lives: what a row gives to its cells, and what the noisy totals say.

Nothing in an estimate raises, whatever the noisy integers (64 bits) and the bounds are: an error that depends on the
noise would be an output that nobody has paid for.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.interval import Term
from dpjobs.plan import SEPARATE, Plan
from dpjobs.query import Bounds, Query


class Estimate(NamedTuple):
    """The answer in the column's unit (its square for VARIANCE) and its interval."""

    value: float
    low: float
    high: float


class Statistic(ABC):
    """One statistic, whole: a subclass is one file."""

    query: ClassVar[Query]

    @abstractmethod
    def plan(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
        """Return the cells, which share tokens: no row gives more than the cells' sensitivity to all of them."""

    def separate(self, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
        """Return the cells for an engine that accounts by itself, each with its own share of epsilon.

        Where there is one cell, it is the same.
        """
        return replace(self.plan(column, bounds, epsilon), recipe=SEPARATE)

    separate_parts: ClassVar[int] = 1
    """How many of those shares there are at most."""

    @abstractmethod
    def estimate(self, plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
        """Turn a plan's noisy cells into the answer, with an interval of at least that confidence.

        The interval is for the statistic of the clamped values. Value and interval are cut at what is possible.
        """

    @abstractmethod
    def possible(self, plan: Plan) -> "Range":
        """Return where the answer lies whatever the rows hold; value and interval are cut at it."""

    @abstractmethod
    def whole(self, bounds: Bounds | None, rows: int) -> float:
        """Return what a margin in percent is a percentage of."""


class Range(NamedTuple):
    """From `low` to `high`, both included."""

    low: float
    high: float

    @property
    def largest(self) -> float:
        """The largest magnitude in it."""
        return max(abs(self.low), abs(self.high))

    def clip(self, x: float) -> float:
        """Return the number of the range that is nearest to x."""
        return min(max(x, self.low), self.high)


class Part(NamedTuple):
    """A noisy cell in the column's unit: `value` = integers · `step`."""

    value: float
    step: float
    noisy: Noisy

    @classmethod
    def of(cls, noisy: Noisy) -> "Part":
        """Take a cell's total to the column's unit."""
        step = noisy.cell.step
        return cls(float(noisy.value * step), float(step), noisy)

    def term(self, weight: float = 1.0) -> list[Term]:
        """Return its noise as a term of a sum, with a weight; none where there is no noise."""
        noise = self.noisy.noise
        return [] if noise is None else [Term(abs(weight) * self.step, noise)]


def within(span: Range, value: float, low: float, high: float) -> Estimate:
    """Cut all three to what is possible, `span`; the value always lies in its interval."""
    low, high = span.clip(low), span.clip(high)
    return Estimate(min(max(value, low), high), low, high)
