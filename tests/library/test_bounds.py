"""Bounds found privately: public bins, one bin a row, a threshold, a fallback; never the true extremes."""

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from dpjobs import bounds, prepare
from dpjobs.engines.base import Engine
from dpjobs.noise import RoundedLaplace, TwoSidedGeometric
from library.tables import HOSTILE_CELLS, source_of, write_csv

pytestmark = pytest.mark.slow


class Recorder(Engine):
    """Counts the bins exactly, to look at what would be noised; lives in the tests only."""

    name = "recorder"
    version = "0"

    def _measure(self, frame, measurements):
        raise AssertionError("bounds need no sums")

    def _histogram(self, frame, column, bins, measurement):
        counted = {row[column]: row["count"] for row in frame.groupBy(column).count().collect()}
        assert set(counted) <= set(bins)
        self.counts = [counted.get(b, 0) for b in bins]
        return self.counts, RoundedLaplace(1 / Fraction(measurement.epsilon))


def find(spark, tmp_path: Path, cells: list[str], epsilon: str = "1", engine=None):
    path = write_csv(tmp_path / "t.csv", [f"r,{cell},z".encode() for cell in cells])
    numbers = prepare.numbers(prepare.read(spark, source_of(path), "x"))
    counts, noise = bounds.draw(engine or Recorder(), numbers, Decimal(epsilon))
    return bounds.found(counts, noise, Decimal(epsilon))


def test_each_row_lies_in_one_bin_whatever_it_holds(spark, tmp_path: Path) -> None:
    engine = Recorder()
    values = [*HOSTILE_CELLS, *(repr(math.ldexp(1.0, e)) for e in range(-1074, 1024, 7))]
    find(spark, tmp_path, values, engine=engine)
    kept = prepare.numbers(prepare.read(spark, source_of(tmp_path / "t.csv"), "x")).count()
    assert sum(engine.counts) == kept
    assert len(engine.counts) == len(bounds.BINS) == 193


@pytest.mark.parametrize(
    ("value", "lower", "upper"),
    [
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
        ("-inf", -(2.0**65), -(2.0**64)),
        (str(2**40 + 1), 2.0**40, 2.0**41),
    ],
)
def test_a_full_bin_gives_its_edges(spark, tmp_path: Path, value: str, lower: float, upper: float) -> None:
    found = find(spark, tmp_path, [value] * 30)
    assert (found.bounds.lower, found.bounds.upper, found.source) == (lower, upper, "private")


def test_bins_below_the_threshold_do_not_count(spark, tmp_path: Path) -> None:
    found = find(spark, tmp_path, ["5"] * 30 + ["-1000"] * 9 + ["1000"] * 10)
    assert found.threshold == pytest.approx(math.log(193 / 0.02))  # 9.17 at scale 1
    assert (found.bounds.lower, found.bounds.upper) == (4, 1024)


def test_a_small_table_gets_the_public_fallback_and_says_so(spark, tmp_path: Path) -> None:
    found = find(spark, tmp_path, ["5", "7", "123456789"], epsilon="0.1")
    assert (found.bounds, found.source) == (bounds.FALLBACK, "fallback")


@pytest.mark.parametrize(("count", "source"), [(10**9, "private"), (0, "fallback")])
def test_what_they_cost_is_told_whether_any_are_found_or_none(count: int, source: str) -> None:
    """A run spends on the rest what is left of its epsilon: told less, it would spend more than it paid."""
    noise = RoundedLaplace(Fraction(10))
    found = bounds.found([count] * 193, noise, Decimal("0.1"))
    assert (found.source, found.epsilon, found.noise) == (source, Decimal("0.1"), noise)
    assert (found.threshold, found.beta) == bounds.threshold(noise)


@pytest.mark.parametrize("name", ["tumult", "pipelinedp"])
def test_both_engines_find_them(spark, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpjobs.engines import load

    # else an empty bin passes, as it may, in one run of a hundred
    monkeypatch.setattr(bounds, "BETA", 1e-9)
    found = find(spark, tmp_path, [str(3 + i % 90) for i in range(9000)], epsilon="0.5", engine=load(name))
    # over the threshold of 51: the bin (2, 4] with 200 rows, and (64, 128] with 2,800; missed with e^-74
    assert (found.bounds.lower, found.bounds.upper) == (2, 128)
    assert found.source == "private"
    assert found.noise.b == pytest.approx(2)


def test_beta_is_what_the_discrete_noise_gives() -> None:
    """Laplace's threshold is too low for discrete noise of a small scale; what is published must be true."""
    for kind in (RoundedLaplace, TwoSidedGeometric):
        for epsilon in ("0.01", "0.1", "0.92", "4.6", "5", "9.2", "10", "100"):
            noise = kind(1 / Fraction(epsilon))
            limit, beta = bounds.threshold(noise)
            assert beta <= 1.1 * bounds.BETA
            assert beta == pytest.approx(193 * noise.tail(math.floor(limit) + 1) / 2)
            assert limit >= noise.b * math.log(193 / 0.02)
