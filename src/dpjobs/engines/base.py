"""The seam behind which noise is added: exact whole numbers in, noisy whole numbers out, each drawn exactly once."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from dpjobs.backends.base import Backend
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.noise import Noise
from dpjobs.plan import LARGEST_SCALE, TOKENS, Cell, Plan
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

    def check(self, plan: Plan) -> None:  # noqa: B027 (most plans suit every engine)
        """Raise InputError for a plan that this engine cannot answer, while that costs nothing."""

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
    grid: int = 1
    """Totals are rounded to its multiples before the noise, which then accounts for that of a single total."""

    @abstractmethod
    def draw(self, value: int) -> int:
        """Return the value with fresh noise; exact for |value| < 2⁶²."""


class NoiseEngine(Engine):
    """An engine that adds noise to totals which a backend has counted. A subclass implements `_mechanism`."""

    largest_scale: ClassVar[int] = 2**55
    """Of the noise: what is as large as 2⁶², where 64 bits end with a total of 2⁶², comes with probability e⁻¹²⁸."""

    _process: ClassVar[int]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._process = os.getpid()  # the one that imported the library, a line above the class

    def __init__(self) -> None:
        """Raises RuntimeError in a process that was forked after the library was imported."""
        self._refuse_forked()

    def _refuse_forked(self) -> None:
        # PyDP's and Tumult Core's generators hold numbers that they have drawn ahead: two processes would draw alike
        if os.getpid() != self._process:
            raise RuntimeError(f"{self.name} draws in the process that imported it, and in none that is forked later")

    def mechanism(self, sensitivity: int, epsilon: Epsilon) -> Mechanism:
        """Return noise for totals that one row moves by at most `sensitivity` in all, at a cost of `epsilon`.

        Raises InputError where the noise would not fit into 64 bits.
        """
        scale = Fraction(sensitivity) / Fraction(epsilon)
        if scale > self.largest_scale:
            raise _too_much(f"the integers of {self.name}", scale, self.largest_scale)
        return self._mechanism(sensitivity, epsilon)

    @abstractmethod
    def _mechanism(self, sensitivity: int, epsilon: Epsilon) -> Mechanism:
        """Return the noise; its scale is at most `largest_scale`."""

    def check(self, plan: Plan) -> None:
        """Make all mechanisms; raises InputError for what does not fit."""
        self._mechanisms(plan)

    def _mechanisms(self, plan: Plan) -> list[Mechanism]:
        made: dict[tuple[int, Epsilon], Mechanism] = {}
        for cell in plan.live:
            key = cell.sensitivity, cell.epsilon
            made[key] = made.get(key) or self.mechanism(*key)
        mechanisms = [made[cell.sensitivity, cell.epsilon] for cell in plan.live]
        if len(mechanisms) > 1 and any(m.grid > 1 for m in mechanisms):
            # each total's rounding moves it by up to a grid more, for which none of the noises accounts
            scale = max(m.noise.scale for m in mechanisms)
            raise _too_much(f"several totals of {self.name}", scale, LARGEST_SCALE)
        return mechanisms

    def _measure(self, backend: Backend, table: Source, plan: Plan) -> list[Noisy]:
        self._refuse_forked()
        mechanisms = self._mechanisms(plan)  # may fail; no row is read
        totals = backend.totals(table, plan)
        return [
            Noisy(cell, mechanism.draw(total), mechanism.noise)
            for cell, mechanism, total in zip(plan.live, mechanisms, totals, strict=True)
        ]


def _too_much(what: str, scale: Fraction, largest: int) -> InputError:
    allowed = f"at most {largest:.4g}, from a larger epsilon, or less that a row may give"
    return InputError.of(f"too much noise for {what}", f"a scale of {float(scale):.4g}", allowed)


def at_most(epsilon: Epsilon) -> float:
    """The largest double not above epsilon: a double 0.1 is more than 0.1."""
    near = float(epsilon)
    return near if Fraction(near) <= Fraction(epsilon) else math.nextafter(near, 0.0)


_TOLERANCE = 1e-9


def is_enough(noise: Noise | None, cell: Cell) -> bool:
    """Whether noise is what a cell's epsilon asks for: none where the total is a constant."""
    if noise is None or cell.constant:
        return noise is None and cell.constant
    return noise.scale >= cell.scale * (1 - _TOLERANCE)
