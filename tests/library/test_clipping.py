"""The warning about bounds found privately: it stands where what noise can hide matters, and only there."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpjobs.answers import plan_for
from dpjobs.clipping import farther, hidden, none_found, unseen, wide
from dpjobs.epsilon import Epsilon
from dpjobs.left_out import Share
from dpjobs.plan import Rows
from dpjobs.query import Bounds, Query
from dpjobs.statistics.base import Estimate, Range

MEAN = Query.MEAN
HIDDEN = 40 * math.log(20)
"""120 rows: how far noise of scale 40 reaches in 95 % of runs, which is epsilon 0.5 with a check on 5 % of it."""


def warned(query: Query, bounds: Bounds, value: float, half: float, rows: float | None, numbers: float) -> list[str]:
    answer = Estimate(value, value - half, value + half)
    return unseen(query, bounds, value, rows, rows, numbers) + wide(query, answer, Range(-math.inf, math.inf))


def test_counties_are_warned_of() -> None:
    """47 of 3,220 rows held 41 % of the sum, and a noisy count could not see them."""
    (sentence,) = warned(MEAN, Bounds(0, 2.0**18), 59_530, 612, HIDDEN, 3220)
    assert "up to 120 rows above 262,144 or 120 rows below 0" in sentence
    assert "off by 16 %" in sentence  # 120 · 262,144 / 3,220 = 9,756 of 59,530
    assert "`--lower` and `--upper`" in sentence


def test_census_tracts_are_not() -> None:
    """A warning that stands for each table says nothing."""
    assert warned(MEAN, Bounds(0, 2.0**15), 4_384, 4, HIDDEN, 74_001) == []
    assert warned(Query.SUM, Bounds(0, 2.0**15), 4_384 * 74_001, 230_000, HIDDEN, 74_001) == []


@pytest.mark.parametrize(("query", "value"), [(MEAN, 4.0), (Query.SUM, 4_000.0), (Query.VARIANCE, 4.0)])
def test_it_stands_from_five_percent_on(query: Query, value: float) -> None:
    bounds = Bounds(-4, 4)
    rows = 0.05 * value / farther(query, bounds, 1000)
    assert warned(query, bounds, value, 0, rows * 0.999, 1000) == []
    assert len(warned(query, bounds, value, 0, rows * 1.001, 1000)) == 1
    assert len(warned(query, bounds, -value, 0, rows * 1.001, 1000)) == 1


@pytest.mark.parametrize("far", [8.0, 0.5])
def test_farther_is_what_a_row_moves(far: float) -> None:
    """By plain arithmetic: 999 rows at 0 and one at the bound, which lies one range farther out in truth."""
    bounds, rows = Bounds(0, far), 1000
    mean, square = (far / rows, far * far / rows), (far * far / rows, 4 * far * far / rows)
    assert farther(Query.SUM, bounds, rows) == far
    assert farther(MEAN, bounds, rows) == pytest.approx(2 * far / rows - mean[0])
    assert farther(Query.VARIANCE, bounds, rows) == pytest.approx(square[1] - square[0])


def test_each_side_is_named_where_it_matters() -> None:
    def told(below: float, above: float) -> str:
        return unseen(MEAN, Bounds(-64, 64), 10, below, above, 1000)[0]

    assert "up to 20 rows below -64: " in told(20.0, 3.0)
    assert "up to 20 rows above 64: " in told(3.0, 20.0)
    both = told(30.0, 20.0)
    assert "up to 20 rows above 64 or 30 rows below -64: " in both
    assert "off by 38 %" in both  # 30 · 128 / 1,000 = 3.84 of 10


def test_what_was_checked_is_held_against_its_bound_as_far_as_noise_could_hide_it() -> None:
    plan = plan_for("opendp", MEAN, "x", Bounds(-64, 64), Epsilon(1))
    sides = [Share(Rows.BELOW, 1.0, 2.0, 0.0, of=1000.0), Share(Rows.ABOVE, 15.0, 5.0, 0.0, of=1000.0)]
    (sentence,) = hidden(plan, Estimate(10, 10, 10), sides)
    assert "up to 20 rows above 64: " in sentence
    assert "off by 26 %" in sentence  # 20 · 128 / 1,000 = 2.56 of 10
    sides = [Share(Rows.BELOW, 15.0, 5.0, 0.0, of=1000.0), Share(Rows.ABOVE, 1.0, 2.0, 0.0, of=1000.0)]
    (sentence,) = hidden(plan, Estimate(10, 10, 10), sides)
    assert "up to 20 rows below -64: " in sentence


def test_a_wide_interval_is_told() -> None:
    possible = Range(0, 64)
    (sentence,) = wide(MEAN, Estimate(10, 9.4, 10), possible)
    assert "the noise is ± 6 % of the answer: narrower bounds (`--lower`, `--upper`), more epsilon" in sentence
    assert wide(MEAN, Estimate(10, 9.6, 10.4), possible) == []
    (sentence,) = wide(Query.COUNT, Estimate(10, 0, 20), Range(0, math.inf))
    assert sentence == "the noise is ± 100 % or more of the answer: more epsilon or more rows make it less"


def test_an_interval_of_all_that_is_possible_is_no_answer() -> None:
    (sentence,) = wide(MEAN, Estimate(10, 0, 64), Range(0, 64))
    assert "this answer says nothing of the table" in sentence


def test_bounds_that_were_not_found_are_not_said_to_be() -> None:
    sentence = none_found(Bounds(-(2.0**20), 2.0**20), "0.01")
    assert "no bounds could be found for epsilon 0.01" in sentence
    assert "-1,048,576 to 1,048,576 was used, which has nothing to do with the table" in sentence


@pytest.mark.parametrize(("bounds", "rows"), [(Bounds(0, 0), 0.0), (Bounds(0, 8), None)])
def test_where_nothing_is_known_it_stands(bounds: Bounds, rows: float | None) -> None:
    """One value alone was seen, or nothing was counted (`--check-share 0`)."""
    assert len(warned(MEAN, bounds, 1.0, 0, rows, 10**9)) == 1


SIZES = st.floats(-(2.0**100), 2.0**100)


@given(
    query=st.sampled_from([MEAN, Query.SUM, Query.VARIANCE]),
    ends=st.tuples(SIZES, SIZES).map(sorted),
    answer=st.lists(SIZES, min_size=3, max_size=3).map(sorted),
    rows=st.none() | st.floats(0, 2.0**63),
    numbers=st.floats(-(2.0**63), 2.0**63),
)
def test_it_never_raises_and_is_one_line(query, ends, answer, rows, numbers) -> None:
    low, value, high = answer
    sentences = unseen(query, Bounds(*ends), value, rows, rows, numbers)
    for sentence in [*sentences, *wide(query, Estimate(value, low, high), Range(*ends))]:
        assert sentence.isprintable()
        assert "nan" not in sentence
        assert "inf" not in sentence
