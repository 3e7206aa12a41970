"""Bounds found privately: public bins, one bin a row, a threshold, a fallback; never the true extremes."""

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from dpjobs import bounds
from dpjobs.engines import load
from dpjobs.noise import RoundedLaplace, TwoSidedGeometric
from library.tables import source_of, write_csv

KINDS = (RoundedLaplace, TwoSidedGeometric)


def found_in(counts: dict[int, int], epsilon: str = "1") -> bounds.FoundBounds:
    """What noisy counts by bin show, the others being 0."""
    noise = RoundedLaplace(1 / Fraction(epsilon))
    return bounds.from_histogram([counts.get(bin_, 0) for bin_ in bounds.BINS], noise, Decimal(epsilon))


def bin_of(value: float) -> int:
    """The bin by its definition: by sign and the exponent e for which 2^(e−1) < |value| <= 2^e."""
    size, exponent = abs(Fraction(value)), bounds.LOWEST
    if size <= Fraction(2) ** (bounds.LOWEST - 1):
        return 0
    while exponent < bounds.HIGHEST and size > Fraction(2) ** exponent:
        exponent += 1
    return (exponent + bounds.OFFSET) * (1 if value > 0 else -1)


EDGES = [
    ("5", 4, 8),
    ("4", 2, 4),
    ("8", 4, 8),
    ("-5", -8, -4),
    ("-8", -8, -4),
    ("0", 0, 0),
    ("1e-300", 0, 0),
    ("1", 0.5, 1),
    ("0.3", 0.25, 0.5),
    ("1e300", 2.0**64, 2.0**65),
    ("-1e300", -(2.0**65), -(2.0**64)),
    (str(2**40 + 1), 2.0**40, 2.0**41),
]


@pytest.mark.parametrize(("value", "lower", "upper"), EDGES)
def test_a_full_bin_gives_its_edges(value: str, lower: float, upper: float) -> None:
    found = found_in({bin_of(float(value)): 30})
    assert (found.bounds.lower, found.bounds.upper, found.source) == (lower, upper, "private")


def test_bins_below_the_threshold_do_not_count() -> None:
    found = found_in({bin_of(5): 30, bin_of(-1000): 9, bin_of(1000): 10})
    assert found.threshold == pytest.approx(math.log(193 / 0.02))  # 9.17 at scale 1
    assert (found.bounds.lower, found.bounds.upper) == (4, 1024)


def test_a_small_table_gets_the_public_fallback_and_says_so() -> None:
    found = found_in({bin_of(5): 2, bin_of(123456789): 1}, epsilon="0.1")
    assert (found.bounds, found.source) == (bounds.FALLBACK, "fallback")


@pytest.mark.parametrize(("count", "source"), [(10**9, "private"), (0, "fallback")])
def test_what_they_cost_is_told_whether_any_are_found_or_none(count: int, source: str) -> None:
    """A run spends on the rest what is left of its epsilon: told less, it would spend more than it paid."""
    noise = RoundedLaplace(Fraction(10))
    found = bounds.from_histogram([count] * 193, noise, Decimal("0.1"))
    assert (found.source, found.epsilon, found.noise) == (source, Decimal("0.1"), noise)
    assert (found.threshold, found.beta) == bounds.threshold(noise)


def test_beta_is_what_the_discrete_noise_gives() -> None:
    """Laplace's threshold is too low for discrete noise of a small scale; what is published must be true."""
    for kind in KINDS:
        for epsilon in ("0.01", "0.1", "0.92", "4.6", "5", "9.2", "10", "100"):
            noise = kind(1 / Fraction(epsilon))
            limit, beta = bounds.threshold(noise)
            assert beta <= 1.1 * bounds.BETA
            assert beta == pytest.approx(193 * noise.tail(math.floor(limit) + 1) / 2)
            assert limit >= noise.b * math.log(193 / 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tumult", "pipelinedp"])
def test_engines_find_them(spark, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpjobs.backends.spark.backend import SparkBackend

    # else an empty bin passes, as it may, in one run of a hundred
    monkeypatch.setattr(bounds, "BETA", 1e-9)
    path = write_csv(tmp_path / "t.csv", [f"r,{3 + i % 90},z".encode() for i in range(9000)])
    noisy = load(name).measure(SparkBackend(spark), source_of(path), bounds.histogram_plan("x", Decimal("0.5")))
    found = bounds.from_histogram([n.value for n in noisy], noisy[0].noise, Decimal("0.5"))
    # over the threshold of 51: the bin (2, 4] with 200 rows, and (64, 128] with 2,800; missed with e^-74
    assert (found.bounds.lower, found.bounds.upper) == (2, 128)
    assert found.source == "private"
    assert found.noise.b == pytest.approx(2)
