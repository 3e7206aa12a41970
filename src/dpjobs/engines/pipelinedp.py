"""PipelineDP: its calibration and its noise (Google's samplers through PyDP).

Not used, on purpose (tests/evidence/test_why_not.py shows why): its VARIANCE, whose noise is not calibrated to
its sensitivity, and its `add_noise`, which sends integers through a float.
"""

import importlib.metadata
import math
from decimal import Decimal
from fractions import Fraction

from pipeline_dp import dp_computations
from pydp.algorithms import numerical_mechanisms

from dpjobs.engines.base import Mechanism, NoiseEngine
from dpjobs.noise import RoundedLaplace


class PipelineDPEngine(NoiseEngine):
    """PyDP's integer Laplace noise at the scale that PipelineDP gives."""

    name = "pipelinedp"

    @property
    def version(self) -> str:
        """PipelineDP's version and that of PyDP, which samples."""
        versions = [f"{package} {importlib.metadata.version(package)}" for package in ("pipeline-dp", "python-dp")]
        return ", ".join(versions)

    def mechanism(self, sensitivity: int, epsilon: Decimal) -> "PyDPLaplace":
        """Return PyDP's Laplace mechanism on integers."""
        return PyDPLaplace(sensitivity, epsilon)


class PyDPLaplace(Mechanism):
    """PyDP's Laplace mechanism on integers, with the scale that PipelineDP's own calibration gives.

    Where the scale is at most 2⁴⁰ its grid is that of the whole numbers: nothing is rounded before the noise.
    """

    def __init__(self, sensitivity: int, epsilon: Decimal) -> None:
        calibrated = dp_computations.LaplaceMechanism.create_from_epsilon(_at_most(epsilon), float(sensitivity))
        self.noise = RoundedLaplace(Fraction(calibrated.noise_parameter))
        self._laplace = numerical_mechanisms.LaplaceMechanism(_at_most(epsilon), float(sensitivity))

    def draw(self, value: int) -> int:
        """Return the value with fresh noise; exact for |value| < 2⁶² (PyDP would wrap near 2⁶³)."""
        return int(self._laplace.add_noise(value))


def _at_most(epsilon: Decimal) -> float:
    """The largest double not above epsilon: a float 0.1 is more than 0.1."""
    near = float(epsilon)
    return near if Fraction(near) <= Fraction(epsilon) else math.nextafter(near, 0.0)
