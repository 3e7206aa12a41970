"""Tumult Core: its geometric noise on totals, without a Session, and so on any backend."""

import importlib.metadata
from fractions import Fraction

from tmlt.core.measurements.noise_mechanisms import AddGeometricNoise
from tmlt.core.utils.exact_number import ExactNumber

from dpjobs.engines.base import Mechanism, NoiseEngine
from dpjobs.epsilon import Epsilon
from dpjobs.noise import TwoSidedGeometric


class TumultCoreEngine(NoiseEngine):
    """Tumult Core's AddGeometricNoise, whose own privacy function is asked."""

    name = "tumult-core"

    @property
    def version(self) -> str:
        """Tumult Core's version."""
        return f"tmlt.core {importlib.metadata.version('tmlt.core')}"

    def _mechanism(self, sensitivity: int, epsilon: Epsilon) -> "Geometric":
        return Geometric(sensitivity, epsilon)


class Geometric(Mechanism):
    """AddGeometricNoise at the scale sensitivity / epsilon, which it rounds up to a double."""

    def __init__(self, sensitivity: int, epsilon: Epsilon) -> None:
        self._add = AddGeometricNoise(ExactNumber(Fraction(sensitivity) / Fraction(epsilon)))
        if self._add.privacy_function(sensitivity) > ExactNumber(Fraction(epsilon)):
            raise AssertionError("Tumult Core would spend more than epsilon")
        self.noise = TwoSidedGeometric(Fraction(self._add.alpha.to_float(round_up=True)))

    def draw(self, value: int) -> int:
        """Return the value with fresh noise: in Python's integers, exact at any size."""
        return int(self._add(value))
