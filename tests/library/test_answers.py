"""From a specification to its plans: what they cost, and what is too little."""

from decimal import Decimal

import pytest

from dpjobs.answers import check_epsilon, plan_for, smallest_epsilon
from dpjobs.engines import ENGINES
from dpjobs.epsilon import LEAST, Epsilon
from dpjobs.errors import InputError
from dpjobs.plan import SEPARATE, TOKENS
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query

BOUNDS = Bounds(-3, 10)


def spec(engine: str, query: Query, epsilon: Decimal, bounds: Bounds | None, share: str = "0.1") -> JobSpec:
    budget = PrivacyBudget(epsilon)
    return JobSpec("r", "d", engine, query, "x", budget, "/t.csv", "csv", bounds, bounds_share=Decimal(share))


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


def test_an_engine_that_accounts_by_itself_gets_separate_cells_and_the_others_tokens() -> None:
    for engine in ENGINES:
        plan = plan_for(engine, Query.VARIANCE, "x", BOUNDS, Epsilon(1))
        assert plan.recipe == (SEPARATE if engine == "tumult" else TOKENS)
        shares = {cell.epsilon for cell in plan.cells}
        assert shares == ({Decimal("0.333333333")} if engine == "tumult" else {Decimal(1)})
