"""PipelineDP: its calibration and its noise (Google's samplers through PyDP) on exact sums made by Spark SQL.

Not used, on purpose (tests/evidence/test_why_not.py shows why): its VARIANCE, whose noise is not calibrated to
its sensitivity, and its `add_noise`, which sends integers through a float.
"""

import importlib.metadata
import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from pipeline_dp import dp_computations
from pydp.algorithms import numerical_mechanisms
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dpjobs.engines.base import Engine, Noisy
from dpjobs.measurement import COUNT, Measurement
from dpjobs.noise import RoundedLaplace


class PipelineDPEngine(Engine):
    """One Spark aggregate for all measurements of a query, then PyDP's integer Laplace noise on each."""

    name = "pipelinedp"

    @property
    def version(self) -> str:
        """PipelineDP's version and that of PyDP, which samples."""
        versions = [f"{package} {importlib.metadata.version(package)}" for package in ("pipeline-dp", "python-dp")]
        return ", ".join(versions)

    def _measure(self, frame: DataFrame, measurements: Sequence[Measurement]) -> list[Noisy]:
        row = frame.agg(*(_aggregate(m) for m in measurements)).collect()[0]
        return [self._noisy(m, int(row[m.name])) for m in measurements]

    def _histogram(
        self, frame: DataFrame, column: str, bins: Sequence[int], measurement: Measurement
    ) -> tuple[list[int], RoundedLaplace]:
        rows = frame.groupBy(column).agg(F.count(F.lit(1)).alias("rows")).collect()
        counts = {row[column]: int(row["rows"]) for row in rows}
        mechanism = Mechanism(measurement.sensitivity, measurement.epsilon)
        return [mechanism.add_noise(counts.get(bin_, 0)) for bin_ in bins], mechanism.noise

    def _noisy(self, measurement: Measurement, value: int) -> Noisy:
        mechanism = Mechanism(measurement.sensitivity, measurement.epsilon)
        return Noisy(measurement, mechanism.add_noise(value), mechanism.noise)


class Mechanism:
    """PyDP's Laplace mechanism on integers, with the scale that PipelineDP's own calibration gives.

    PyDP draws multiples of a power of two: the least one that is at least scale / 2⁴⁰. Where that is below 1 it
    rounds what it has drawn to a whole number, halves away from 0: a noise of 0 is then rarer than a small epsilon
    allows, by a δ below 2⁻⁴⁰ (docs/how-it-works.md). So a total is counted in as many parts of 1 as make that power
    1, and the noisy total is rounded: what is done to a noisy number costs nothing. Where it is above 1, PyDP rounds
    the total to its multiples before the noise, and accounts for that.
    """

    def __init__(self, sensitivity: int, epsilon: Decimal) -> None:
        epsilon_ = _at_most(epsilon)
        exponent = _exponent(sensitivity / epsilon_)
        self._exact, self._parts = exponent <= 0, 2 ** max(-exponent, 0)
        asked = float(sensitivity * self._parts)
        calibrated = dp_computations.LaplaceMechanism.create_from_epsilon(epsilon_, asked)
        self.noise = RoundedLaplace(Fraction(calibrated.noise_parameter) / self._parts)
        self._laplace = numerical_mechanisms.LaplaceMechanism(epsilon_, asked)

    def add_noise(self, value: int) -> int:
        """Return the value with fresh noise; exact for |value| < 2⁶² (PyDP would wrap near 2⁶³)."""
        if not self._exact:
            return int(self._laplace.add_noise(value))
        noisy = value * self._parts + int(self._laplace.add_noise(0))
        return int((noisy + self._parts // 2) // self._parts)


def _exponent(scale: float) -> int:
    """Of the least power of two that is at least scale / 2⁴⁰."""
    mantissa, exponent = math.frexp(scale / 2.0**40)  # exact, and 1/2 <= mantissa < 1
    return exponent - 1 if mantissa == 0.5 else exponent


def _at_most(epsilon: Decimal) -> float:
    """The largest double not above epsilon: a float 0.1 is more than 0.1."""
    near = float(epsilon)
    return near if Fraction(near) <= Fraction(epsilon) else math.nextafter(near, 0.0)


def _aggregate(measurement: Measurement) -> Column:
    if measurement.name == COUNT:
        return F.count(F.lit(1)).alias(COUNT)
    return F.coalesce(F.sum(measurement.name), F.lit(0)).alias(measurement.name)
