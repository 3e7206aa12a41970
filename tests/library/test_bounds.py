"""Bounds found privately: public bins, one bin a row, thresholds, a tail, a fallback; never the true extremes."""

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpjobs import bounds
from dpjobs.engines import load
from dpjobs.epsilon import Epsilon
from dpjobs.noise import RoundedLaplace, TwoSidedGeometric
from dpjobs.query import Query
from library.tables import source_of, write_csv

KINDS = (RoundedLaplace, TwoSidedGeometric)


def found_in(counts: dict[int, int], epsilon: str = "1", query: Query = Query.MEAN) -> bounds.FoundBounds:
    """What noisy counts by bin show, the others being 0, on a tenth of a run's epsilon."""
    spent = Epsilon(epsilon)
    noise = RoundedLaplace(1 / Fraction(spent))
    held = [counts.get(bin_, 0) for bin_ in bounds.BINS]
    return bounds.from_histogram(held, noise, spent, query, Epsilon(9 * spent))


def found_from(sizes: dict[float, int], query: Query = Query.MEAN) -> tuple[float, float]:
    """The bounds that counts by a number of their bin show, with noise of scale 10 and 0.9 for the answer."""
    found = found_in({bin_of(x): n for x, n in sizes.items()}, "0.1", query).bounds
    return found.lower, found.upper


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
    """A far one has to pass for any of 193, one near the largest for 22: 9.17 and 4.7 at scale 1."""
    found = found_in({bin_of(5): 30, bin_of(2**30): 9})
    assert found.threshold == pytest.approx(math.log(193 / 0.02))
    assert (found.bounds.lower, found.bounds.upper) == (4, 8)
    assert found_in({bin_of(5): 30, bin_of(2**30): 10}).bounds.upper == 2**30


@pytest.mark.parametrize(
    ("x", "near"), [(64, True), (65, False), (-64, True), (-65, False), (-0.04, True), (-0.03, False)]
)
def test_near_the_largest_seen_bin_less_is_enough(x: float, near: bool) -> None:
    """From three factors of two further out to seven further in, on both sides of 0: more than 47, not 92 rows."""
    alone = found_from({5: 500})
    assert found_from({5: 500, x: 47}) == alone
    assert found_from({5: 500, x: 91}) == (alone if not near else found_from({5: 500, x: 48}))
    lower, upper = found_from({5: 500, x: 48})
    assert (lower <= x <= upper) == near


FALLING = {2.0**e: n for e, n in zip(range(10, 16), (3000, 2000, 1000, 500, 250, 125), strict=True)}
"""Each bin has half of the one before: the largest that is seen has 125 rows, over 47."""
SLOW = {2.0**16: 45, 2.0**17: 30, 2.0**18: 20, 2.0**19: 10}


@pytest.mark.parametrize(
    ("further", "query", "upper"),
    [
        (
            {},
            Query.MEAN,
            2**15,
        ),  # the next bins are empty: 10 rows at most, then 0.8; the bound goes out from 13.3 on
        ({2.0**16: 20, 2.0**17: 5}, Query.MEAN, 2**16),  # 30, 7.2, 1.7, … rows; behind the first 9.5
        (SLOW, Query.MEAN, 2**18),  # 55, 24.2, 10.6, 4.7, …; behind the third 8.4
        (SLOW, Query.SUM, 2**18),
        (SLOW, Query.VARIANCE, 2**17),  # from 26.7 rows on
        ({2.0**17: 46}, Query.MEAN, 2**15),  # after an empty bin comes noise: the ratio does not grow again
    ],
)
def test_a_tail_is_followed_outward_while_clipping_it_costs_more_than_noise(
    further: dict[float, int], query: Query, upper: float
) -> None:
    assert found_from(FALLING | further, query) == (0, upper)
    mirrored = {-x: n for x, n in (FALLING | further).items()}
    assert found_from(mirrored, query) == (-upper, 0)


def test_a_bin_of_the_tail_has_at_most_half_of_the_one_before() -> None:
    """However many the noise shows there: 46 after 60 would be a tail without a mean."""
    shown = {2.0**e: n for e, n in zip(range(10, 18), (1000, 60, 60, 46, 46, 46, 46, 46), strict=True)}
    assert found_from(shown) == (0, 2**15)  # 30, 15, 7.5, … rows


@pytest.mark.parametrize("sign", [1, -1])
def test_a_tail_goes_on_as_steeply_as_what_is_seen_falls(sign: int) -> None:
    """A hundredth of ten thousand rows is followed by one, though noise shows 45."""
    found = found_from({sign * 2.0**e: n for e, n in ((10, 10_000), (11, 100), (12, 45))})
    assert found == ((0, 2**11) if sign > 0 else (-(2**11), 0))


def test_a_column_without_a_tail_is_not_left_far() -> None:
    """Uniform numbers up to 1,000: the last bin is full, the next is empty, whatever the noise says of it."""
    uniform = {2.0**e: 3 * 2 ** (e - 1) for e in range(4, 11)}
    for shown in (-30, 0, 3):
        assert found_from(uniform | {2.0**11: shown}) == (0, 1024)
    assert found_from(uniform | {2.0**11: 45}) == (0, 2048)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([5], (4, 8)),  # from 0 the range would be twice as wide
        ([5, 9], (0, 16)),
        ([-5], (-8, -4)),
        ([-5, -9], (-16, 0)),
        ([-5, 3], (-8, 4)),
        ([0, 5], (0, 8)),
        ([-5, 0], (-8, 0)),
        ([0], (0, 0)),
    ],
)
def test_a_range_begins_at_0_where_that_costs_little(seen: list[float], expected: tuple[float, float]) -> None:
    assert found_from(dict.fromkeys(seen, 500)) == expected


