"""The engines' distributions, held against their definitions: a mass in exact sums, a rounded continuous variable."""

import math
from fractions import Fraction

import pytest

from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric

SCALES = [Fraction(1, 10), Fraction(1, 2), Fraction(1), Fraction(7, 3), Fraction(20)]
KINDS = [TwoSidedGeometric, RoundedLaplace]


def mass(noise: Noise, k: int) -> float:
    """P(N = k) from the definition: ∝ exp(−|k|/b), or what rounds to k of a Laplace variable."""
    b = float(noise.scale)
    if isinstance(noise, TwoSidedGeometric):
        r = math.exp(-1 / b)
        return (1 - r) / (1 + r) * r ** abs(k)

    def above(x: float) -> float:
        return math.exp(-x / b) / 2 if x > 0 else 1 - math.exp(x / b) / 2

    return above(k - 0.5) - above(k + 0.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", SCALES)
def test_tails_are_sums_of_the_mass(kind: type[Noise], scale: Fraction) -> None:
    noise = kind(scale)
    assert [noise.tail(k) for k in (-3, 0)] == [1.0, 1.0]
    for k in (1, 2, 3, 5, 10):
        beyond = sum(mass(noise, i) for i in range(k, k + 60 * math.ceil(scale)))
        assert noise.tail(k) == pytest.approx(2 * beyond, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [*SCALES, Fraction(10**7), Fraction(10**9, 7)])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999, 0.999999])
def test_quantiles_are_the_smallest_that_hold(kind: type[Noise], scale: Fraction, confidence: float) -> None:
    noise = kind(scale)
    q = noise.quantile(confidence)
    assert noise.tail(q + 1) <= 1 - confidence
    assert q == 0 or noise.tail(q) > 1 - confidence


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exponent", [44, 46, 60, 90])
def test_quantiles_beyond_the_precision_of_a_double(kind: type[Noise], exponent: int) -> None:
    """Where single integers are finer than doubles it is found at all, and as near as a double can say."""
    assert kind(Fraction(2**exponent)).quantile(0.95) == pytest.approx(2**exponent * math.log(20), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", SCALES)
def test_the_excess_is_the_least_that_a_common_draw_needs(kind: type[Noise], scale: Fraction) -> None:
    """|N| <= |L| + d holds always where P(|N| >= k) <= P(|L| >= k − d) for all k; with a hundredth less it fails."""
    noise = kind(scale)
    b = float(scale)
    for part, holds in ((1 + 1e-9, True), (0.99, False)):
        d = noise.excess * part
        held = [noise.tail(k) <= min(1.0, math.exp(-(k - d) / b)) for k in range(1, 100)]
        assert all(held) == holds


def test_what_is_published_of_them() -> None:
    assert [kind.name for kind in KINDS] == ["two-sided geometric", "rounded Laplace"]
    assert TwoSidedGeometric(Fraction(1, 3)).b == pytest.approx(1 / 3)


def test_the_continuous_quantile_would_be_wrong() -> None:
    """Why quantiles come from the discrete distribution: ln 20 covers 91.8 % of rounded Laplace noise."""
    continuous = math.floor(math.log(20))
    assert 1 - RoundedLaplace(Fraction(1)).tail(continuous + 1) == pytest.approx(0.918, abs=1e-3)
