"""PipelineDP: its calibration and its noise (Google's samplers through PyDP).

Not used, on purpose (tests/evidence/test_why_not.py shows why): its VARIANCE, whose noise is not calibrated to
its sensitivity, and its `add_noise`, which sends integers through a float.
"""

import importlib.metadata
import importlib.util
import math
import sys
from fractions import Fraction

from dpjobs.engines.base import Mechanism, NoiseEngine, at_most
from dpjobs.epsilon import Epsilon
from dpjobs.noise import RoundedLaplace


def _put_off(parent: str, name: str) -> None:
    """Let `from parent import name` give a module that loads when it is first used, if it is not loaded by now.

    It is the same module, only later, as importlib's own LazyLoader does it.
    """
    full = f"{parent}.{name}"
    spec = None if full in sys.modules else importlib.util.find_spec(full)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[full] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    setattr(sys.modules[parent], name, module)  # else `from` would ask the module for its spec, which loads it


_put_off("scipy", "stats")  # PipelineDP needs it for Gaussian noise alone; it is three quarters of its import
from pipeline_dp import dp_computations  # noqa: E402
from pydp.algorithms import numerical_mechanisms  # noqa: E402


class PipelineDPEngine(NoiseEngine):
    """PyDP's integer Laplace noise at the scale that PipelineDP gives."""

    name = "pipelinedp"

    @property
    def version(self) -> str:
        """PipelineDP's version and that of PyDP, which samples."""
        versions = [f"{package} {importlib.metadata.version(package)}" for package in ("pipeline-dp", "python-dp")]
        return ", ".join(versions)

    def _mechanism(self, sensitivity: int, epsilon: Epsilon) -> "PyDPLaplace":
        return PyDPLaplace(sensitivity, epsilon)


class PyDPLaplace(Mechanism):
    """PyDP's Laplace mechanism on integers, with the scale that PipelineDP's own calibration gives.

    PyDP draws multiples of a power of two: the least one that is at least scale / 2⁴⁰. Where that is below 1 it
    rounds what it has drawn to a whole number, halves away from 0: a noise of 0 is then rarer than a small epsilon
    allows, by a δ below 2⁻⁴⁰ (docs/how-it-works.md). So a total is counted in as many parts of 1 as make that power
    1, and the noisy total is rounded: what is done to a noisy number costs nothing. Where it is above 1, PyDP rounds
    the total to its multiples before the noise, and accounts for that.
    """

    def __init__(self, sensitivity: int, epsilon: Epsilon) -> None:
        epsilon_ = at_most(epsilon)
        exponent = _exponent(sensitivity / epsilon_)
        self.grid, self._parts = 2 ** max(exponent, 0), 2 ** max(-exponent, 0)
        asked = float(sensitivity * self._parts)
        calibrated = dp_computations.LaplaceMechanism.create_from_epsilon(epsilon_, asked)
        self.noise = RoundedLaplace(Fraction(calibrated.noise_parameter) / self._parts)
        self._laplace = numerical_mechanisms.LaplaceMechanism(epsilon_, asked)

    def draw(self, value: int) -> int:
        """Return the value with fresh noise; exact for |value| < 2⁶² (PyDP would wrap near 2⁶³)."""
        if self.grid > 1:
            return int(self._laplace.add_noise(value))
        noisy = value * self._parts + int(self._laplace.add_noise(0))
        return int((noisy + self._parts // 2) // self._parts)


def _exponent(scale: float) -> int:
    """Of the least power of two that is at least scale / 2⁴⁰."""
    mantissa, exponent = math.frexp(scale / 2.0**40)  # exact, and 1/2 <= mantissa < 1
    return exponent - 1 if mantissa == 0.5 else exponent
