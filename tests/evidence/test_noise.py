"""Many draws of an engine, at a scale that runs really use, against its distribution.

A chi-squared test over about 40 cells of the distribution's own tails. False alarms: 1e-9 for each of the nine
samples; a scale 30 % off gives p < 1e-100, which the tests show.
"""

import subprocess
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from scipy.stats import chi2

from dpjobs.engines import ENGINES, load
from dpjobs.noise import Noise, TwoSidedGeometric
from dpjobs.plan import TOKENS, WIDTH, Cell, Plan
from library.engines.contract import Known

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
        place = bisect_right(edges, abs(x))
        return 0 if place == 0 else 2 * place - (x > 0)

    seen = Counter(cell(x) for x in draws)
    statistic = sum((seen[i] - len(draws) * p) ** 2 / (len(draws) * p) for i, p in enumerate(probabilities))
    return float(chi2.sf(statistic, len(probabilities) - 1))


def check(draws: Sequence[int], noise: Noise) -> None:
    assert len(draws) >= 20_000
    assert p_value(draws, noise) > FALSE_ALARM
    for wrong in (Fraction(13, 10), Fraction(10, 13)):
        assert p_value(draws, type(noise)(noise.scale * wrong)) < FALSE_ALARM


# 100,000 draws of what nearly all questions use, the vector's noise of 24 bits at epsilon 0.5; and a fifth of that
# at a scale of 2, where it matters that noise is discrete
DRAWS = 100_000
LARGE = Cell("bin", 0, 1, Fraction(1), WIDTH, Decimal("0.5"), bin=0)
SMALL = Cell("bin", 0, 1, Fraction(1), 1, Decimal("0.5"), bin=0)
ON_TOTALS = [name for name, listed in ENGINES.items() if not listed.backends]


@pytest.mark.parametrize(("cell", "draws"), [(LARGE, DRAWS), (SMALL, DRAWS // 5)], ids=["large", "small"])
@pytest.mark.parametrize("name", ON_TOTALS)
def test_many_draws_of_each_engine(name: str, cell: Cell, draws: int) -> None:
    """In one call for a histogram: one draw a bin."""
    plan = Plan(None, "x", TOKENS, tuple(replace(cell, name=f"bin {b}", bin=b) for b in range(draws)))
    noisy = load(name).measure(Known([10**6] * draws), None, plan)
    [noise] = {n.noise for n in noisy}
    assert type(noise) is ENGINES[name].noise
    assert noise.b == pytest.approx(float(cell.scale), rel=1e-9)
    check([n.value - 10**6 for n in noisy], noise)


def test_many_draws_of_the_session(spark) -> None:
    """Of Tumult Analytics, whose sampler is Tumult Core's, in Spark's workers: 20,000, at 0.3 ms each."""
    from library.engines.test_tumult import Frames

    plan = Plan(None, "x", TOKENS, tuple(replace(SMALL, name=f"bin {b}", bin=b) for b in range(DRAWS // 5)))
    noisy = load("tumult").measure(Frames(spark, spark.range(0).selectExpr("id as bin")), None, plan)
    [noise] = {n.noise for n in noisy}
    assert noise == TwoSidedGeometric(SMALL.scale)
    check([n.value for n in noisy], noise)


FORK = """
import os, sys
sys.path.insert(0, "tests")
from dataclasses import replace
from decimal import Decimal
from dpjobs.engines import load

mechanism = load(sys.argv[1]).mechanism(2**24, Decimal("0.0001"))
mechanism.draw(0)
for _ in range(2):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, " ".join(str(mechanism.draw(0)) for _ in range(5)).encode())
        os._exit(0)
    os.wait()
    print(os.read(read, 1000).decode())
"""


@pytest.mark.parametrize(
    ("name", "alike"), [("pipelinedp", True), ("tumult-core", True), ("opendp", False), ("diffprivlib", False)]
)
def test_why_no_engine_draws_in_a_forked_process(name: str, alike: bool) -> None:
    """The mechanism itself, which `measure` lets no forked process reach.

    PyDP's and Tumult Core's generators hold numbers that they have drawn ahead: two children draw the same noise.
    """
    done = subprocess.run([sys.executable, "-c", FORK, name], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert len(first.split()) == 5
    assert (first == second) is alike
