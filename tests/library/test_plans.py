"""Plans: what follows from bounds and epsilon alone, in exact arithmetic. No row hands out more than its tokens."""

import math
import sqlite3
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dpjobs import bounds as private_bounds
from dpjobs.engines.base import at_most
from dpjobs.epsilon import LEAST, Epsilon
from dpjobs.formula import K, of
from dpjobs.left_out import with_checks
from dpjobs.plan import (
    LARGEST_SCALE,
    SEPARATE,
    TOKENS,
    WIDTH,
    Cell,
    Grid,
    Plan,
    is_possible,
    nearest,
    shares,
    smallest_step,
    tokens_grid,
)
from dpjobs.query import Bounds, Query
from library.plans import plan

finite = st.floats(-(2.0**100), 2.0**100, allow_nan=False)
bounds = st.builds(lambda a, b: Bounds(min(a, b), max(a, b)), finite, finite)
epsilons = st.one_of(
    st.sampled_from(["0.000001", "0.000015259", "0.01", "1", "1000"]).map(Epsilon),
    st.integers(1_000, 10**12).map(lambda billionths: Epsilon.of_billionths(billionths)),
)
SHARED = [Query.MEAN, Query.VARIANCE]
BOUNDED = [Query.SUM, *SHARED]


def steps_of(grid: Grid, x: float | Fraction) -> int:
    """The steps of a number, by the definition of the grid."""
    return min(max(round((Fraction(x) - Fraction(grid.origin)) / Fraction(grid.step)), grid.lower), grid.upper)


def given_by(of: Plan, k: int) -> list[int]:
    """What a row of k steps gives to each cell."""
    return [cell.formula.value(k) for cell in of.cells]


# -- the grid


@given(bounds, st.sampled_from(BOUNDED), epsilons)
@example(Bounds(10.0**12, 10.0**12 + 1), Query.VARIANCE, Decimal(1))
@example(Bounds(2.0**99, math.nextafter(2.0**99, math.inf)), Query.MEAN, Decimal(1))
@example(Bounds(-(2.0**100), 2.0**100), Query.VARIANCE, Decimal(1))
@example(Bounds(5e-324, 5e-324), Query.SUM, Decimal(1))
@example(Bounds(0.0, 5e-324), Query.VARIANCE, Decimal(1))
@example(Bounds(0.0, 2.0**-210), Query.VARIANCE, Decimal(1))
@example(Bounds(7.0, 7.0), Query.MEAN, Decimal(1))
def test_steps_fit_24_bits_and_rounding_is_as_said(limits: Bounds, query: Query, epsilon: Decimal) -> None:
    of = plan(query, limits, epsilon)
    grid = of.grid
    assert grid is not None
    assert math.frexp(grid.step)[0] == 0.5  # a power of two
    assert grid.step >= 2.0**-200  # so that its square is an ordinary double
    assert all(cell.sensitivity <= WIDTH for cell in of.cells)
    assert all(abs(end) <= WIDTH for end in (grid.lower, grid.upper))
    assert Fraction(grid.origin) % Fraction(grid.step) == 0
    for x in (limits.lower, limits.upper, (limits.lower / 2 + limits.upper / 2)):
        x = min(max(x, limits.lower), limits.upper)
        off = abs(Fraction(grid.origin) + steps_of(grid, x) * Fraction(grid.step) - Fraction(x))
        assert off <= Fraction(of.rounding_per_row)
    if grid.step > 2.0**-199 and of.query is Query.SUM:
        most = min(WIDTH, int(LARGEST_SCALE * Fraction(epsilon)))
        assert max(abs(limits.lower), abs(limits.upper)) > grid.step / 2 * most  # the smallest step that fits


