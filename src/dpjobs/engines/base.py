"""The seam behind which an engine adds its noise: exact bounded integers in, noisy integers out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpjobs.measurement import Measurement
from dpjobs.noise import Noise

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Noisy:
    """A measurement's result as the engine released it, with the noise that is in it (None: a constant)."""

    measurement: Measurement
    value: int
    noise: Noise | None


class Engine(ABC):
    """Adds calibrated noise to counts and bounded integer sums of a Spark DataFrame.

    A subclass implements `_measure` and `_histogram`; this class keeps what is constant away from it and
    checks what comes back. Every result must be drawn exactly once.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def version(self) -> str:
        """The version of the library that draws the noise."""

    def measure(self, frame: "DataFrame", measurements: Sequence[Measurement]) -> list[Noisy]:
        """Measure all, in order, in the epsilon that each carries.

        `frame` has one row per counted row and, for every measurement but the count, a bigint column of its
        name, never null and within its bounds.
        """
        live = [m for m in measurements if not m.constant]
        noisy = {n.measurement.name: n for n in (self._measure(frame, live) if live else [])}
        for m in live:
            if not is_enough(noisy[m.name].noise, m):
                raise AssertionError(f"{self.name} used less noise for {m.name} than its share of epsilon asks")
        return [noisy.get(m.name, Noisy(m, 0, None)) for m in measurements]

    def histogram(
        self, frame: "DataFrame", column: str, bins: Sequence[int], measurement: Measurement
    ) -> tuple[list[int], Noise]:
        """Return a noisy count for every public bin, empty ones included, and the noise in each of them.

        Every row of `frame` lies in exactly one of `bins` by its integer `column`, so that the whole histogram
        has L1 sensitivity 1 and costs the epsilon of `measurement`, a count, once.
        """
        counts, noise = self._histogram(frame, column, bins, measurement)
        if len(counts) != len(bins) or not is_enough(noise, measurement):
            raise AssertionError(f"{self.name} did not answer for every bin with the noise that epsilon asks")
        return counts, noise

    @abstractmethod
    def _measure(self, frame: "DataFrame", measurements: Sequence[Measurement]) -> list[Noisy]:
        """Measure all; none is constant."""

    @abstractmethod
    def _histogram(
        self, frame: "DataFrame", column: str, bins: Sequence[int], measurement: Measurement
    ) -> tuple[list[int], Noise]:
        """Count the rows of each bin, with noise."""


_TOLERANCE = 1e-9


def is_enough(noise: Noise | None, measurement: Measurement) -> bool:
    """Whether noise is what a measurement's share of epsilon asks for: none where the result is a constant."""
    if noise is None or measurement.constant:
        return noise is None and measurement.constant
    return noise.scale >= measurement.scale * (1 - _TOLERANCE)
