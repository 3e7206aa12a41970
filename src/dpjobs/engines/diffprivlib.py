"""DiffPrivLib: its geometric noise. Not hardened: a floating-point logarithm of one 53-bit uniform number."""

import importlib.metadata
from fractions import Fraction

from diffprivlib.mechanisms import Geometric

from dpjobs.engines.base import Mechanism, NoiseEngine, at_most
from dpjobs.epsilon import Epsilon
from dpjobs.noise import TwoSidedGeometric


class DiffPrivLibEngine(NoiseEngine):
    """mechanisms.Geometric with the system's generator; for comparison with the others, which are hardened."""

    name = "diffprivlib"

    @property
    def version(self) -> str:
        """DiffPrivLib's version."""
        return f"diffprivlib {importlib.metadata.version('diffprivlib')}"

    def _mechanism(self, sensitivity: int, epsilon: Epsilon) -> "FloatGeometric":
        return FloatGeometric(sensitivity, epsilon)


class FloatGeometric(Mechanism):
    """Its noise, drawn on 0 and added to the integer here: it would send that through a double."""

    def __init__(self, sensitivity: int, epsilon: Epsilon) -> None:
        self._geometric = Geometric(epsilon=at_most(epsilon), sensitivity=sensitivity)
        self.noise = TwoSidedGeometric(Fraction(sensitivity) / Fraction(at_most(epsilon)))

    def draw(self, value: int) -> int:
        """Return the value with fresh noise, exact at any size."""
        while True:
            try:
                return value + int(self._geometric.randomise(0))
            except OverflowError:  # the logarithm of 0, with probability 2⁻⁵³
                continue  # noise must not decide whether a run fails