@pytest.mark.parametrize("query", BOUNDED)
@pytest.mark.parametrize("cell", ["36028797018963971", "36028797018963980.5", "36028797018964029"])
def test_rounding_holds_what_is_lost_when_a_cell_is_read(query: Query, cell: str) -> None:
    """Beyond 2⁵³ doubles lie further apart than the steps of narrow bounds: a cell is off before it is measured."""
    of = plan(query, Bounds(2.0**55, 2.0**55 + 64), Decimal(1))
    grid = of.grid
    off = abs(Fraction(grid.origin) + steps_of(grid, float(cell)) * Fraction(grid.step) - Fraction(cell))
    assert 1 < off <= Fraction(of.rounding_per_row)


@given(bounds, epsilons)
@example(Bounds(0, 1), LEAST)
@example(Bounds(0.5, 1_099_511.5), LEAST)  # 2⁴⁰ · 10⁻⁶ steps, and half a one that is rounded up
@example(Bounds(0, 2**24 - 1), Decimal("0.015258790"))  # the largest scale that 2²⁴ tokens may have, nearly
def test_no_noise_on_shared_tokens_makes_pydp_round(limits: Bounds, epsilon: Decimal) -> None:
    """At a scale of up to 2⁴⁰ its grid is that of whole numbers; it reckons with a double not above epsilon."""
    grid = tokens_grid(limits, epsilon)
    assert (grid.lower, grid.upper) == (0, min(grid.upper, WIDTH))
    assert Fraction(grid.upper) <= LARGEST_SCALE * Fraction(at_most(epsilon))


@pytest.mark.parametrize("epsilon", [LEAST, Decimal("0.000002"), Decimal("0.0001"), Decimal("0.015")])
@pytest.mark.parametrize("query", SHARED)
def test_pydp_takes_the_smallest_epsilons(epsilon: Decimal, query: Query) -> None:
    from dpjobs.engines import load

    load("pipelinedp").check(plan(query, Bounds(-3, 1000), epsilon))  # which refuses a grid above 1 for a vector


@pytest.mark.parametrize("epsilon", [LEAST, Decimal("0.000002"), Decimal("0.0001"), Decimal("0.015")])
def test_so_it_does_of_a_sum_whose_tokens_left_out_rows_share(epsilon: Decimal) -> None:
    from dpjobs.engines import load

    sum_ = plan(Query.SUM, Bounds(-3, 1000), epsilon)
    load("pipelinedp").check(with_checks(sum_, Epsilon(epsilon), Epsilon(0), has_lines=True))


@given(bounds, epsilons)
def test_no_token_is_wasted(limits: Bounds, epsilon: Decimal) -> None:
    """The smallest step: half of it would be too many tokens, or bounds are as fine as a double can say them."""
    grid = tokens_grid(limits, epsilon)
    most = min(WIDTH, int(LARGEST_SCALE * Fraction(epsilon)))
    if grid.step > 2.0**-199:
        finest = math.ulp(max(abs(limits.lower), abs(limits.upper)))
        width = Fraction(limits.upper) - Fraction(limits.lower)
        assert width > Fraction(grid.step) / 2 * (most - 1) or grid.step <= finest


@given(st.fractions(0, 2**100), st.integers(1, WIDTH))
@example(Fraction(2**24), WIDTH)
@example(Fraction(0), 1)
def test_the_smallest_step(largest: Fraction, most: int) -> None:
    step = smallest_step(largest, most)
    assert step * 2**200 in {2**power for power in range(301)}
    assert largest <= step * most
    assert step == Fraction(1, 2**200) or largest > step / 2 * most


def test_halves_go_to_the_even_number() -> None:
    assert [nearest(Fraction(x, 2), Fraction(1)) for x in (-3, -1, 1, 3, 5)] == [-2, 0, 0, 2, 2]


def test_whole_numbers_within_24_bits_are_exact() -> None:
    grid = plan(Query.SUM, Bounds(0, WIDTH), Decimal(1)).grid
    assert (grid.step, grid.lower, grid.upper) == (1, 0, WIDTH)
    grid = plan(Query.MEAN, Bounds(0, WIDTH), Decimal(1)).grid
    assert (grid.step, grid.lower, grid.upper) == (1, 0, WIDTH)


