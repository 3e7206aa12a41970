"""100,000 draws of the mechanism an engine really uses, at the scale it really uses, against its distribution.

A chi-squared test over about 40 cells of the distribution's own tails. False alarms: 1e-9 for each of the
draws; a scale 30 % off gives p < 1e-100, which the tests show.
"""

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from scipy.stats import chi2

from dpjobs.measurement import COUNT, SUM, WIDTH, Measurement
from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric

pytestmark = pytest.mark.slow
DRAWS = 100_000
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
    assert len(draws) == DRAWS
    assert p_value(draws, noise) > FALSE_ALARM
    for wrong in (Fraction(13, 10), Fraction(10, 13)):
        assert p_value(draws, type(noise)(noise.scale * wrong)) < FALSE_ALARM


# a count at epsilon 0.5, and a sum of 24 bits: what COUNT and SUM, MEAN and VARIANCE use
MEASUREMENTS = [
    Measurement(COUNT, 1, 1, Fraction(1), Decimal("0.5")),
    Measurement(SUM, -WIDTH, WIDTH, Fraction(1), Decimal("0.5")),
]


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda m: m.name)
def test_pipelinedp(measurement: Measurement) -> None:
    from dpjobs.engines.pipelinedp import Mechanism

    mechanism = Mechanism(measurement.sensitivity, measurement.epsilon)
    assert mechanism.noise == RoundedLaplace(measurement.scale)
    check([mechanism.add_noise(10**6) - 10**6 for _ in range(DRAWS)], mechanism.noise)


def test_tumult_count(spark) -> None:
    """The engine's own grouped query over 100,000 empty bins: one draw a bin in one Spark job."""
    from dpjobs.engines import load

    frame = spark.range(0).selectExpr("id as bin")
    draws, noise = load("tumult").histogram(frame, "bin", range(DRAWS), MEASUREMENTS[0])
    assert noise == TwoSidedGeometric(MEASUREMENTS[0].scale)
    check(draws, noise)


def test_tumult_sum(spark) -> None:
    """The sum query that the engine builds, grouped by 100,000 keys."""
    from tmlt.analytics import KeySet, QueryBuilder

    from dpjobs.engines import tumult

    measurement = MEASUREMENTS[1]
    keys = KeySet.from_dict({"bin": list(range(DRAWS))})
    query = QueryBuilder("rows").groupby(keys).sum(SUM, low=-WIDTH, high=WIDTH, name="noisy")
    frame = spark.range(0).selectExpr("id as bin", "id as sum")
    with tumult._session(frame, measurement.epsilon) as session:
        rows, noise = session.evaluate(query, measurement.epsilon)
    assert noise == TwoSidedGeometric(measurement.scale)
    check([int(row["noisy"]) for row in rows], noise)


FORK = """
import os, sys
from dpjobs.engines import tumult_worker
if sys.argv[1] == "preloaded":
    tumult_worker.preload()
from tmlt.core.random.rng import prng
prng().integers(0, 2**62)  # the generator reads ahead: from here on it holds numbers to come
for _ in range(2):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(prng().integers(0, 2**62)).encode())
        os._exit(0)
    os.wait()
    print(os.read(read, 100).decode())
"""


def test_forked_workers_draw_different_noise() -> None:
    """Workers are forked from a daemon that has Tumult's generator: without a new one they would draw alike."""

    def drawn(how: str) -> list[str]:
        return subprocess.run(
            [sys.executable, "-c", FORK, how], capture_output=True, text=True, check=True
        ).stdout.split()

    one, other = drawn("preloaded")
    assert one != other
    one, other = drawn("plain")
    if one != other:
        pytest.skip("this machine has no RDRAND: the generator holds nothing that could be shared")


def test_quantiles_are_exact() -> None:
    for noise in [TwoSidedGeometric(Fraction(b)) for b in (Fraction(1, 10), 1, 7, 10**7)] + [
        RoundedLaplace(Fraction(b)) for b in (Fraction(1, 10), 1, 7, 10**7)
    ]:
        for confidence in (0.5, 0.9, 0.95, 0.999):
            q = noise.quantile(confidence)
            assert noise.tail(q + 1) <= 1 - confidence
            assert q == 0 or noise.tail(q) > 1 - confidence


def test_the_continuous_quantile_would_be_wrong() -> None:
    """Why quantiles come from the discrete distribution: ln 20 covers 91.8 % of rounded Laplace noise."""
    continuous = math.floor(math.log(20))
    assert 1 - RoundedLaplace(Fraction(1)).tail(continuous + 1) == pytest.approx(0.918, abs=1e-3)
