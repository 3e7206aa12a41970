"""Glue's and EMR's words: the article's names work, Glue's own are ignored, a typo is not."""

import re
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpjobs.errors import InputError
from dpjobs.platforms.emr import parse as parse_emr
from dpjobs.platforms.glue import parse as parse_glue
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query

GLUE = [
    "--column_name",
    "TotalPop",
    "--epsilon",
    "0.1",
    "--s3_file",
    "s3://bucket/k.csv",
    "--query",
    "Mean",
    "--source_id",
    "s",
]


def test_glue_takes_the_articles_arguments_and_ignores_glues_own() -> None:
    own = [
        "--JOB_NAME",
        "n",
        "--JOB_ID",
        "j",
        "--TempDir",
        "s3://t/",
        "--enable-job-insights",
        "true",
        "--job-bookmark-option",
        "x",
    ]
    arguments = parse_glue([*own, *GLUE, "--JOB_RUN_ID", "jr_1_attempt_2", "--lower", "-1e3", "--upper", "-.5"])
    request = arguments.request
    assert request.query is Query.MEAN
    assert request.budget.epsilon == Decimal("0.1")
    assert (request.column, request.uri, request.bounds) == ("TotalPop", "s3://bucket/k.csv", Bounds(-1000, -0.5))
    assert arguments.platform_run_id == "jr_1"


def test_glue_takes_the_file_by_its_other_name() -> None:
    words = [w if w != "--s3_file" else "--s3_file_path" for w in GLUE]
    assert parse_glue(words).request.uri == "s3://bucket/k.csv"


@pytest.mark.parametrize("short", [True, False])
def test_emr_short_and_long(short: bool) -> None:
    names = "-c -e -i -f -q" if short else "--column_name --epsilon --source_id --s3_file --query"
    words = [w for pair in zip(names.split(), ["c", "2", "s", "s3://bucket/t", "count"], strict=True) for w in pair]
    bounds = ["--lower=-5", "--upper", "5"]
    with pytest.raises(InputError, match="bounds for a COUNT, which counts every row"):
        parse_emr([*words, *bounds])
    arguments = parse_emr([*(w if w != "count" else "sum" for w in words), *bounds, "--run-id", "r"])
    request = arguments.request
    assert (request.column, request.uri, request.query, arguments.run_id) == ("c", "s3://bucket/t", Query.SUM, "r")
    assert request.bounds == Bounds(-5, 5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lowre", "1"], "--lower"),
        (["--epsilonn", "1"], "--epsilon"),
        (["--lower", "1"], "only one bound"),
        (["--epsilon"], "argument without a value"),
    ],
)
def test_glue_refuses_typos(words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_glue([*GLUE, *words])


def test_an_empty_run_id_of_glue_is_refused() -> None:
    """Else a run would get one of its own, and Glue's retry another."""
    with pytest.raises(InputError, match="an empty --JOB_RUN_ID"):
        parse_glue([*GLUE, "--JOB_RUN_ID="])


@pytest.mark.parametrize(
    "words",
    [
        ["--dataset=other"],
        ["--ledger", "/tmp/mine", "--dataset", "other"],
        ["--job-language", "--dataset=other"],
        ["--file", "s3://bucket/other.csv"],
        ["--run_id", "a", "--run-id", "b"],
    ],
)
def test_what_is_pinned_cannot_be_given_again(words: list[str]) -> None:
    """Glue merges arguments by their names alone, and to argparse the last one would count."""
    for line in ([*GLUE, "--dataset", "by-address", *words], [*words, *GLUE, "--dataset", "by-address"]):
        with pytest.raises(InputError, match=r"argument given twice: given .*; allowed: each argument once"):
            parse_glue(line)
    with pytest.raises(InputError, match="argument given twice"):
        parse_emr([*GLUE, "-c", "another"])


def test_a_data_set_by_its_address() -> None:
    for parse in (parse_glue, parse_emr):
        for words, by_address, dataset in (
            ([], False, "s3://bucket/k.csv"),
            (["--dataset", "by-address"], True, "s3://bucket/k.csv"),
            (["--dataset", "By-Address"], False, "By-Address"),
        ):
            arguments = parse([*GLUE, *words])
            assert (arguments.by_address, arguments.request.dataset) == (by_address, dataset)


def test_emr_refuses_what_it_does_not_know() -> None:
    with pytest.raises(InputError, match="unrecognized arguments: --x"):
        parse_emr(["-c", "c", "-e", "1", "-f", "f", "-q", "SUM", "--x"])
    for shortened in (["--run", "r"], ["--low=1"], ["--data", "d"]):
        with pytest.raises(InputError, match="unrecognized arguments"):
            parse_emr(["-c", "c", "-e", "1", "-f", "f", "-q", "SUM", *shortened])
    with pytest.raises(InputError, match="required: -e"):
        parse_emr(["-c", "c", "-f", "f", "-q", "SUM"])


PINNED = {
    "--ledger": "arn:aws:dynamodb:us-east-1:111122223333:table/ledger",
    "--dataset": "by-address",
    "--releases": "s3://bucket/releases/",
}
NAMES = ["--ledger", "--dataset", "--releases", "--JOB_RUN_ID", "--run_id", "--lower", "--file", "--format"]
HOSTILE = st.one_of(
    st.sampled_from([*NAMES, "--", "-", "", "--y", "-c", "--ledge", "--JOB_NAME"]),
    st.builds(lambda name, value: f"{name}={value}", st.sampled_from(NAMES), st.sampled_from(["", "x", "--ledger"])),
    st.text(max_size=5),
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(HOSTILE.filter(lambda key: key not in PINNED), HOSTILE), max_size=4),
    st.randoms(use_true_random=False),
)
def test_nothing_that_a_starter_writes_moves_what_is_pinned(pairs: list[tuple[str, str]], random: Random) -> None:
    """Glue passes names and values of a run and of the job as one line of words, in an order of its own."""
    honest = [(GLUE[i], GLUE[i + 1]) for i in range(0, len(GLUE), 2)]
    line = [*honest, *PINNED.items(), ("--JOB_RUN_ID", "jr_1"), *pairs]
    random.shuffle(line)
    try:
        found = parse_glue([word for pair in line for word in pair])
    except InputError:
        return
    assert (found.ledger, found.by_address, found.releases) == (PINNED["--ledger"], True, PINNED["--releases"])
    assert found.request.dataset == found.request.address
    assert found.platform_run_id == "jr_1"


