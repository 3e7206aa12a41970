"""The seam behind which noise is added: exact whole numbers in, noisy whole numbers out, each drawn exactly once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from dpjobs.backends.base import Backend
from dpjobs.noise import Noise
from dpjobs.plan import TOKENS, Cell, Plan
from dpjobs.source import Source


@dataclass(frozen=True)
class Noisy:
    """A cell's total as the engine released it, with the noise that is in it (None: a constant)."""

    cell: Cell
    value: int
    noise: Noise | None


class Engine(ABC):
    """Answers a plan with calibrated noise on every cell. A subclass implements `_measure`.

    This class keeps what is constant away from it and checks what comes back.
    """

    name: ClassVar[str]
    recipe: ClassVar[str] = TOKENS
    """Which plans it answers: those whose cells share tokens, or, for an engine that accounts by itself, separate."""

    @property
    @abstractmethod
    def version(self) -> str:
        """The version of the library that draws the noise."""

    def measure(self, backend: Backend, table: Source, plan: Plan) -> list[Noisy]:
        """Return every cell of the plan, in order, each with fresh noise at its epsilon."""
        noisy = self._measure(backend, table, plan) if plan.live else []
        if [n.cell for n in noisy] != list(plan.live) or not all(is_enough(n.noise, n.cell) for n in noisy):
            raise AssertionError(f"{self.name} did not answer every cell with the noise that its epsilon asks for")
        drawn = iter(noisy)
        return [Noisy(cell, 0, None) if cell.constant else next(drawn) for cell in plan.cells]

    @abstractmethod
    def _measure(self, backend: Backend, table: Source, plan: Plan) -> Sequence[Noisy]:
        """Answer the plan's live cells, of which there is at least one, in order."""


class Mechanism(ABC):
    """Integer noise for one sensitivity at one epsilon."""

    noise: Noise

    @abstractmethod
    def draw(self, value: int) -> int:
        """Return the value with fresh noise; exact for |value| < 2⁶²."""


class NoiseEngine(Engine):
    """An engine that adds noise to totals which a backend has counted. A subclass implements `mechanism`."""

    @abstractmethod
    def mechanism(self, sensitivity: int, epsilon: Decimal) -> Mechanism:
        """Return noise for totals that one row moves by at most `sensitivity` in all, at a cost of `epsilon`."""

    def _measure(self, backend: Backend, table: Source, plan: Plan) -> list[Noisy]:
        mechanisms = [
            self.mechanism(cell.sensitivity, cell.epsilon) for cell in plan.live
        ]  # may fail; no row is read
        totals = backend.totals(table, plan)
        return [
            Noisy(cell, mechanism.draw(total), mechanism.noise)
            for cell, mechanism, total in zip(plan.live, mechanisms, totals, strict=True)
        ]


_TOLERANCE = 1e-9


def is_enough(noise: Noise | None, cell: Cell) -> bool:
    """Whether noise is what a cell's epsilon asks for: none where the total is a constant."""
    if noise is None or cell.constant:
        return noise is None and cell.constant
    return noise.scale >= cell.scale * (1 - _TOLERANCE)