def test_more_epsilon_for_the_answer_lets_the_bounds_go_further() -> None:
    """The same histogram; less noise in the answer weighs less against clipping."""
    shown = {bin_of(x): n for x, n in (FALLING | {2.0**16: 20, 2.0**17: 5}).items()}
    held = [shown.get(bin_, 0) for bin_ in bounds.BINS]
    noise, spent = RoundedLaplace(Fraction(10)), Epsilon("0.1")
    uppers = [
        bounds.from_histogram(held, noise, spent, Query.MEAN, Epsilon(rest)).bounds.upper
        for rest in ("0.1", "0.9", "9", "90")
    ]
    assert uppers == [2**15, 2**16, 2**18, 2**19]


def test_counts_beyond_any_double_are_held() -> None:
    assert found_from({5: 10**400, -5: -(10**400)}) == found_from({5: 10**9})


COUNTS = st.integers(-(2**64), 2**64) | st.integers(-200, 200) | st.integers()
SCALES = st.fractions(Fraction(1, 1000), 2**50, max_denominator=1000)
EPSILONS = st.integers(1, 10**12).map(Epsilon.of_billionths)


@given(
    counts=st.builds(
        lambda others, some: [some.get(i, others) for i in range(193)],
        COUNTS,
        st.dictionaries(st.integers(0, 192), COUNTS),
    ),
    noise=st.builds(lambda kind, scale: kind(scale), st.sampled_from(KINDS), SCALES),
    spent=EPSILONS,
    rest=EPSILONS,
    query=st.sampled_from([Query.SUM, Query.MEAN, Query.VARIANCE]),
)
def test_any_counts_give_powers_of_two_and_the_same_each_time(counts, noise, spent, rest, query) -> None:
    found = bounds.from_histogram(counts, noise, spent, query, rest)
    assert found == bounds.from_histogram(counts, noise, spent, query, rest)
    lower, upper = found.bounds.lower, found.bounds.upper
    assert lower <= upper
    assert all(x == 0 or math.frexp(abs(x))[0] == 0.5 for x in (lower, upper))
    assert max(abs(lower), upper) <= 2.0**bounds.HIGHEST
    if found.source == "private":
        seen = [bin_ for bin_, n in zip(bounds.BINS, counts, strict=True) if n > found.threshold]
        assert lower <= bounds.edges(seen[0])[0]
        assert upper >= bounds.edges(seen[-1])[1]


def test_a_small_table_gets_the_public_fallback_and_says_so() -> None:
    found = found_in({bin_of(5): 2, bin_of(123456789): 1}, epsilon="0.1")
    assert (found.bounds, found.source) == (bounds.FALLBACK, "fallback")


@pytest.mark.parametrize(("count", "source"), [(10**9, "private"), (0, "fallback")])
def test_what_they_cost_is_told_whether_any_are_found_or_none(count: int, source: str) -> None:
    """A run spends on the rest what is left of its epsilon: told less, it would spend more than it paid."""
    noise = RoundedLaplace(Fraction(10))
    found = bounds.from_histogram([count] * 193, noise, Epsilon("0.1"), Query.MEAN, Epsilon("0.9"))
    assert (found.source, found.epsilon, found.noise) == (source, Decimal("0.1"), noise)
    assert (found.threshold, found.beta) == bounds.threshold(noise, 193, bounds.BETA)


def test_beta_is_what_the_discrete_noise_gives() -> None:
    """Laplace's threshold is too low for discrete noise of a small scale; what is published must be true."""
    for kind in KINDS:
        for epsilon in ("0.01", "0.1", "0.92", "4.6", "5", "9.2", "10", "100"):
            noise = kind(1 / Fraction(epsilon))
            limit, beta = bounds.threshold(noise, 193, bounds.BETA)
            assert beta <= 1.1 * bounds.BETA
            assert beta == pytest.approx(193 * noise.tail(math.floor(limit) + 1) / 2)
            assert limit >= noise.b * math.log(193 / 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tumult", "pipelinedp"])
def test_engines_find_them(spark, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpjobs.backends.spark.backend import SparkBackend

    # else an empty bin passes, as it may, in one run of a hundred, and of ten near the largest
    monkeypatch.setattr(bounds, "BETA", 1e-9)
    monkeypatch.setattr(bounds, "NEAR_BETA", 1e-9)
    path = write_csv(tmp_path / "t.csv", [f"r,{3 + i % 90},z".encode() for i in range(9000)])
    noisy = load(name).measure(SparkBackend(spark), source_of(path), bounds.histogram_plan("x", Decimal("0.5")))
    counts = [n.value for n in noisy]
    found = bounds.from_histogram(counts, noisy[0].noise, Epsilon("0.5"), Query.MEAN, Epsilon("4.5"))
    # over the threshold of 51: the bin (2, 4] with 200 rows, and (64, 128] with 2,800; missed with e^-74
    assert found.bounds.lower == 0  # for 2 is less than a quarter of 128
    assert found.bounds.upper in (128, 256)  # the noise may show a row more than none in the next bin
    assert found.source == "private"
    assert found.noise.b == pytest.approx(2)