def test_a_63_bit_total_holds_as_many_rows_as_is_said() -> None:
    assert WIDTH * 2**38 < 2**63


# -- tokens: one row moves the vector of totals by at most K in L1


def tokens_plan(query: Query, tokens: int) -> Plan:
    """A plan with so many tokens a row: bounds of that many steps of 1."""
    made = plan(query, Bounds(0, tokens), Decimal(1))
    if made.grid.step == 1:
        assert made.cells[0].sensitivity == tokens
        return made
    # fewer than 2²³: the bounds would have finer steps, so a subnormal width makes the step the smallest there is
    made = plan(query, Bounds(0, tokens * 2.0**-200), Decimal(1))
    assert (made.cells[0].sensitivity, made.grid.step) == (tokens, 2.0**-200)
    return made


@pytest.mark.parametrize("query", SHARED)
def test_every_row_hands_out_exactly_its_tokens_and_never_fewer_than_none(query: Query) -> None:
    """Exhaustively, for every number of tokens up to 200 and every row."""
    for tokens in range(1, 201):
        of = tokens_plan(query, tokens)
        for k in range(tokens + 1):
            gives = given_by(of, k)
            assert min(gives) >= 0
            assert sum(gives) == tokens
            assert all(cell.lower <= g <= cell.upper for cell, g in zip(of.cells, gives, strict=True))


