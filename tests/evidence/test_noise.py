"""Many draws of an engine, at a scale that runs really use, against its distribution.

A chi-squared test over about 40 cells of the distribution's own tails. False alarms: 1e-9 for each of the
samples; a scale 30 % off gives p < 1e-100, which the tests show.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from dpjobs.measurement import COUNT, SUM, WIDTH, Measurement
from scipy.stats import chi2

from dpjobs.noise import Noise, RoundedLaplace

pytestmark = pytest.mark.slow
FALSE_ALARM = 1e-9


def p_value(draws: Sequence[int], noise: Noise) -> float:
    """Of the chi-squared test of signed draws against the distribution, in cells of equal probability."""
    edges = sorted({noise.quantile(1 - q / 20) + 1 for q in range(1, 20)} | {1})
    probabilities = [1 - noise.tail(edges[0])]
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        both = noise.tail(low) - (noise.tail(high) if high is not None else 0.0)
        probabilities += [both / 2, both / 2]

    def cell(x: int) -> int:
        place = sum(abs(x) >= edge for edge in edges)
        return 0 if place == 0 else 2 * place - (x > 0)

    seen = Counter(cell(x) for x in draws)
    statistic = sum((seen[i] - len(draws) * p) ** 2 / (len(draws) * p) for i, p in enumerate(probabilities))
    return float(chi2.sf(statistic, len(probabilities) - 1))


def check(draws: Sequence[int], noise: Noise) -> None:
    assert len(draws) >= 20_000
    assert p_value(draws, noise) > FALSE_ALARM
    for wrong in (Fraction(13, 10), Fraction(10, 13)):
        assert p_value(draws, type(noise)(noise.scale * wrong)) < FALSE_ALARM


# a count at epsilon 0.5, where it matters that noise is discrete, and a sum of 24 bits, where it hardly does
COUNTED = Measurement(COUNT, 1, 1, Fraction(1), Decimal("0.5"))
SUMMED = Measurement(SUM, -WIDTH, WIDTH, Fraction(1), Decimal("0.5"))


@pytest.mark.parametrize(("name", "draws"), [("tumult", 20_000), ("pipelinedp", 100_000)])
def test_a_count_of_each_engine(spark, name: str, draws: int) -> None:
    """The engine's own histogram over empty bins: one draw a bin in one call. Tumult's take 0.3 ms each."""
    from dpjobs.engines import ENGINES, load

    counts, noise = load(name).histogram(spark.range(0).selectExpr("id as bin"), "bin", range(draws), COUNTED)
    assert noise == ENGINES[name].noise(COUNTED.scale)
    check(counts, noise)


def test_a_sum_of_pipelinedp() -> None:
    """Of its mechanism; that results of the engine have this noise, and Tumult's, is in the engines' contract."""
    from dpjobs.engines.pipelinedp import Mechanism

    mechanism = Mechanism(SUMMED.sensitivity, SUMMED.epsilon)
    assert mechanism.noise == RoundedLaplace(SUMMED.scale)
    check([mechanism.add_noise(10**6) - 10**6 for _ in range(100_000)], mechanism.noise)


FORK = """
import os
import numpy as np
from dpjobs.engines import tumult_worker
from randomgen import rdrand
from tmlt.core.random import rng

def two():
    rng._core_privacy_prng = np.random.Generator(np.random.PCG64(7))  # holds numbers to come, as RDRAND's does
    for _ in range(2):
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, str(rng.prng().integers(0, 2**62)).encode())
            os._exit(0)
        os.wait()
        print(os.read(read, 100).decode())

def refuse():
    raise RuntimeError("this processor has none")

two()
rdrand.RDRAND, of_the_processor = refuse, rdrand.RDRAND
tumult_worker.preload()
two()
rdrand.RDRAND = of_the_processor
tumult_worker.preload()
two()
"""


def test_forked_workers_draw_different_noise() -> None:
    """Workers are forked from a daemon that has Tumult's generator: without a new one they draw alike.

    With the processor's own numbers, and where it has none, as ARM's, with those of the system.
    """
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    plain, also, *renewed = done.stdout.split()
    assert plain == also
    assert len({plain, *renewed}) == 5
