"""Quantiles of sums of noise, held against exact convolutions and against other formulas for the same thing."""

import itertools
import math
from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from dpjobs.interval import Term, laplace_quantile, quantile
from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric

ALPHAS = (0.5, 0.1, 0.05, 0.001)


def beyond(scales: list[float], t: float) -> float:
    """P(|Σ Laplace(b)| > t), from the characteristic function: 1 − (2/π) ∫ sin(ut)/u · Π 1/(1 + b²u²) du."""

    def at(u: float) -> float:
        return (math.sin(u * t) / u if u else t) * math.prod(1 / (1 + b * b * u * u) for b in scales)

    return 1 - 2 / math.pi * quad(at, 0, 60 / min(scales), limit=2000, epsabs=1e-10)[0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_one_laplace(alpha: float) -> None:
    for b in (1e-12, 1.0, 3.5, 1e30):
        assert laplace_quantile([b], alpha) == pytest.approx(b * math.log(1 / alpha), rel=1e-8)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("scales", [[1.0, 2.0], [1.0, 30.0], [3.0, 1.0, 2.0], [1.0, 1.5, 2.0, 9.0]])
def test_several_of_different_scales(scales: list[float], alpha: float) -> None:
    assert beyond(scales, laplace_quantile(scales, alpha)) == pytest.approx(alpha, rel=1e-4)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("near", [1.0, 1.0 + 1e-12, 1.0005, 1.0011])
def test_two_of_about_the_same_scale(near: float, alpha: float) -> None:
    """P(|L + L'| > t) = exp(−t/b)·(1 + t/2b) for equal scales; apart by less than 0.1 % they may count as 0.1 %."""
    t = laplace_quantile([2.0, 2.0 * near], alpha)

    def of_equal(b: float) -> float:
        return math.exp(-t / b) * (1 + t / 2 / b)

    assert of_equal(2.0) <= alpha * (1 + 1e-6) * (of_equal(2.0) / of_equal(2.0 / near))
    assert of_equal(2.0 * max(near, 1.001)) >= alpha * (1 - 1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("scales", [[1.0] * 3, [1.0, 1.0002, 1.0], [2.0] * 4])
def test_more_than_two_of_about_the_same_scale(scales: list[float], alpha: float) -> None:
    """They are spread apart by 0.1 % each, upwards: by much less, a double would not hold their weights."""
    assert 0.98 * alpha < beyond(scales, laplace_quantile(scales, alpha)) <= alpha * (1 + 1e-4)


@pytest.mark.parametrize("unit", [1e-40, 1e-12, 1e12, 1e30])
def test_the_unit_does_not_matter(unit: float) -> None:
    scales = [3.0, 1.0, 2.0]
    assert laplace_quantile([b * unit for b in scales], 0.05) == pytest.approx(
        unit * laplace_quantile(scales, 0.05), rel=1e-8
    )


def test_what_is_a_million_times_smaller_adds_its_farthest() -> None:
    alone, both = laplace_quantile([1.0], 0.05), laplace_quantile([1.0, 1e-7], 0.05)
    assert both == pytest.approx(alone + 40e-7, abs=1e-8)  # 40 scales: beyond with e^-40
    assert laplace_quantile([1e-7, 1.0, 2e-7], 0.05) == pytest.approx(alone + 120e-7, abs=1e-8)
    assert laplace_quantile([1.0, 1e-5], 0.05) < alone + 1e-8  # not small enough: it is in the sum as it is


def masses(noise: Noise) -> dict[int, float]:
    """P(N = k) for every k that matters, from the tails."""
    size = noise.quantile(1 - 1e-13) + 2
    half = {k: (noise.tail(k) - noise.tail(k + 1)) / 2 for k in range(1, size)}
    return {0: 1 - noise.tail(1), **half, **{-k: p for k, p in half.items()}}


def exactly_beyond(terms: list[Term], t: float) -> float:
    """P(|Σ weight·N| > t) by convolution."""
    found: dict[float, float] = {0.0: 1.0}
    for weight, noise in terms:
        new: dict[float, float] = defaultdict(float)
        for (x, p), (k, q) in itertools.product(found.items(), masses(noise).items()):
            new[round(x + weight * k, 9)] += p * q
        found = new
    return sum(p for x, p in found.items() if abs(x) > t + 1e-7)


WEIGHTS = [(1.0, 1.0), (1.0, 0.5), (1.0, 0.1), (0.3, 1.0), (1.0, 0.9)]
SCALES = [("1/4", "1/4"), ("1/2", "2"), ("2", "1/2"), ("1", "1"), ("5", "3"), ("1/8", "6")]


@pytest.mark.parametrize("kind", [TwoSidedGeometric, RoundedLaplace])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("scales", SCALES)
def test_two_discrete_noises(kind: type[Noise], weights: tuple[float, float], scales: tuple[str, str]) -> None:
    terms = [Term(w, kind(Fraction(b))) for w, b in zip(weights, scales, strict=True)]
    for alpha in ALPHAS:
        t = quantile(terms, alpha)
        assert exactly_beyond(terms, t) <= alpha
        # and not much more than it takes: half a step of the coarsest lattice, and one of the other's
        assert t <= laplace_quantile([w * n.b for w, n in terms], alpha) + max(weights) / 2 + min(weights) + 1e-9


def test_three_discrete_noises() -> None:
    terms = [
        Term(1.0, TwoSidedGeometric(Fraction(1))),
        Term(0.5, RoundedLaplace(Fraction(3))),
        Term(2.0, RoundedLaplace(Fraction(1, 5))),
    ]
    for alpha in ALPHAS:
        assert exactly_beyond(terms, quantile(terms, alpha)) <= alpha


@pytest.mark.parametrize("kind", [TwoSidedGeometric, RoundedLaplace])
def test_one_noise_has_its_own_quantile(kind: type[Noise]) -> None:
    noise = kind(Fraction(5))
    for alpha in ALPHAS:
        assert quantile([Term(3.0, noise)], alpha) == 3.0 * noise.quantile(1 - alpha)


def test_terms_without_weight_count_for_nothing() -> None:
    noise = RoundedLaplace(Fraction(5))
    assert quantile([], 0.05) == 0.0
    assert quantile([Term(0.0, noise)], 0.05) == 0.0
    assert quantile([Term(0.0, noise), Term(2.0, noise)], 0.05) == quantile([Term(2.0, noise)], 0.05)


def test_a_coarse_noise_that_is_nearly_always_0_costs_little() -> None:
    """Its own quantile is 0 at a part of the error; by its lattice's slack it would cost a whole step of it."""
    coarse, fine = Term(1000.0, RoundedLaplace(Fraction(1, 50))), Term(1.0, RoundedLaplace(Fraction(20)))
    assert quantile([coarse, fine], 0.05) < 200
    assert quantile([fine, coarse], 0.05) == quantile([coarse, fine], 0.05)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=3),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    st.sampled_from([Fraction(2**13), Fraction(2**24), Fraction(2**40)]),
    st.sampled_from(ALPHAS),
    st.sampled_from([TwoSidedGeometric, RoundedLaplace]),
)
def test_a_quantile_moves_no_faster_than_its_weights(
    weights: list[float], moves: list[float], b: Fraction, alpha: float, kind: type[Noise]
) -> None:
    """On which it rests that the ends of intervals are walked to, and never past (statistics/shares.py).

    At the scales of tokens, 2²³ of them at an epsilon of 1000 and up: where a weight becomes 0, the quantile falls by
    a few integers, which is next to nothing there, and more than the whole of it at a scale of 1/3.
    """
    noise = kind(b)

    def spread(these: list[float]) -> float:
        return quantile([Term(abs(w), noise) for w in these], alpha)

    fastest = spread([1.0] * len(weights)) * max(map(abs, moves[: len(weights)]))
    moved = [w + m for w, m in zip(weights, moves, strict=False)]
    assert abs(spread(moved) - spread(weights)) <= fastest * (1 + 1e-3) + spread([1.0]) * 2e-3