@settings(max_examples=300)
@given(st.sampled_from(SHARED), bounds, epsilons, st.data())
def test_no_row_hands_out_more_whatever_the_bounds(
    query: Query, limits: Bounds, epsilon: Decimal, data: st.DataObject
) -> None:
    of = plan(query, limits, epsilon)
    for k in {0, of.grid.upper, of.grid.upper // 2, data.draw(st.integers(0, of.grid.upper))}:
        gives = given_by(of, k)
        assert min(gives) >= 0
        assert sum(gives) == of.grid.upper == of.cells[0].sensitivity
    assert {(cell.sensitivity, cell.epsilon) for cell in of.cells} == {
        (of.grid.upper, epsilon if of.grid.upper else Decimal(0))
    }


@given(st.integers(2**23, WIDTH), st.integers(0, WIDTH))
def test_the_mean_and_the_mean_square_can_be_read_off(tokens: int, k: int) -> None:
    k = min(k, tokens)
    high, low = given_by(tokens_plan(Query.MEAN, tokens), k)
    assert (high, low) == (k, tokens - k)
    names = [cell.name for cell in tokens_plan(Query.VARIANCE, tokens).cells]
    gives = dict(zip(names, given_by(tokens_plan(Query.VARIANCE, tokens), k), strict=True))
    assert gives["b1"] / 2 + gives["b2"] == k  # exact: b1 is even
    assert abs(gives["b2"] - Fraction(k * k, tokens)) <= Fraction(1, 2)


@pytest.mark.parametrize("limits", [Bounds(0, 100), Bounds(-100, 0), Bounds(-1, 1), Bounds(5, 6)], ids=str)
def test_tokens_cost_epsilon_once(limits: Bounds) -> None:
    for query in Query:
        of = plan(query, limits, Decimal(3))
        assert of.recipe == TOKENS
        assert {cell.epsilon for cell in of.cells} == {Decimal(3)}
        assert of.epsilon == 3
        assert {cell.scale for cell in of.cells} == {Fraction(of.cells[0].sensitivity, 3)}
    apart = tuple(replace(cell, vector=cell.name) for cell in plan(Query.MEAN, limits, Decimal(3)).cells)
    assert Plan(None, None, SEPARATE, apart).epsilon == 6  # which are not shared cost each their own


@pytest.mark.parametrize("query", BOUNDED)
def test_bounds_that_are_one_number_leave_nothing_to_count(query: Query) -> None:
    of = plan(query, Bounds(0, 0), Decimal(1))
    assert of.live == ()
    assert of.epsilon == 0
    assert all(cell.constant and cell.epsilon == 0 for cell in of.cells)
    if query is not Query.SUM:
        assert plan(query, Bounds(5, 5), Decimal(1)).live == ()
    else:
        assert plan(query, Bounds(5, 5), Decimal(1)).live != ()


@pytest.mark.parametrize(("lower", "upper", "largest"), [(-7, 3, 7), (-3, 7, 7), (5, 5, 5), (-9, -4, 9), (0, 0, 0)])
def test_one_row_moves_a_sum_by_its_larger_bound(lower: int, upper: int, largest: int) -> None:
    """Not by the distance of the bounds: a row comes or goes, it does not change."""
    [cell] = plan(Query.SUM, Bounds(lower, upper), Decimal("0.3")).cells
    step = cell.step
    assert cell.sensitivity * step == largest
    assert (cell.lower * step, cell.upper * step) == (lower, upper)
    assert cell.constant == (largest == 0)
    if largest:
        assert cell.scale * step == largest / Fraction("0.3")


def test_each_number_gives_one_token_to_its_bin() -> None:
    of = private_bounds.histogram_plan("x", Decimal("0.1"))
    assert [cell.bin for cell in of.cells] == list(private_bounds.BINS)
    assert len(of.cells) == len({cell.name for cell in of.cells}) == 193
    assert all((c.lower, c.upper, c.sensitivity, c.epsilon) == (0, 1, 1, Decimal("0.1")) for c in of.cells)
    assert of.epsilon == Decimal("0.1")
    assert of.bins
    assert not of.counts
    assert not plan(Query.MEAN, Bounds(0, 1), Decimal(1)).bins


def test_a_query_is_answered_from_these_cells() -> None:
    names = {query: [cell.name for cell in plan(query, Bounds(0, 100), Decimal(3)).cells] for query in Query}
    assert names == {
        Query.COUNT: ["count"],
        Query.SUM: ["sum"],
        Query.MEAN: ["high", "low"],
        Query.VARIANCE: ["b0", "b1", "b2"],
    }
    for query in Query:
        of = plan(query, Bounds(0, 100), Decimal(3))
        assert (of.query, of.counts) == (query, query is Query.COUNT)
        assert (of.grid is None) == (query is Query.COUNT)
        assert {cell.step for cell in of.cells} == {Fraction(of.grid.step) if of.grid else 1}
        assert of.cell(of.cells[-1].name) is of.cells[-1]
    assert plan(Query.SUM, Bounds(10, 20), Decimal(1)).grid.origin == 0
    assert plan(Query.MEAN, Bounds(10, 20), Decimal(1)).grid.origin == 10
    assert plan(Query.COUNT, None, Decimal(1)).rounding_per_row == 0
    assert given_by(plan(Query.COUNT, None, Decimal(1)), 7) == [1]


@pytest.mark.parametrize("query", BOUNDED)
def test_a_plan_without_bounds_is_refused(query: Query) -> None:
    with pytest.raises(ValueError, match=f"^{query.value} needs bounds$"):
        plan(query, None, Decimal(1))


# -- shares, totals


@given(st.integers(3000, 10**12), st.integers(1, 5))
def test_shares_are_even_and_never_exceed_epsilon(billionths: int, live: int) -> None:
    epsilon = Epsilon.of_billionths(billionths)
    share = shares(epsilon, live)
    assert share * live <= epsilon
    assert epsilon - share * live < live * Decimal("0.000000001")
    assert share.as_tuple().exponent >= -9
    assert shares(epsilon, 0) == epsilon


@pytest.mark.parametrize(
    ("query", "totals", "possible"),
    [
        (Query.MEAN, [WIDTH, 0], True),
        (Query.MEAN, [1, WIDTH - 1], True),
        (Query.MEAN, [1, WIDTH], False),  # no whole number of rows
        (Query.MEAN, [WIDTH + 1, -1], False),
        (Query.VARIANCE, [3, 2 * WIDTH - 7, 4], True),
        (Query.VARIANCE, [3, 2 * WIDTH - 7, 5], False),
        (Query.VARIANCE, [-WIDTH, WIDTH, WIDTH], False),
        (Query.SUM, [12345], True),
        (Query.SUM, [-1], False),
        (Query.COUNT, [-1], False),
        (Query.COUNT, [0], True),
    ],
)
def test_which_totals_a_table_can_have(query: Query, totals: list[int], possible: bool) -> None:
    assert is_possible(plan(query, Bounds(0, WIDTH), Decimal(1)), totals) == possible


def test_bins_and_separate_cells_can_have_any_sum() -> None:
    histogram = private_bounds.histogram_plan("x", Decimal(1))
    assert is_possible(histogram, [3] * 193)
    cells = (
        Cell("a", 0, 5, Fraction(1), 5, Decimal(1), K),
        Cell("b", -5, 5, Fraction(1), 5, Decimal(1), K),
    )
    assert is_possible(Plan(Query.MEAN, "x", SEPARATE, cells), [3, -1])
    assert not is_possible(Plan(Query.MEAN, "x", SEPARATE, cells), [-3, -1])


# -- formulas: what a backend reads


def queried(formula: object, ks: list[int]) -> list[int]:
    """The formula's own SQL, computed by a database whose whole numbers have 64 bits."""
    with sqlite3.connect(":memory:") as database:
        database.execute("create table t (k bigint)")
        database.executemany("insert into t values (?)", [(k,) for k in ks])
        rows = database.execute(f"select {formula.sql('k', '/')} from t order by rowid").fetchall()  # noqa: S608
    return [row[0] for row in rows]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SHARED), bounds, epsilons, st.lists(st.integers(0, WIDTH), min_size=1))
