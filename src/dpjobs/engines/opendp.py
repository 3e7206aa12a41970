"""OpenDP: its discrete Laplace noise on 64-bit integers, at the scale that its own privacy map asks for."""

import importlib.metadata
import math
from fractions import Fraction

from opendp.domains import atom_domain
from opendp.measurements import make_laplace
from opendp.metrics import absolute_distance
from opendp.mod import Measurement, enable_features

from dpjobs.engines.base import Mechanism, NoiseEngine
from dpjobs.epsilon import Epsilon
from dpjobs.noise import TwoSidedGeometric

enable_features("contrib")  # its name for measurements whose proofs have been reviewed, or not yet

_INTEGER = "i64"  # its `int` has 32 bits


class OpenDPEngine(NoiseEngine):
    """make_laplace on i64: exact samples of the discrete Laplace distribution (Canonne, Kamath, Steinke 2020)."""

    name = "opendp"

    @property
    def version(self) -> str:
        """OpenDP's version."""
        return f"opendp {importlib.metadata.version('opendp')}"

    def _mechanism(self, sensitivity: int, epsilon: Epsilon) -> "DiscreteLaplace":
        return DiscreteLaplace(sensitivity, epsilon)


class DiscreteLaplace(Mechanism):
    """The least scale, a double, whose privacy map gives no more than epsilon.

    OpenDP would hold a result at the ends of 64 bits, which depends on the result alone: whatever comes is private,
    and for totals and scales as they are here (see `largest_scale`) it does not come.
    """

    def __init__(self, sensitivity: int, epsilon: Epsilon) -> None:
        scale = float(Fraction(sensitivity) / Fraction(epsilon))
        while _cost(scale, sensitivity) > Fraction(epsilon):
            scale = math.nextafter(scale, math.inf)  # its map rounds up: a step or two
        self._measurement = _laplace(scale)
        self.noise = TwoSidedGeometric(Fraction(scale))

    def draw(self, value: int) -> int:
        """Return the value with fresh noise; exact for |value| < 2⁶²."""
        return int(self._measurement(value))


def _laplace(scale: float) -> Measurement:
    return make_laplace(atom_domain(T=_INTEGER), absolute_distance(T=_INTEGER), scale=scale)


def _cost(scale: float, sensitivity: int) -> Fraction:
    """The epsilon that OpenDP's own privacy map tells for this scale."""
    return Fraction(_laplace(scale).map(sensitivity))
