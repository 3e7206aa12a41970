"""Value and interval as a pure function of the noisy integers: no error for any of them, and no slack is missing."""

import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dpjobs.draws import Draws
from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.interval import Term, quantile
from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric
from dpjobs.plan import SEPARATE, Plan
from dpjobs.query import LARGEST_BOUND, Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.release import given_bounds, to_json
from dpjobs.statistics import STATISTICS, variance
from dpjobs.statistics.base import Estimate, Range
from dpjobs.statistics.separate import SUM_OF_SQUARES, squares_of
from library.plans import plan, separate

KINDS = (TwoSidedGeometric, RoundedLaplace)
RECIPES = (plan, separate)
EDGES = [0.0, 5e-324, 2.0**-1022, 2.0**-201, 2.0**-200, 1e-9, 0.1, 1.0, 100.0, 1e18, 2.0**51, 2.0**99, LARGEST_BOUND]
BOUND = st.one_of(
    st.sampled_from([*EDGES, *(-edge for edge in EDGES)]),
    st.integers(-1000, 1000).map(float),
    st.floats(-LARGEST_BOUND, LARGEST_BOUND),
    st.builds(lambda e, sign: sign * math.ldexp(1.0, e), st.integers(-1074, 100), st.sampled_from([1, -1])),
)
EPSILON = st.one_of(
    st.sampled_from(["0.000003", "0.1", "1", "1000"]).map(Epsilon),
    st.integers(3_000, 10**12).map(lambda billionths: Epsilon.of_billionths(billionths)),
)
CONFIDENCE = st.one_of(st.sampled_from([0.5, 0.95, 0.999999]), st.floats(0.5, 0.999999))
INTEGER = st.one_of(
    st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]), st.integers(-100, 100), st.integers(-(2**63), 2**63 - 1)
)


def estimate(of: Plan, noisy: list[Noisy], confidence: float) -> Estimate:
    return STATISTICS[of.query].estimate(of, noisy, confidence)


def released(of: Plan, noisy: list[Noisy], confidence: float, epsilon: Decimal) -> tuple[Estimate, dict]:
    """The estimate, and what a reader of its release reads."""
    bounds = None if of.grid is None else of.grid.bounds
    spec = JobSpec(
        run_id="r",
        dataset="d",
        engine="tumult" if of.recipe == SEPARATE else "opendp",
        query=of.query,
        column="x",
        budget=PrivacyBudget(epsilon),
        uri="/t.csv",
        format="csv",
        bounds=bounds,
        confidence=confidence,
    )
    found = estimate(of, noisy, confidence)
    said = None if bounds is None else given_bounds(bounds.lower, bounds.upper)

    def no_number(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    text = to_json(spec, of, Draws(tuple(noisy), "1", "b", "2"), found, "1", said)
    return found, json.loads(text, parse_constant=no_number)


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(Query),
    st.sampled_from(RECIPES),
    BOUND,
    st.one_of(BOUND, st.none(), st.just("same")),
    EPSILON,
    CONFIDENCE,
    st.data(),
)
def test_no_noise_and_no_bounds_are_an_error(
    query: Query,
    recipe: Callable[..., Plan],
    one: float,
    other: float | str | None,
    epsilon: Decimal,
    confidence: float,
    data: st.DataObject,
) -> None:
    """It would be an output that depends on the noise, seen by who paid for one answer only."""
    far = math.nextafter(one, math.inf) if other is None else one if isinstance(other, str) else other
    assume(max(abs(one), abs(far)) <= LARGEST_BOUND)
    of = recipe(query, None if query is Query.COUNT else Bounds(min(one, far), max(one, far)), epsilon)
    kind = data.draw(st.sampled_from(KINDS))
    noisy = [Noisy(c, 0, None) if c.constant else Noisy(c, data.draw(INTEGER), kind(c.scale)) for c in of.cells]
    found, read = released(of, noisy, confidence, epsilon)
    assert all(map(math.isfinite, found))
    assert found.low <= found.value <= found.high
    assert (read["value"], *read["interval"]) == found
    for n, shown in zip(noisy, read["cells"], strict=True):
        assert Fraction(shown["value"]) == Fraction(float(n.value * n.cell.step))
    if of.grid is not None and query is Query.MEAN:
        assert of.grid.bounds.lower <= found.low
        assert found.high <= of.grid.bounds.upper
    if of.grid is not None and query is Query.VARIANCE:
        width = of.grid.bounds.upper - of.grid.bounds.lower
        assert found.low >= 0
        assert found.high <= width**2 / 4  # as a power, whose last place may be another than a product's


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_variance_of_wide_bounds_with_no_row_left_by_the_noise(recipe: Callable[..., Plan]) -> None:
    """As an attacker found: with a range above 2^51 it failed for small noisy counts, after the charge."""
    of = recipe(Query.VARIANCE, Bounds(0, 2.0**60), Decimal(1))
    for first in (-5, 0, 3, 100_000):
        noisy = [Noisy(c, value, RoundedLaplace(c.scale)) for c, value in zip(of.cells, (first, 17, -9), strict=True)]
        found = estimate(of, noisy, 0.95)
        assert 0 <= found.low <= found.value <= found.high <= 2.0**118