def test_sql_says_what_a_formula_means(query: Query, limits: Bounds, epsilon: Decimal, ks: list[int]) -> None:
    made = plan(query, limits, epsilon)
    ks = [min(k, made.grid.upper) for k in [*ks, 0, WIDTH]]
    for cell in made.cells:
        assert queried(cell.formula, ks) == [cell.formula.value(k) for k in ks]


@given(st.sampled_from(SHARED), bounds, epsilons)
def test_nothing_in_between_leaves_63_bits(query: Query, limits: Bounds, epsilon: Decimal) -> None:
    """All magnitudes are added up, so that no order of computing can matter."""
    made = plan(query, limits, epsilon)
    for cell in made.cells:
        assert largest(cell.formula, made.grid.upper) < 2**63


def largest(formula: object, k: int) -> int:
    """An upper bound of every number that computing it can meet."""
    parts = vars(formula)
    if "left" in parts:
        left, right = largest(parts["left"], k), largest(parts["right"], k)
        return left * right if parts["sign"] == "*" else left + right
    if "dividend" in parts:
        return max(largest(parts["dividend"], k), parts["divisor"])
    return abs(parts.get("number", k))


@pytest.mark.parametrize("tokens", [1, 2, 3, 255, WIDTH])
def test_a_formulas_sum_is_that_of_its_parts(tokens: int) -> None:
    for query in SHARED:
        for cell in tokens_plan(query, tokens).cells:
            for k in {0, 1, tokens // 2, tokens}:
                assert sum(times * atom.value(k) for atom, times in cell.formula.linear().items()) == (
                    cell.formula.value(k)
                )


def test_a_formula_divides_nothing_below_0_and_by_nothing_below_1() -> None:
    with pytest.raises(ValueError, match="below 0"):
        ((K - 5) // 2).value(4)
    assert ((K - 5) // 2).value(8) == 1
    for divisor in (0, -1):
        with pytest.raises(ValueError, match="above 0"):
            K // divisor
    assert (3 - K).value(1) == 2
    assert (of(3) * K + 1).value(2) == 7


def test_a_sum_of_numbers_below_0_is_none_above() -> None:
    of = plan(Query.SUM, Bounds(-WIDTH, 0), Decimal(1))
    assert [is_possible(of, [total]) for total in (-1, 0, 1)] == [True, True, False]
