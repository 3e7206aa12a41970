"""A question keeps its meaning on its way: from the command line to the words of a script, and back."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpcloud.targets.base import CloudRun, Phase, Question, reason_of
from dpcloud.targets.emr import PHASES as STEP_PHASES
from dpcloud.targets.glue import PHASES as RUN_PHASES
from dpcloud.targets.glue import script_reason
from dpjobs.engines import ENGINES
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.platforms.arguments import BY_ADDRESS, NOT_GIVEN, ROWS
from dpjobs.platforms.emr import parse as parse_step
from dpjobs.platforms.glue import parse as parse_run
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query

URI = "s3://bucket/data/census.csv"
SHARES = st.integers(1, 400_000_000).map(lambda n: Decimal(n) / 10**9)
COLUMNS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="-"), min_size=1, max_size=8
).filter(lambda name: name not in (ROWS, ""))


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    query = draw(st.sampled_from(list(Query)))
    ends = sorted(draw(st.lists(st.floats(-(2.0**100), 2.0**100), min_size=2, max_size=2)))
    given_bounds = query is not Query.COUNT and draw(st.booleans())
    return JobSpec(
        run_id="run-1",
        dataset=URI,
        engine=draw(st.sampled_from(sorted(set(ENGINES) - {"diffprivlib"}))),
        query=query,
        column=draw(COLUMNS) if query is not Query.COUNT or draw(st.booleans()) else None,
        budget=PrivacyBudget(Epsilon.of_billionths(draw(st.integers(1000, 10**12)))),
        uri=URI,
        format="csv",
        bounds=Bounds(*ends) if given_bounds else None,
        bounds_share=draw(SHARES) if query is not Query.COUNT and not given_bounds else Decimal("0.1"),
        check_share=draw(SHARES) if query is not Query.COUNT else Decimal("0.05"),
        confidence=draw(st.floats(0.5, 0.999999)),
    )


def test_what_is_asked_of_another_budget_is_another_question() -> None:
    """Neither the budget's name nor what allows unhardened noise is among the words of Glue's jobs."""
    bounds = Bounds(0, 10)
    spec = JobSpec("run-1", URI, "opendp", Query.MEAN, "x", PrivacyBudget(Epsilon(1)), URI, "csv", bounds)
    question = Question.of(spec)
    assert question.asks_as(Question.of(spec))
    for other in (replace(question, dataset="people"), replace(question, unhardened=True)):
        assert other.words == question.words
        assert not question.asks_as(other)
    assert not replace(question, epsilon="banana").asks_as(question)


@settings(max_examples=300)
@given(specs())
def test_the_script_reads_the_very_question(spec: JobSpec) -> None:
    """The digest that the ledger binds a run id to is the same here, where it is checked, and there."""
    words = Question.of(spec).words
    for parse in (parse_run, parse_step):
        arguments = parse([word for name, value in words.items() for word in (f"--{name}", value)])
        [read] = arguments.request.jobs({arguments.engine or "": arguments.run_id or ""}, None)
        assert (read, read.digest()) == (spec, spec.digest())


@settings(max_examples=300)
@given(specs())
def test_a_question_is_read_back_from_its_run(spec: JobSpec) -> None:
    question = Question.of(spec)
    read = Question.of_words({f"--{name}": word for name, word in question.words.items()})
    assert (read.words, read.digest()) == (question.words, spec.digest())


def test_the_words_are_those_of_the_scripts() -> None:
    from dpcloud.targets import base

    assert (base.NONE, base.ROWS, base.BY_ADDRESS) == (NOT_GIVEN, ROWS, BY_ADDRESS)


def test_the_name_that_glues_jobs_have_fixed_is_no_name_of_the_question() -> None:
    """Where Glue tells what a run has of its job, too, a rerun has to be the same question."""
    spec = JobSpec("r", URI, "opendp", Query.COUNT, None, PrivacyBudget(Epsilon(1)), URI, "csv")
    read = Question.of_words(Question.of(spec).words | {"--dataset": "by-address", "--unhardened": "no"})
    assert (read.dataset, read.unhardened, read.digest()) == (None, False, spec.digest())


@pytest.mark.parametrize("missing", ["--run_id", "--s3_file", "--query", "--epsilon", "--column_name"])
def test_a_run_of_others_does_not_say_what_it_asked(missing: str) -> None:
    spec = JobSpec("r", URI, "opendp", Query.COUNT, None, PrivacyBudget(Epsilon(1)), URI, "csv")
    words = {f"--{name}": word for name, word in Question.of(spec).words.items() if f"--{name}" != missing}
    with pytest.raises(InputError, match=f"was not started by dpcloud: it does not say: given '{missing[2:]}'"):
        Question.of_words(words)


def test_none_stands_for_no_value_where_it_may() -> None:
    honest = ["--column_name", "none", "--epsilon", "1", "--s3_file", URI, "--query", "sum"]
    absent = [
        word for name in ("lower", "upper", "format", "bounds_share", "check_share") for word in (f"--{name}", "none")
    ]
    request = parse_run([*honest, *absent]).request
    assert (request.column, request.bounds, request.format) == ("none", None, None)
    with pytest.raises(InputError, match="only one bound: given 'lower 1'"):
        parse_run([*honest, "--lower", "1", "--upper", "none"])


def test_every_state_has_its_meaning() -> None:
    """Glue's and EMR's own lists: a state that is over must never be waited for, nor a live one given up."""
    over = {"FAILED", "TIMEOUT", "ERROR", "EXPIRED", "INTERRUPTED", "STOPPED", "SUCCEEDED", "COMPLETED", "CANCELLED"}
    for phases in (RUN_PHASES, STEP_PHASES):
        assert not over & {state for state, phase in phases.items() if not phase.over}
    assert {s for s, p in RUN_PHASES.items() if not p.over} == {"STARTING", "WAITING", "RUNNING", "STOPPING"}
    assert {s for s, p in STEP_PHASES.items() if not p.over} == {"PENDING", "RUNNING", "CANCEL_PENDING"}
    assert {p for p in Phase if p.over} == {Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED}


def test_a_reason_is_one_short_line() -> None:
    assert reason_of("a\n b\t\nc" + "x" * 500) == "a b c" + "x" * 395 + "…"
    assert reason_of("a\x1b[31m b\x07c\u202ed") == "a [31m b c d"  # a terminal would obey
    assert reason_of(None) == ""


@pytest.mark.parametrize("kind", ["", "SystemExit: ", "Ended: ", "dpjobs.platforms.glue.Ended: "])
def test_glues_reason_is_the_line_of_the_script(kind: str) -> None:
    assert script_reason(f"{kind}no such column: given 'x'; allowed: y") == "no such column: given 'x'; allowed: y"


def test_what_to_type_next_follows_from_what_is_spent() -> None:
    from dpcloud.cloud.runs import _next
    from dpjobs.ledger import Run

    failed = CloudRun(target="glue", run_id="r", platform_id="j/jr", state="FAILED", phase=Phase.FAILED)
    assert _next("r", failed, None).startswith("mend what the reason names and ask again: nothing is spent; `dpcloud")
    charged = Run("r", URI, Epsilon(1), "digest", "2026-11-26", None, None)
    assert _next("r", failed, charged).endswith("by its one engine, with --run-id r pays no more")
    released = Run("r", URI, Epsilon(1), "digest", "2026-11-26", "2026-11-26", "{}")
    assert _next("r", failed, released) == "`dpcloud result r`"