# -- tokens


def noisy_of(of: Plan, values: list[int], kind: type[Noise] = RoundedLaplace) -> list[Noisy]:
    return [Noisy(c, v, kind(c.scale)) for c, v in zip(of.cells, values, strict=True)]


def test_a_mean_is_where_between_the_bounds_the_high_tokens_share_lies() -> None:
    of = plan(Query.MEAN, Bounds(10, 30), Decimal(1))
    rows, tokens = 1000, of.grid.upper
    for high in (0, 0.25, 1):
        k = int(rows * tokens * high)
        found = estimate(of, noisy_of(of, [k, rows * tokens - k]), 0.95)
        assert found.value == pytest.approx(10 + 20 * high, abs=1e-4)
    mirrored = estimate(of, noisy_of(of, [3 * tokens, 997 * tokens]), 0.95)
    other = estimate(of, noisy_of(of, [997 * tokens, 3 * tokens]), 0.95)
    assert mirrored.value - 10 == pytest.approx(30 - other.value)
    assert mirrored.low - 10 == pytest.approx(30 - other.high, abs=1e-4)


def weighted(weights: list[float], noise: list[float]) -> float:
    return math.fsum(w * n for w, n in zip(weights, noise, strict=True))


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([Query.MEAN, Query.VARIANCE]),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
    st.sampled_from([(3, 1), (8, 1), (20, 1), (50, 1), (1000, 1), (1, 40), (2, 30), (50, 30), (50, 500)]),
    st.lists(st.floats(-9, 9), min_size=3, max_size=3),
    st.sampled_from(KINDS),
)
def test_an_interval_holds_the_truth_whenever_the_noise_is_within_its_quantiles(
    query: Query, values: list[float], size: tuple[int, int], noise: list[float], kind: type[Noise]
) -> None:
    """Which is what its confidence rests on, and no matter of chance: also where the noise is at its quantile.

    From an epsilon of some 25 on the number of rows is known, and what noise the cells have in common weighs nothing.
    """
    rows, epsilon = size
    of = plan(query, Bounds(0, 1), Decimal(epsilon))
    tokens, alpha = of.grid.upper, 0.05
    steps = [round(x * tokens) for x in values]
    totals = [Fraction(sum(c.formula.value(k) for k in steps) * rows, len(steps)) for c in of.cells]
    noise = [n * float(of.cells[0].scale) for n in noise[: len(totals)]]
    known = epsilon >= 30

    def most(weights: list[float], part: float) -> float:
        """How far the noise may be moved away from 0 until it is at the quantile of these weights."""
        if known:
            weights, part = [w - math.fsum(weights) / len(weights) for w in weights], part * 0.98
        at = quantile([Term(abs(w), kind(of.cells[0].scale)) for w in weights], alpha * part)
        return at / max(abs(weighted(weights, noise)), 1e-9)

    shares = [float(t / sum(totals)) for t in totals]
    if query is Query.MEAN:
        true = shares[0]
        factor = most([1 - true, -true], 1.0)
    else:
        mean = shares[1] / 2 + shares[2]
        true = shares[2] - mean**2
        of_mean, of_variance = [-mean, 0.5 - mean, 1 - mean], [mean**2, -mean * (1 - mean), (1 - mean) ** 2]
        factor = min(most(of_mean, 0.1), most([w - true for w in of_variance], 0.9))
    if known:
        factor = min(factor, tokens / 2 / max(abs(math.fsum(noise)), 1e-9))
    for near in (0.999, 0.5):
        drawn = [round(t + Fraction(n * factor * near)) for t, n in zip(totals, noise, strict=True)]
        found = estimate(of, noisy_of(of, drawn, kind), 1 - alpha)
        assert found.low - 1e-6 <= true <= found.high + 1e-6


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([Query.MEAN, Query.VARIANCE]),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
    st.sampled_from([(8, 1), (20, 1), (50, 1), (1000, 1), (50, 30)]),
    st.lists(st.floats(-9, 9), min_size=3, max_size=3),
    st.sampled_from(KINDS),
)
@example(Query.VARIANCE, [0.5, 0.75], (50, 1), [0.0, -2.0, -4.0], KINDS[0])  # the mean is off, and not its square
def test_so_does_that_of_separate_cells(
    query: Query, values: list[float], size: tuple[int, int], noise: list[float], kind: type[Noise]
) -> None:
    rows, epsilon = size
    of = separate(query, Bounds(0, 1), Epsilon(epsilon))
    alpha, steps = 0.05, [round((x - of.grid.origin) / of.grid.step) for x in values]
    totals = [Fraction(sum(c.formula.value(k) for k in steps) * rows, len(steps)) for c in of.cells]
    noise = [n * float(c.scale * c.step) for n, c in zip(noise, of.cells, strict=False)]
    count, *sums = [float(t * c.step) for t, c in zip(totals, of.cells, strict=True)]
    mean = sums[0] / count

    if query is Query.MEAN:
        true, forms = mean + of.grid.origin, [([-mean, 1.0], 1.0)]
    else:
        centre = squares_of(of.grid)[0] * of.grid.step**2
        true = sums[1] / count + centre - mean**2
        forms = [([-mean, 1.0, 0.0], 0.1), ([centre + mean**2 - true, -2 * mean, 1.0], 0.9)]
    most = []
    for weights, part in forms:
        terms = [Term(abs(w) * float(c.step), kind(c.scale)) for w, c in zip(weights, of.cells, strict=True)]
        most.append((weights, quantile(terms, alpha * part)))
    factor = min(q / max(abs(weighted(weights, noise)), 1e-9) for weights, q in most)
    for near in (0.999, 0.8, 0.5):
        drawn = [round(n * factor * near / float(c.step)) for n, c in zip(noise, of.cells, strict=True)]
        moved = [n * float(c.step) for n, c in zip(drawn, of.cells, strict=True)]
        if all(abs(weighted(weights, moved)) <= q for weights, q in most):  # a count's integers are whole rows
            of_these = [round(t) + n for t, n in zip(totals, drawn, strict=True)]
            found = estimate(of, noisy_of(of, of_these, kind), 1 - alpha)
            assert found.low - 1e-6 <= true <= found.high + 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE])
