"""The margin of `dpcloud plan` is kept in 99 of 100 runs: by runs with the engines' own noise, on the worst tables.

Tables of few values were searched for the worst, which exceed it in 0.7 % of runs; where 1 % do, a test of 500 of
them fails with a probability below 2e-8, and fewer than thirty such tests share the run.
"""

import math

import pytest

from dpcloud.planning import Expected, Question, epsilon_for, expected
from dpjobs.answers import plan_for
from dpjobs.epsilon import Epsilon
from dpjobs.query import DEFAULT_CHECK_SHARE, Bounds, Query
from evidence.drawing import answer, draws_of, steps_of, totals_of

pytestmark = pytest.mark.slow
RUNS = 500
EXPECTED_AT_MOST = 0.01
FALSE_ALARM = 2e-8
BOUNDS = Bounds(0, 100)


def allowed() -> int:
    """The fewest runs above which a share of 1 % is refuted, at that false alarm."""
    tail, k = 1.0, 0
    p = EXPECTED_AT_MOST
    while tail > FALSE_ALARM:
        tail -= math.comb(RUNS, k) * p**k * (1 - p) ** (RUNS - k)
        k += 1
    return k


DRAWS_LIKE = {"tumult": "tumult-core"}  # without its Session
TABLES = {
    "all at a bound": [0],
    "97 of 100 at a bound": [0] * 97 + [100] * 3,  # nothing of the interval is cut away
    "all at a fifth": [20],
    "crowded at both bounds": [0, 0, 0, 100],
}


def exceeding(question: Question, epsilon: Epsilon, table: str, margin: float) -> int:
    """In how many runs half of the interval is wider than planned."""
    answers = epsilon - epsilon.share(DEFAULT_CHECK_SHARE)  # what `run` leaves for it
    of = plan_for(question.engine, question.query, "x", question.bounds, answers)
    totals = totals_of(of, steps_of(of, TABLES[table]), question.rows)
    draw = draws_of(DRAWS_LIKE.get(question.engine, question.engine))
    wide = 0
    for _ in range(RUNS):
        found = answer(of, totals, draw)
        wide += max(found.high - found.value, found.value - found.low) > margin * (1 + 1e-9)
    return wide


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("engine", "query", "rows", "epsilon"),
    [
        ("pipelinedp", Query.MEAN, 100, "0.3"),
        ("pipelinedp", Query.VARIANCE, 1000, "0.03"),
        ("opendp", Query.VARIANCE, 1000, "0.3"),
        ("tumult", Query.MEAN, 100, "1"),
        ("tumult", Query.VARIANCE, 1000, "0.3"),
    ],
)
def test_the_worst_case_is_kept(engine: str, query: Query, rows: int, epsilon: str, table: str) -> None:
    question = Question(engine, query, BOUNDS, rows, 0.95)
    planned = expected(question, Epsilon(epsilon))
    assert planned.worst < (20 if query is Query.MEAN else 2000)  # it says something
    assert exceeding(question, Epsilon(epsilon), table, planned.worst) <= allowed()


@pytest.mark.parametrize("engine", ["pipelinedp", "tumult"])
def test_the_epsilon_for_a_margin_keeps_it(engine: str) -> None:
    question = Question(engine, Query.MEAN, BOUNDS, 150, 0.95)
    epsilon = epsilon_for(10.0, question)
    assert exceeding(question, epsilon, "97 of 100 at a bound", 10.0) <= allowed()


@pytest.mark.parametrize("engine", ["pipelinedp", "tumult"])
def test_without_the_counts_noise_it_would_not_be_kept(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was: a third of these runs have a wider interval than was planned with no noise in the number of rows."""
    import dpcloud.planning

    monkeypatch.setattr(dpcloud.planning, "MARGIN_HOLDS", 1e-9)  # whose quantile is 0
    question = Question(engine, Query.MEAN, BOUNDS, 100, 0.95)
    planned: Expected = expected(question, Epsilon(1))
    wide = exceeding(question, Epsilon(1), "97 of 100 at a bound", planned.worst)
    assert wide > 3 * allowed()  # of about 170


@pytest.mark.parametrize("query", [Query.MEAN, Query.VARIANCE])
def test_where_there_may_be_no_row_the_whole_range_is_planned(query: Query) -> None:
    """Not the half of it that a value in its middle would leave: noise decides where the value lies."""
    question = Question("pipelinedp", query, BOUNDS, 10, 0.95)
    whole = 100 if query is Query.MEAN else 2500
    assert expected(question, Epsilon("0.1")) == (whole, whole)