def test_an_unknown_argument_cannot_swallow_a_pinned_one() -> None:
    """As an attacker found: "--JOB_RUN_ID", the value of a name that nobody knows, took "--ledger" for its value."""
    with pytest.raises(InputError, match="without a value"):
        parse_glue([*GLUE, "--y", "--JOB_RUN_ID", "--ledger", PINNED["--ledger"]])


@pytest.mark.parametrize("column", ["", "*"])
def test_a_count_of_rows_where_the_job_has_a_column_by_default(column: str) -> None:
    words = [w if w not in ("TotalPop", "Mean") else {"TotalPop": column, "Mean": "COUNT"}[w] for w in GLUE]
    assert parse_glue(words).request.column is None


@pytest.mark.parametrize(
    ("query", "bounds", "told"),
    [("mean", ["--lower", "-1", "--upper", "5"], Bounds(-1, 5)), ("sum", [], None), ("count", [], None)],
)
def test_the_specification_says_what_the_words_said(query: str, bounds: list[str], told: Bounds | None) -> None:
    """A COUNT's column, too: without it all rows would be counted."""
    words = [w if w != "Mean" else query for w in GLUE]
    words = [w if w != "s3://bucket/k.csv" else "S3A://bucket//k.csv" for w in words]
    specs = parse_glue([*words, *bounds, "--dataset", "census"]).request.jobs({"tumult": "run-1"}, None)
    asked = (Query.parse(query), "TotalPop", PrivacyBudget(Decimal("0.1")))
    assert specs == [JobSpec("run-1", "census", "tumult", *asked, "s3a://bucket//k.csv", "csv", told)]


@pytest.mark.parametrize(
    ("words", "fallback", "run_id"),
    [
        (["--run_id", "mine", "--JOB_RUN_ID", "jr_1"], "application_1", "mine"),
        (["--JOB_RUN_ID", "jr_1_attempt_3"], "application_1", "jr_1"),
        ([], "application_1", "application_1"),
        ([], None, "run-"),
    ],
)
def test_which_run_id_counts(words: list[str], fallback: str | None, run_id: str) -> None:
    """Who gives one has their release again for nothing; Glue's own is another each time they ask."""
    found = parse_glue([*GLUE, *words]).run_id_or(fallback)
    assert found == run_id or (run_id == "run-" and re.fullmatch("run-[0-9a-f]{32}", found))


@pytest.mark.parametrize("parse", [parse_glue, parse_emr])
def test_an_engine_and_whether_one_may_be_unhardened(parse: Any) -> None:
    words = ["--query", "COUNT", "--epsilon", "1", "--file", "s3://bucket/t.csv"]
    assert (parse(words).engine, parse(words).unhardened) == (None, False)
    named = parse([*words, "--engine", "opendp", "--unhardened", "no"])
    assert (named.engine, named.unhardened) == ("opendp", False)
    assert parse([*words, "--unhardened", "yes"]).unhardened
    for twice in ("--engine", "--unhardened"):  # what the job's owner has pinned has no other beside it
        with pytest.raises(InputError, match="argument given twice"):
            parse([*words, twice, "no", twice, "yes"])
    with pytest.raises(InputError, match="--unhardened: given 'true'; allowed: yes or no"):
        parse([*words, "--unhardened", "true"])
