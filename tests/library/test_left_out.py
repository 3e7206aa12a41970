"""What an answer leaves out and clamps: its cells, and what is said of them."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpjobs import left_out
from dpjobs.answers import histogram_plan, plan_for, release_of, totals_plan
from dpjobs.draws import Draws
from dpjobs.engines import ENGINES
from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.ledger.base import HISTOGRAM, TOTALS
from dpjobs.noise import TwoSidedGeometric
from dpjobs.plan import ANSWER, CHECK, LEFT_OUT, SEPARATE, SIDES, Plan, Rows, is_possible
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query

BOUNDS = Bounds(0, 100)
NUMERIC = (Query.SUM, Query.MEAN, Query.VARIANCE)


def spec(query: Query, engine: str = "opendp", share: str = "0.05", format_: str = "csv") -> JobSpec:
    bounds = None if query is Query.COUNT else BOUNDS
    budget = PrivacyBudget(Epsilon(1))
    return JobSpec("r", "d", engine, query, "x", budget, f"/t.{format_}", format_, bounds, check_share=Decimal(share))


def noisy(plan: Plan, rows: dict[Rows, int], numbers: int = 1000) -> list[Noisy]:
    """As if no noise struck: `numbers` rows whose tokens all lie in the first cell, and these others."""
    given = {Rows.NUMBERS: 0, Rows.WITHIN: numbers - rows.get(Rows.BELOW, 0) - rows.get(Rows.ABOVE, 0), **rows}
    values = [cell.upper * given.get(cell.rows, 0) if cell.rows is not Rows.NUMBERS else 0 for cell in plan.cells]
    values[0] = numbers * plan.cells[0].sensitivity
    return [Noisy(c, v, TwoSidedGeometric(c.scale)) for c, v in zip(plan.cells, values, strict=True)]


def release(asked: JobSpec, rows: dict[Rows, int], numbers: int = 1000) -> dict:
    plan = totals_plan(asked, {})
    draws = Draws(tuple(noisy(plan, rows, numbers)), "1", "duckdb", "DuckDB 2")
    return json.loads(release_of(asked, {TOTALS: draws.to_json(plan)}))


@pytest.mark.parametrize("query", NUMERIC)
def test_what_is_left_out_costs_nothing_and_what_is_clamped_its_share(query: Query) -> None:
    for share, check in (("0.05", Decimal("0.05")), ("0", Decimal(0))):
        asked = spec(query, share=share)
        plan = totals_plan(asked, {})
        assert asked.answer_budget() == 1 - check
        assert plan.epsilon == 1
        by_kind = {cell.rows: cell for cell in plan.cells if cell.rows is not Rows.NUMBERS}
        assert set(by_kind) == {*LEFT_OUT, *(SIDES if check else ())}
        answer = plan.cells[0]
        for kind in LEFT_OUT:
            cell = by_kind[kind]
            assert (cell.upper, cell.sensitivity, cell.epsilon) == (answer.sensitivity,) * 2 + (answer.epsilon,)
            assert cell.vector == answer.vector == ANSWER
        assert all(
            (by_kind[k].sensitivity, by_kind[k].epsilon, by_kind[k].vector) == (1, check, CHECK)
            for k in SIDES
            if check
        )


def test_an_engine_that_accounts_by_itself_tells_all_on_the_share_alone() -> None:
    for query in NUMERIC:
        plan = totals_plan(spec(query, "tumult"), {})
        checks = [cell for cell in plan.cells if cell.vector == CHECK]
        assert {cell.rows for cell in checks} == {*LEFT_OUT, *SIDES}
        assert {(cell.sensitivity, cell.epsilon) for cell in checks} == {(1, Decimal("0.05"))}
        assert plan.epsilon <= 1
        assert not any(c.rows is not Rows.NUMBERS for c in totals_plan(spec(query, "tumult", "0"), {}).cells)


def test_a_count_leaves_nothing_out_and_parquet_has_no_lines() -> None:
    assert len(totals_plan(spec(Query.COUNT), {}).cells) == 1
    assert Rows.BROKEN_LINE not in {c.rows for c in totals_plan(spec(Query.SUM, format_="parquet"), {}).cells}
    told = release(spec(Query.COUNT), {})
    assert (told["checks"], told["warnings"]) == (None, [])


def test_bounds_that_leave_one_value_tell_what_is_left_out_too() -> None:
    for query in NUMERIC:
        bare = plan_for("opendp", query, "x", Bounds(5, 5) if query is not Query.SUM else Bounds(0, 0), Epsilon(1))
        plan = left_out.with_checks(bare, Epsilon(1), Epsilon(1), has_lines=True)
        assert {cell.rows for cell in plan.live} == {*LEFT_OUT, *SIDES}
        assert {cell.sensitivity for cell in plan.live} == {1}


@pytest.mark.parametrize("query", NUMERIC)
@pytest.mark.parametrize("engine", ["opendp", "tumult"])
def test_the_release_tells_each_kind_with_its_noise(query: Query, engine: str) -> None:
    rows = {Rows.NO_NUMBER: 3000, Rows.EMPTY: 1000, Rows.BROKEN_LINE: 5000, Rows.BELOW: 250, Rows.ABOVE: 150}
    told = release(spec(query, engine), rows)
    checks = told["checks"]
    assert checks.pop("epsilon") == 0.05
    assert {kind: check["rows"] for kind, check in checks.items()} == {kind.value: n for kind, n in rows.items()}
    percent = {kind: check["percent"] for kind, check in checks.items()}
    assert percent == pytest.approx(
        {"no_number": 75, "empty": 10, "broken_line": 50, "below": 25, "above": 15}, rel=0.1
    )
    half = {kind: check["half_width"] for kind, check in checks.items()}
    own = 20 if engine == "tumult" else 1 / 0.95
    for kind in ("below", "above"):  # ln 20 times the scale
        assert half[kind] == pytest.approx(60, abs=1)
    for kind in ("no_number", "empty", "broken_line"):
        assert half[kind] == pytest.approx(3 * own, rel=0.05)
    said = " | ".join(told["warnings"])
    assert len([w for w in told["warnings"] if "the noise is ±" not in w]) == 5
    for part in (
        "of the numbers (250 ± 60 rows) lie below 0 and count as 0: the answer and its interval are for the",
        "of the numbers (150 ± 60 rows) lie above 100 and count as 100: ",
        f"the {query.value} of the values as they are is " + ("another" if query is Query.VARIANCE else "smaller"),
        "% of the filled cells (3,000 ± ",
        "% of the rows (1,000 ± ",
        "% of the lines (5,000 ± 3 lines)" if engine == "opendp" else "% of the lines (5,000 ± 60 lines)",
        "`dpcloud data import --help`",
    ):
        assert part in said


def test_what_noise_could_have_made_is_no_warning() -> None:
    """At a scale of 20, one of 200 tables without such a row shows 92 and more; of what is left out one of 2,000."""
    for kind, few, many in ((Rows.ABOVE, 85, 100), (Rows.NO_NUMBER, 6, 9)):
        for rows in (few, many):
            told = release(spec(Query.SUM), {kind: rows})
            assert bool(told["warnings"]) is (rows == many)
            assert ("percent" in told["checks"][kind.value]) is (rows == many)


def test_a_column_without_any_number_is_said_to_have_none() -> None:
    told = release(spec(Query.SUM), {Rows.NO_NUMBER: 5000}, numbers=0)
    assert "no filled cell is a number (5,000 ± 3 rows): the answer is noise" in told["warnings"]


@pytest.mark.parametrize("query", [*NUMERIC, Query.COUNT])
def test_an_answer_that_is_mostly_noise_is_said_to_be(query: Query) -> None:
    """Whoever gave the bounds: silence would read as a good answer."""
    for numbers, warned in ((2, True), (100_000, query is Query.VARIANCE)):  # all alike: the variance is 0
        said = [w for w in release(spec(query), {}, numbers)["warnings"] if "noise" in w]
        assert bool(said) is warned


def test_a_percentage_is_one_and_has_no_more_digits_than_its_noise_leaves() -> None:
    [warning] = release(spec(Query.SUM), {Rows.ABOVE: 250})["warnings"]
    assert warning.startswith("about 25 % of the numbers (250 ± 60 rows) lie above 100 and count as 100:")
    assert left_out.Share(Rows.ABOVE, 120.0, 60.0, 1.0, of=100.0).percent == 100
    assert left_out.Share(Rows.ABOVE, -5.0, 60.0, 1.0, of=100.0).percent == 0


def test_a_kind_that_noise_takes_below_0_makes_the_whole_no_smaller() -> None:
    rows = {Rows.NO_NUMBER: 3000, Rows.EMPTY: -2000, Rows.BROKEN_LINE: 5000}
    checks = release(spec(Query.MEAN), rows)["checks"]
    assert checks["broken_line"]["percent"] == pytest.approx(100 * 5000 / 9000, rel=0.01)
    assert "percent" not in checks["empty"]


def test_without_a_share_a_sum_tells_rows_and_no_percentage() -> None:
    told = release(spec(Query.SUM, share="0"), {Rows.NO_NUMBER: 1000})
    assert set(told["checks"]) == {"epsilon", "no_number", "empty", "broken_line"}
    assert "percent" not in told["checks"]["no_number"]
    assert told["warnings"][0].startswith("about 1,000 ± 3 rows of the filled cells are no numbers")
    mean = release(spec(Query.MEAN, share="0"), {Rows.NO_NUMBER: 1000})
    assert mean["checks"]["no_number"]["percent"] == pytest.approx(50)


def test_bounds_that_nobody_found_are_not_said_to_be_found() -> None:
    asked = replace(spec(Query.SUM), bounds=None)
    plan = histogram_plan(asked)
    empty = tuple(Noisy(cell, 0, TwoSidedGeometric(cell.scale)) for cell in plan.cells)
    draws = {HISTOGRAM: Draws(empty, "1", "duckdb", "DuckDB 2").to_json(plan)}
    plan = totals_plan(asked, draws)
    draws[TOTALS] = Draws(tuple(noisy(plan, {})), "1", "duckdb", "DuckDB 2").to_json(plan)
    told = json.loads(release_of(asked, draws))
    assert told["bounds"]["source"] == "fallback"
    assert told["warnings"][0].startswith("no bounds could be found for epsilon 0.1 (too few numbers in the column)")
    assert not any("found privately" in warning for warning in told["warnings"])


@given(
    st.sampled_from(NUMERIC),
    st.sampled_from(["opendp", "tumult"]),
    st.sampled_from(["0", "0.05", "0.9"]),
    st.lists(st.integers(-(2**70), 2**70), min_size=12, max_size=12),
    st.sampled_from([0.5, 0.95, 0.999999]),
)
def test_no_noise_makes_it_fail(query: Query, engine: str, share: str, values: list[int], confidence: float) -> None:
    asked = replace(spec(query, engine, share), confidence=confidence)
    plan = totals_plan(asked, {})
    cells = tuple(Noisy(c, v, ENGINES[engine].noise(c.scale)) for c, v in zip(plan.cells, values, strict=False))
    draws = {TOTALS: Draws(cells, "1", "duckdb", "DuckDB 2").to_json(plan)}
    json.loads(release_of(asked, draws))


def test_totals_that_no_table_can_have() -> None:
    plan = totals_plan(spec(Query.MEAN), {})
    tokens = plan.cells[0].sensitivity
    right = {"high": tokens * 3, "low": tokens, "empty": 2 * tokens, "within": 3, "above": 1}
    totals = [right.get(cell.name, 0) for cell in plan.live]
    assert is_possible(plan, totals)
    for name, off in (("empty", 1), ("within", 1), ("low", 1), ("above", -2)):
        other = [t + off if c.name == name else t for t, c in zip(totals, plan.live, strict=True)]
        assert not is_possible(plan, other), name


def test_the_share_is_checked() -> None:
    for share in ("1", "-0.1", "0.0000000001"):
        with pytest.raises(InputError, match="check share"):
            spec(Query.SUM, share=share)
    both = replace(spec(Query.SUM), bounds=None, bounds_share=Decimal("0.95"), check_share=Decimal("0.04"))
    assert both.answer_budget() == Decimal("0.01")
    with pytest.raises(InputError, match="nothing of epsilon is left for the answer"):
        replace(both, check_share=Decimal("0.05"))


def test_a_run_id_of_before_is_bound_to_what_it_was_and_another_share_is_another_question() -> None:
    """Digests of releases of format 2, which knew no share: the same command gives them again."""
    assert spec(Query.SUM).digest() == "3fcdec7d91406cdd44b7331dd5361baeaac50f7a3f45b8d26022eaff549d43ea"
    assert len({spec(Query.SUM, share=share).digest() for share in ("0.05", "0.1", "0")}) == 3
    assert spec(Query.COUNT, share="0.1").digest() == spec(Query.COUNT).digest()


def test_a_separate_plan_without_checks_is_that_of_format_2() -> None:
    plan = plan_for("tumult", Query.MEAN, "x", BOUNDS, Epsilon(1))
    assert plan.recipe == SEPARATE
    assert left_out.with_checks(plan, Epsilon(1), Epsilon(0), has_lines=True) == plan


@pytest.mark.parametrize(("x", "half", "written"), [
    (15.68, 3.8, "16"), (15.68, 0.4, "15.7"), (89.0, 0.01, "89.00"), (1234.5, 80, "1,230"), (0.0, 0.5, "0.0"),
])  # fmt: skip
def test_numbers_have_no_more_digits_than_their_noise_leaves(x: float, half: float, written: str) -> None:
    assert left_out.rounded(x, half) == written


@pytest.mark.parametrize(("rows", "half", "written"), [
    (-5.0, 120.0, "0 ± 120"), (312.0, 119.0, "310 ± 120"), (3.2, 0.1, "3 ± 1"),
    (123_456.0, 5_432.0, "123,500 ± 5,400"),
])  # fmt: skip
def test_rows_are_told_as_far_as_they_are_known(rows: float, half: float, written: str) -> None:
    assert left_out.plus_minus(rows, half) == written