def test_noise_that_all_cells_have_in_common_is_seen_by_the_number_of_rows(query: Query, kind: type[Noise]) -> None:
    """All tokens are those of a whole number of rows: at a large epsilon that takes away a part of the noise."""
    of = plan(query, Bounds(0, 1), Decimal(40))
    tokens = of.grid.upper
    exact = [7 * sum(c.formula.value(k) for k in (0, 0, tokens // 2)) for c in of.cells]
    without = estimate(of, noisy_of(of, exact, kind), 0.95)
    common = estimate(of, noisy_of(of, [t + tokens // 10 for t in exact], kind), 0.95)
    assert common == pytest.approx(without, abs=1e-5)
    # where the noise is larger than that of a row, nothing is known of it
    of = plan(query, Bounds(0, 1), Decimal("0.5"))
    moved = [t + of.grid.upper // 10 for t in exact]
    assert estimate(of, noisy_of(of, moved, kind), 0.95) != pytest.approx(without, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_known_rows_make_an_interval_as_narrow_at_a_bound_as_in_the_middle(kind: type[Noise]) -> None:
    """High and low tokens weigh by a half each, wherever the mean lies: what they have in common weighs nothing."""
    of = plan(Query.MEAN, Bounds(0, 1), Decimal(40))
    tokens = of.grid.upper
    half = quantile([Term(0.5, kind(of.cells[0].scale))] * 2, 0.05 * 0.98) / (7 * tokens)
    for high in (0, 1, 4):
        found = estimate(of, noisy_of(of, [high * tokens, (7 - high) * tokens], kind), 0.95)
        assert found.high == pytest.approx(high / 7 + half, rel=1e-3)
        assert found.low == pytest.approx(max(high / 7 - half, 0), rel=1e-3)


def test_the_rows_that_are_expected_are_between_those_that_are_likely() -> None:
    """Half way between two numbers of rows the mean of both, near one of them that one."""
    of = plan(Query.MEAN, Bounds(0, 1), Decimal(15))
    tokens = of.grid.upper

    def value(rows: float, high: float) -> float:
        """The value for noisy totals of so many rows, of which so many rows' tokens more are high than low."""
        drawn = [round((rows + high) / 2 * tokens), round((rows - high) / 2 * tokens)]
        return estimate(of, noisy_of(of, drawn), 0.95).value

    assert value(4, 2) == pytest.approx(0.5 + 1 / 4, abs=1e-6)
    assert value(4.2, 2) == pytest.approx(0.5 + 1 / 4, abs=1e-3)
    assert value(4.5, 2) == pytest.approx(0.5 + 1 / 4.5, abs=1e-6)
    assert value(4.8, 2) == pytest.approx(0.5 + 1 / 5, abs=1e-3)


SHARE = st.floats(0, 1)


@given(SHARE, SHARE, SHARE, SHARE, SHARE)
@example(0.375, 0.625, 0.5, 0.1, 0.5)  # b1 weighs most where the mean is in the middle, which is no end of its piece
@example(0.2, 0.6, 0.5, 0.1, 0.4)  # and what is nearest lies within
def test_all_means_of_a_piece_are_thought_of(one: float, other: float, within: float, v: float, about: float) -> None:
    piece = Range(min(one, other), max(one, other))
    c = piece.low + (piece.high - piece.low) * within
    for weight, span in zip((c * c, -c * (1 - c), (1 - c) ** 2), variance._weights(piece, v), strict=True):
        assert span.low - 1e-12 <= weight - v <= span.high + 1e-12
    assert variance._off(about, piece, -1) - 1e-12 <= (about - c) ** 2 <= variance._off(about, piece, 1) + 1e-12


def test_a_variance_is_the_mean_square_less_the_square_of_the_mean() -> None:
    of = plan(Query.VARIANCE, Bounds(10, 30), Decimal(1))
    rows, tokens = 10**6, of.grid.upper
    for steps in ([0], [tokens], [0, tokens], [0, 0, 0, tokens], [tokens // 4, tokens // 2]):
        values = [sum(c.formula.value(k) for k in steps) * rows for c in of.cells]
        mean = sum(steps) / len(steps) / tokens
        exact = sum((k / tokens - mean) ** 2 for k in steps) / len(steps) * 400
        found = estimate(of, noisy_of(of, values), 0.95)
        assert found.value == pytest.approx(exact, abs=1e-4)
        assert found.low <= exact <= found.high
        assert found.high - found.low < 0.003


def test_a_variance_is_at_most_what_its_mean_allows() -> None:
    """With the mean c of values between 0 and 1 it is at most c·(1 − c)."""
    of = plan(Query.VARIANCE, Bounds(0, 1), Decimal(1))
    b = int(of.cells[0].scale)
    found = estimate(of, noisy_of(of, [12 * b, 0, 0]), 0.95)
    assert 0.1 < found.high < 0.24  # the mean is below 0.4, while the noise of the mean square alone would allow all
    assert found.low == 0


@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE])
@pytest.mark.parametrize("scales", [-1000, 0, 1, 3.5])
def test_where_there_may_be_no_row_the_answer_is_the_whole_range(query: Query, scales: float) -> None:
    """The noise of two cells together is beyond 4.1 scales in 5 % of runs, that of three beyond 5.1."""
    of = plan(query, Bounds(10, 20), Decimal("0.1"))
    total = int(scales * of.cells[0].scale)
    found = estimate(of, noisy_of(of, [total, *[0] * (len(of.cells) - 1)]), 0.95)
    assert (found.low, found.high) == ((10, 20) if query is Query.MEAN else (0, 25))


@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE])
@pytest.mark.parametrize("scales", [-1000, 0, 1, 2.9])
def test_so_it_is_of_separate_cells(query: Query, scales: float) -> None:
    """Whatever the sums are: the noise of the count is beyond 3 scales in 5 % of runs."""
    of = separate(query, Bounds(10, 20), Decimal("0.1"))
    sums = [
        int(far * cell.scale)
        for far, cell in zip((50,) if query is Query.MEAN else (0, 50), of.cells[1:], strict=True)
    ]
    found = estimate(of, noisy_of(of, [int(scales * of.cells[0].scale), *sums]), 0.95)
    assert (found.low, found.high) == ((10, 20) if query is Query.MEAN else (0, 25))


@pytest.mark.parametrize("kind", KINDS)
def test_noise_alone_says_nothing_of_a_mean(kind: type[Noise]) -> None:
    """Where the tokens are lost in the noise a ratio of noises would lie at either bound; the middle errs by less."""
    of = plan(Query.MEAN, Bounds(-1, 1), Decimal("0.01"))
    b = int(of.cells[0].scale)
    assert abs(estimate(of, noisy_of(of, [b // 2, -b // 2], kind), 0.95).value) <= 0.34
    assert estimate(of, noisy_of(of, [0, 0], kind), 0.95).value == pytest.approx(0, abs=1e-6)
    # and where there are some it is the ratio
    assert estimate(of, noisy_of(of, [40 * b, 0], kind), 0.95).value == 1
    assert estimate(of, noisy_of(of, [30 * b, 10 * b], kind), 0.95).value == pytest.approx(0.5, abs=1e-6)


# -- what is possible


@pytest.mark.parametrize(
    ("query", "bounds", "integer", "cut"),
    [
        (Query.COUNT, None, -40, (0, 0, 0)),
        (Query.COUNT, None, 0, (0, 0, 29)),
        (Query.COUNT, None, 5, (5, 0, 34)),
        (Query.COUNT, None, 50, (50, 21, 79)),
        (Query.SUM, Bounds(0, 2.0**24), -(2**31), (0, 0, 0)),
        (Query.SUM, Bounds(5, 2.0**24), 0, (0, 0, None)),
        (Query.SUM, Bounds(-(2.0**24), 0), 2**31, (0, 0, 0)),
        (Query.SUM, Bounds(-(2.0**24), -3), 0, (0, None, 0)),
        (Query.SUM, Bounds(-(2.0**24), 2.0**24), 7, (7, None, None)),
    ],
)
def test_value_and_interval_are_cut_at_what_is_possible(
    query: Query, bounds: Bounds | None, integer: int, cut: tuple[float | None, ...]
) -> None:
    """The cells keep the noisy number, for who wants to compute with it."""
    of = plan(query, bounds, Decimal("0.1"))
    [m] = of.cells
    noise = RoundedLaplace(m.scale)
    found, read = released(of, [Noisy(m, integer, noise)], 0.95, Decimal("0.1"))
    whole = noise.quantile(0.95) * float(m.step)
    expected = (
        cut[0],
        cut[1] if cut[1] is not None else found.value - whole,
        found.high if cut[2] is None else cut[2],
    )
    assert found == pytest.approx(expected, abs=1.01 if query is Query.COUNT else 0)
    if cut[1:] == (None, None):
        assert (found.low, found.high) == (integer - whole, integer + whole)
    assert read["cells"][0]["value"] == integer * float(m.step)


# -- what rounding can do: tables whose every value is rounded as far as it goes, and no noise at all


def without_noise(of: Plan, values: list[tuple[Fraction, int]]) -> Estimate:
    """The noise that the interval allows for is below a rounding: so many rows, at the largest epsilon."""
    grid, totals = of.grid, [0] * len(of.cells)
    for value, times in values:
        k = min(max(round((value - Fraction(grid.origin)) / Fraction(grid.step)), grid.lower), grid.upper)
        totals = [total + times * c.formula.value(k) for total, c in zip(totals, of.cells, strict=True)]
    return estimate(of, noisy_of(of, totals), 0.95)


def moments(values: list[tuple[Fraction, int]]) -> tuple[Fraction, Fraction]:
    n = sum(times for _, times in values)
    mean = sum((value * times for value, times in values), Fraction(0)) / n
    return mean, sum(((value - mean) ** 2 * times for value, times in values), Fraction(0)) / n


MANY = 10**12
NEARLY_HALF = Fraction(2**26 - 1, 2**27)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("bounds", [Bounds(0, 20_000), Bounds(-1, 1), Bounds(-3, 2.0**40), Bounds(10**6, 10**6 + 1)])
def test_the_interval_of_a_mean_holds_the_rounding(bounds: Bounds, recipe: Callable[..., Plan], sign: int) -> None:
    """Every value lies nearly half a step to one side of its integer."""
    of = recipe(Query.MEAN, bounds, Decimal(1000))
    step, origin = Fraction(of.grid.step), Fraction(of.grid.origin)
    values = [(origin + (k + sign * NEARLY_HALF) * step, MANY) for k in (1, 1000, of.grid.upper // 3)]
    true, _ = moments(values)
    found = without_noise(of, values)
    assert Fraction(found.low) <= true <= Fraction(found.high)
    # without the rounding's half step it would not be there
    half = Fraction(of.grid.rounding)
    assert not Fraction(found.low) + half <= true <= Fraction(found.high) - half


def farthest_square(of: Plan, near: int, sign: int) -> int:
    """The integer near this one whose square is rounded farthest down (sign 1) or up (-1)."""
    if of.recipe == SEPARATE:
        centre, shift = squares_of(of.grid)
        unit = 1 << shift
    else:
        centre, unit = 0, of.grid.upper

    def rounded_by(k: int) -> int:
        return sign * (k * k - centre - (k * k - centre + unit // 2) // unit * unit)

    return max(range(near - 60_000, near), key=rounded_by)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("bounds", [Bounds(0, 2.0**25), Bounds(-(2.0**25), 2.0**25), Bounds(-0.999, 0.999)])
def test_the_interval_of_a_variance_holds_both_roundings(
    bounds: Bounds, recipe: Callable[..., Plan], sign: int
) -> None:
    """Half of the values near each bound, each rounded inwards (or outwards), as their squares are."""
    of = recipe(Query.VARIANCE, bounds, Decimal(1000))
    step, grid = Fraction(of.grid.step), of.grid
    k = farthest_square(of, grid.upper, sign)
    far = k + sign * NEARLY_HALF
    near = grid.lower + grid.upper - far
    if of.recipe != SEPARATE:
        near = farthest_square(of, 60_000, sign) - sign * NEARLY_HALF
    values = [(Fraction(grid.origin) + x * step, MANY) for x in (near, far)]
    _, true = moments(values)
    found = without_noise(of, values)
    assert Fraction(found.low) <= true <= Fraction(found.high)
    # neither rounding can be left out
    h, width = Fraction(grid.rounding), Fraction(bounds.upper) - Fraction(bounds.lower)
    of_squares = of.cell(SUM_OF_SQUARES).step / 2 if of.recipe == SEPARATE else grid.upper * step**2 / 2
    for left_out in (width * h + h * h, of_squares):
        assert not Fraction(found.low) + left_out <= true <= Fraction(found.high) - left_out


# -- what a lattice can do: exact probabilities of sums of discrete noise


def masses(noise: Noise) -> dict[int, float]:
    """P(N = k) for every k that matters, by differences of the tails."""
    far = noise.quantile(1 - 1e-15) + 2
    one_side = {k: (noise.tail(k) - noise.tail(k + 1)) / 2 for k in range(1, far)}
    return {0: 1 - noise.tail(1), **one_side, **{-k: p for k, p in one_side.items()}}


def outside(terms: list[Term], t: float) -> float:
    """P(|Σ weight·N| > t), by enumeration."""
    first, second = terms
    far = masses(second.noise)
    inside = 0.0
    for k, p in masses(first.noise).items():
        inside += p * sum(q for j, q in far.items() if abs(first.weight * k + second.weight * j) <= t)
    return 1 - inside


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_hold_on_every_lattice(kind: Callable[[Fraction], Noise]) -> None:
    """Discrete noise crowds at multiples of its weight: Laplace's quantile alone may lie right below one."""
    least = math.inf
    for b in (0.1, 0.4, 1.0, 2.5, 6.0, 20.0):
        for weight, other in ((0.05, 0.3), (0.2, 1.7), (0.5, 0.5), (0.9, 5.0)):
            terms = [Term(1.0, kind(Fraction(b))), Term(weight, kind(Fraction(other)))]
            for alpha in (0.5, 0.1, 0.05, 0.001):
                t = quantile(terms, alpha)
                assert outside(terms, t) <= alpha * (1 + 1e-9)
                least = min(least, alpha - outside(terms, t))
    assert least < 0.01  # and are not simply far too wide


def test_a_quantile_without_its_slack_would_not_hold() -> None:
    """That the test above can fail: Laplace's own quantile of the same scales, on the same lattices."""
    from dpjobs.interval import laplace_quantile

    for kind in KINDS:
        terms = [Term(1.0, kind(Fraction(2.5))), Term(0.05, kind(Fraction(0.3)))]
        bare = {a: laplace_quantile([term.weight * term.noise.b for term in terms], a) for a in (0.5, 0.3, 0.1, 0.05)}
        assert any(outside(terms, t) > alpha for alpha, t in bare.items())
