"""From a specification to its plans: what they cost, and what is too little."""

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from dpjobs import bounds as private_bounds
from dpjobs.answers import check_epsilon, histogram_plan, plan_for, release_of, smallest_epsilon, totals_plan
from dpjobs.draws import Draws
from dpjobs.engines import ENGINES
from dpjobs.engines.base import Noisy
from dpjobs.epsilon import LEAST, Epsilon
from dpjobs.errors import InputError
from dpjobs.ledger.base import HISTOGRAM, TOTALS
from dpjobs.plan import SEPARATE, TOKENS
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.statistics import STATISTICS

BOUNDS = Bounds(-3, 10)


def spec(
    engine: str, query: Query, epsilon: Decimal, bounds: Bounds | None, share: str = "0.1", check: str = "0"
) -> JobSpec:
    shares = {"bounds_share": Decimal(share), "check_share": Decimal(check)}
    return JobSpec("r", "d", engine, query, "x", PrivacyBudget(epsilon), "/t.csv", "csv", bounds, **shares)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("query", Query)
def test_every_cell_gets_its_smallest_share_or_the_run_is_refused(engine: str, query: Query) -> None:
    bounds = None if query is Query.COUNT else BOUNDS
    least = smallest_epsilon(spec(engine, query, Decimal(1), bounds))
    check_epsilon(spec(engine, query, least, bounds))
    assert all(cell.epsilon >= LEAST for cell in plan_for(engine, query, "x", bounds, least).live)
    parts = {Query.MEAN: 2, Query.VARIANCE: 3}.get(query, 1) if engine == "tumult" else 1
    assert least == LEAST * parts
    if parts > 1:
        said = rf"^epsilon is too small for {query.value} by .*at least 0\.00000{parts} "
        with pytest.raises(InputError, match=said):
            check_epsilon(spec(engine, query, least - LEAST / 1000, bounds))


def test_so_does_the_search_for_bounds() -> None:
    check_epsilon(spec("pipelinedp", Query.SUM, Decimal("0.00001"), None))
    with pytest.raises(InputError, match=r"at least 0\.00001 "):
        check_epsilon(spec("pipelinedp", Query.SUM, Decimal("0.000009"), None))
    with pytest.raises(InputError, match=r"at least 0\.0003 "):
        check_epsilon(spec("tumult", Query.VARIANCE, Decimal("0.0001"), None, "0.99"))


def test_what_is_clamped_is_told_whatever_epsilon_is() -> None:
    """The answer's share is LEAST or more; the other may be less, but has to be a billionth."""
    least = smallest_epsilon(spec("opendp", Query.SUM, Decimal(1), BOUNDS, check="0.05"))
    assert least == Decimal("0.000001053")
    assert spec("opendp", Query.SUM, least, BOUNDS, check="0.05").check_budget() == Decimal("0.000000052")
    least = smallest_epsilon(spec("opendp", Query.SUM, Decimal(1), BOUNDS, check="0.0001"))
    assert spec("opendp", Query.SUM, least, BOUNDS, check="0.0001").check_budget() == Decimal("0.000000001")
    assert smallest_epsilon(spec("opendp", Query.MEAN, Decimal(1), None, check="0.5")) == Decimal("0.00001")


def test_an_engine_that_accounts_by_itself_gets_separate_cells_and_the_others_tokens() -> None:
    for engine in ENGINES:
        plan = plan_for(engine, Query.VARIANCE, "x", BOUNDS, Epsilon(1))
        assert plan.recipe == (SEPARATE if engine == "tumult" else TOKENS)
        shares = {cell.epsilon for cell in plan.cells}
        assert shares == ({Decimal("0.333333333")} if engine == "tumult" else {Decimal(1)})


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999999])
def test_the_interval_is_of_the_confidence_that_was_asked(confidence: float) -> None:
    """Not only the number beside it: who asks for 0.999999 may rest a decision on it."""
    asked = replace(spec("opendp", Query.SUM, Decimal(1), BOUNDS), confidence=confidence)
    plan = totals_plan(asked, {})
    noisy = [Noisy(cell, 10**10, ENGINES["opendp"].noise(cell.scale)) for cell in plan.cells]
    draws = {TOTALS: Draws(tuple(noisy), "1", "duckdb", "DuckDB 2").to_json(plan)}
    expected = STATISTICS[Query.SUM].estimate(plan, noisy[:1], confidence)
    told = json.loads(release_of(asked, draws))
    assert (told["value"], *told["interval"]) == pytest.approx(expected)
    assert told["confidence"] == confidence


def test_a_release_says_how_sure_its_bounds_are() -> None:
    asked = spec("opendp", Query.SUM, Decimal(1), None)
    plan = histogram_plan(asked)
    noisy = [Noisy(cell, 10**6, ENGINES["opendp"].noise(cell.scale)) for cell in plan.cells]
    draws = {HISTOGRAM: Draws(tuple(noisy), "1", "duckdb", "DuckDB 2").to_json(plan)}
    plan = totals_plan(asked, draws)
    noisy = [Noisy(cell, 5, ENGINES["opendp"].noise(cell.scale)) for cell in plan.cells]
    draws[TOTALS] = Draws(tuple(noisy), "1", "duckdb", "DuckDB 2").to_json(plan)
    told = json.loads(release_of(asked, draws))["bounds"]
    assert (told["threshold"], told["beta"]) == private_bounds.threshold(
        ENGINES["opendp"].noise(Fraction(10)), 193, private_bounds.BETA
    )
    assert (told["lower"], told["upper"], told["source"], told["epsilon"]) == (-(2**65), 2**65, "private", 0.1)
    assert (told["noise"], told["scale"]) == ("two-sided geometric", 10)
