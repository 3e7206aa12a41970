"""`dpcloud run --on glue|emr`: asked, started, followed, fetched and printed as on a laptop."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.validate import ParamValidator

from cli.aws.account import PREFIX, TABLE, Aws
from dpcloud.aws import DEFAULT_STACK
from dpcloud.cli import main
from dpcloud.cloud.following import spent_of
from dpjobs.epsilon import Epsilon
from dpjobs.ledger.base import Reservation
from dpjobs.query import PrivacyBudget

QUESTION = (
    "--stack",
    PREFIX,
    "--file",
    TABLE,
    "--query",
    "MEAN",
    "--column",
    "TotalPop",
    "--lower",
    "0",
    "--upper",
    "99",
)


def typed(capfd: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    """What a command prints: its output and what it says beside it."""
    capfd.readouterr()
    if code:
        with pytest.raises(SystemExit) as left:
            main([*words])
        assert left.value.code == code
    else:
        main([*words])
    shown = capfd.readouterr()
    if code:
        assert [line.startswith("dpcloud: ") for line in shown.err.splitlines()].count(True) == 1, shown.err
        assert shown.err.splitlines()[-1].startswith("dpcloud: ")
    return shown.out, shown.err


def run_id_of(said: str) -> str:
    return re.search(r"run-[0-9a-f]{32}", said)[0]


@pytest.mark.parametrize("target", ["glue", "emr"])
def test_a_question_is_answered_there_and_printed_here(
    capfd: pytest.CaptureFixture[str], aws: Aws, target: str
) -> None:
    if target == "emr":
        aws.cluster()
    spent = aws.ledger.balance(TABLE).spent
    shown, said = typed(capfd, "run", "--on", target, *QUESTION, "--epsilon", "1")
    run_id = run_id_of(said)
    assert f"`dpcloud status {run_id} --stack {PREFIX}`" in said
    assert "MEAN of TotalPop" in shown
    assert f"run id {run_id}" in shown
    row = aws.ledger.find(run_id)
    assert row.release is not None
    assert aws.ledger.balance(TABLE).spent == spent + 1
    release = json.loads(row.release)
    assert abs(release["value"] - 49.5) < 2
    # asked again under its id it costs nothing, and nothing is started
    before = len(aws.started)
    again, _ = typed(capfd, "run", "--on", target, *QUESTION, "--epsilon", "1", "--run-id", run_id, "--json")
    assert json.loads(again) == [release]
    assert (len(aws.started), aws.ledger.balance(TABLE).spent) == (before, spent + 1)


def test_the_answer_is_the_same_question_word_by_word(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    """Every option of the question arrives: the release, and the digest that the run id is bound to, say so."""
    options = ("--epsilon", "0.75", "--check-share", "0.2", "--confidence", "0.9", "--engine", "opendp")
    shown, _ = typed(capfd, "run", "--on", "glue", *QUESTION, *options, "--json")
    [release] = json.loads(shown)
    assert release["engine"] == "opendp"
    assert release["confidence"] == 0.9
    assert release["epsilon"] == 0.75
    assert release["checks"]["epsilon"] == 0.15
    assert release["bounds"]["upper"] == 99
    found = ("--stack", PREFIX, "--file", TABLE, "--query", "SUM", "--column", "TotalPop", "--bounds-share", "0.3")
    [release] = json.loads(typed(capfd, "run", "--on", "glue", *found, "--epsilon", "1", "--json")[0])
    assert release["bounds"]["epsilon"] == 0.3
    counted = ("--stack", PREFIX, "--file", TABLE, "--query", "COUNT", "--epsilon", "2", "--json")
    [release] = json.loads(typed(capfd, "run", "--on", "glue", *counted)[0])
    assert release["column"] is None
    assert abs(release["value"] - 2000) < 20


def test_several_engines_go_one_after_another(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    shown, said = typed(
        capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--engine", "pipelinedp,opendp", "--json"
    )
    assert [r["engine"] for r in json.loads(shown)] == ["pipelinedp", "opendp"]
    assert len(aws.started) == 2
    assert len(re.findall("is started on Glue", said)) == 2


def test_without_waiting_its_id_is_printed_and_its_result_fetched_later(
    capfd: pytest.CaptureFixture[str], aws: Aws
) -> None:
    aws.hold.set()
    shown, _ = typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--no-wait")
    run_id = shown.strip()
    assert re.fullmatch(r"run-[0-9a-f]{32}", run_id)
    waiting, _ = typed(capfd, "status", run_id, "--stack", PREFIX)
    assert "glue: STARTING" in waiting
    assert "ledger: nothing is spent yet" in waiting
    assert "no run with a release" in typed(capfd, "result", run_id, "--stack", PREFIX, code=2)[1]
    aws.hold.clear()
    # the same command with its id follows the run that is under way
    shown, _said = typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--run-id", run_id)
    assert len(aws.started) == 1
    told, _ = typed(capfd, "status", run_id, "--stack", PREFIX)
    assert "glue: SUCCEEDED" in told
    assert f"next: `dpcloud result {run_id} --stack {PREFIX}`" in told
    result, _ = typed(capfd, "result", run_id, "--stack", PREFIX, "--json")
    assert json.loads(result) == json.loads(aws.ledger.find(run_id).release)
    assert f"run id {run_id}" in typed(capfd, "result", run_id, "--stack", PREFIX)[0]


@pytest.mark.parametrize("target", ["glue", "emr"])
def test_a_failure_is_one_line_with_its_reason_what_is_spent_and_where_the_log_is(
    capfd: pytest.CaptureFixture[str], aws: Aws, target: str
) -> None:
    if target == "emr":
        aws.cluster()
    aws.fail = "no such column: given 'x'; allowed: a column of the table's header"
    _, said = typed(capfd, "run", "--on", target, *QUESTION, "--epsilon", "0.5", code=3)
    line = said.splitlines()[-1]
    assert line.startswith(
        f"dpcloud: the run is FAILED: {aws.fail}; nothing is spent; "
        "the whole log, for who may read it: `dpcloud logs run-"
    )
    run_id = run_id_of(line)
    assert line.endswith(f" --stack {PREFIX}`")
    told, _ = typed(capfd, "status", run_id, "--stack", PREFIX)
    assert "ledger: nothing is spent\n" in told  # it is over: not "yet"
    assert (
        f"next: mend what the reason names and ask again: nothing is spent; `dpcloud logs {run_id} --stack {PREFIX}`"
        in told
    )
    [first, *_] = json.loads(typed(capfd, "runs", "--stack", PREFIX, "--json")[0])
    assert (first["run_id"], first["dataset"], first["epsilon"]) == (run_id, TABLE, 0)


def test_a_failure_after_the_charge_says_so(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    aws.hold.set()
    run_id = typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--no-wait")[0].strip()

    aws.ledger.reserve([Reservation(run_id, TABLE, PrivacyBudget(Epsilon("0.5")), "d")])
    told, _ = typed(capfd, "status", run_id, "--stack", PREFIX)
    assert "epsilon 0.5 of s3://dp-bucket/data/census.csv is spent; there is no release yet" in told
    assert spent_of(run_id, aws.ledger) == (
        f"its epsilon 0.5 stays spent; the same question, by its one engine, with --run-id {run_id} pays no more"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--file", "census.csv"), "a file of this machine, which Glue does not see: given 'census.csv'; allowed: "),
        (("--epsilon", "2000"), "epsilon"),
        (("--epsilon", "1", "--memory", "2GB"), "--memory on glue: given '2GB'"),
        (("--epsilon", "1", "--engine", "diffprivlib", "--unhardened"), "an engine that the Glue jobs do not run"),
        (("--epsilon", "1", "--dataset", "mine"), "a data set's name on Glue: given 'mine'"),
        (("--epsilon", "1000"), "not enough budget for 's3://dp-bucket/data/census.csv'"),
        (("--epsilon", "1", "--file", "s3://dp-bucket/data/other.csv"), "the data set has no budget"),
        (("--epsilon", "1", "--file", "s3://dp-bucket/data/folder/"), "--format csv or --format parquet"),
        (("--epsilon", "1", "--stack", "none"), "no such stack in this account and region (us-east-1)"),
        (("--epsilon", "1", "--engine", "pipelinedp,opendp", "--no-wait"), "several runs without waiting"),
        (("--epsilon", "0.0000001"), "epsilon"),
        (("--column", "*"), "a column's name that Glue hands on as something else: given '*'"),
        (("--column", ""), "a column's name that Glue hands on as something else: given ''"),
        (("--column", "--ledger"), "a column's name that Glue hands on as something else: given '--ledger'"),
    ],
)
def test_what_cannot_be_asked_starts_nothing(
    capfd: pytest.CaptureFixture[str], aws: Aws, words: tuple[str, ...], said: str
) -> None:
    given = dict(zip(QUESTION[::2], QUESTION[1::2], strict=True))
    flags = [word for word in words if word in ("--unhardened", "--no-wait")]
    rest = [word for word in words if word not in flags]
    given |= {"--epsilon": "1"} | dict(zip(rest[::2], rest[1::2], strict=True))
    line = typed(capfd, "run", "--on", "glue", *(w for pair in given.items() for w in pair), *flags, code=2)[1]
    assert said in line
    assert line.count("\n") == 1
    assert aws.started == []
    assert not list(aws.client("glue").get_job_runs(JobName="dp-pipelinedp")["JobRuns"])


def test_a_refusal_names_the_deployed_budget(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    words = ("run", "--on", "glue", "--file", f"{TABLE}.csv", "--query", "COUNT", "--epsilon", "1")
    line = typed(capfd, *words, "--stack", PREFIX, code=2)[1]
    assert f"`dpcloud budget set --stack {PREFIX}`" in line  # without it, this machine's ledger would be set


@pytest.mark.parametrize("stack", [PREFIX, DEFAULT_STACK])
def test_a_deployment_that_is_named_is_not_charged_on_this_machine(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: str
) -> None:
    monkeypatch.setenv("DPCLOUD_HOME", str(tmp_path))
    line = typed(capfd, "run", "--stack", stack, *QUESTION[2:], "--epsilon", "1", code=2)[1]
    assert line == (
        "dpcloud: --stack where nothing that is deployed is used: given '--on laptop'; allowed: --on glue or emr, "
        "or no --stack: a run on this machine charges this machine's ledger\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_the_list_cannot_show_is_said_beside_json_too(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.25")
    shown, said = typed(capfd, "runs", "--stack", PREFIX, "--json")
    json.loads(shown)
    assert said.startswith("note: not shown, who started them")  # moto has no LookupEvents


def test_on_emr_a_cluster_is_offered_with_its_price(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    line = typed(capfd, "run", "--on", "emr", *QUESTION, "--epsilon", "1", code=2)[1]
    assert "ClusterDefinition" in line  # this deployment has none; with one: tests/cli/aws/test_emr*.py


def test_the_door_is_used_where_there_is_one(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    aws.deploy_door()
    try:
        _, said = typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5")
        run_id = run_id_of(said)
        assert f"{run_id} is started on Glue, through the door" in said
        assert aws.client("glue").get_job_runs(JobName="dp-pipelinedp")["JobRuns"] == []
        told, _ = typed(capfd, "status", run_id, "--stack", PREFIX)
        assert "glue: SUCCEEDED" in told
        assert f":execution:dp-ask:{run_id}" in told
        assert "belongs to the raw data's side" in typed(capfd, "logs", run_id, "--stack", PREFIX, code=2)[1]
        # one that failed is tried again under the same run id, by another name
        aws.fail = "the ledger is too busy"
        line = typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--run-id", "mine", code=3)[1]
        assert "the run is FAILED: the ledger is too busy; nothing is spent" in line
        aws.fail = None
        typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--run-id", "mine")
        assert [arn.rsplit(":", 1)[1] for arn in aws.started] == [run_id, "mine", "mine.2"]
        assert aws.ledger.find("mine").release is not None
    finally:
        aws.destroy("ask")


def test_the_list_has_glue_emr_and_the_ledger(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    aws.cluster()
    aws.ledger.reserve([Reservation(f"earlier-{time.time_ns()}", TABLE, PrivacyBudget(Epsilon("0.25")), "d")])
    first = run_id_of(typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.25")[1])
    second = run_id_of(typed(capfd, "run", "--on", "emr", *QUESTION, "--epsilon", "0.25")[1])
    shown, _said = typed(capfd, "runs", "--stack", PREFIX, "--json", "--limit", "3")
    lines = json.loads(shown)
    assert [line["run_id"] for line in lines][:2] == [second, first]
    assert [(line["on"], line["state"], line["epsilon"]) for line in lines][:2] == [
        ("emr", "COMPLETED", 0.25),
        ("glue", "SUCCEEDED", 0.25),
    ]
    assert len(lines) == 3
    assert lines[0]["usd"] is not None
    table, _ = typed(capfd, "runs", "--stack", PREFIX)
    assert first in table
    assert "SUCCEEDED" in table


def test_a_rerun_is_a_new_run_and_a_new_charge(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    first = run_id_of(typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.25")[1])
    spent = aws.ledger.balance(TABLE).spent
    line = typed(capfd, "rerun", first, "--stack", PREFIX, code=2)[1]
    assert "nobody can be asked here" in line
    assert aws.ledger.balance(TABLE).spent == spent
    _shown, said = typed(capfd, "rerun", first, "--stack", PREFIX, "--yes")
    assert "another epsilon 0.25 is charged, for another draw" in said
    second = run_id_of(said)
    assert second != first
    assert aws.ledger.balance(TABLE).spent == spent + type(spent)("0.25")
    old, new = (json.loads(aws.ledger.find(one).release) for one in (first, second))
    differ = {name for name in old if old[name] != new[name]}
    assert differ <= {"run_id", "value", "interval", "cells", "checks", "warnings"}
    assert "run_id" in differ


def test_a_run_is_stopped(capfd: pytest.CaptureFixture[str], aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what AWS calls it, and with what it takes: moto knows neither call."""
    from dpcloud.targets import emr, glue

    cluster = aws.cluster()
    aws.hold.set()
    asked: list[tuple[str, dict[str, object]]] = []
    answers = {
        "batch_stop_job_run": {"Errors": []},
        "cancel_steps": {"CancelStepsInfoList": [{"Status": "SUBMITTED"}]},
    }
    for module in (emr, glue):
        real = module.client

        def client(service: str, real: Callable[[str], Any] = real) -> Any:
            made = real(service)
            stubbed = MagicMock(wraps=made)
            for name, answer in answers.items():
                if hasattr(made, name):
                    valid = made.meta.service_model.operation_model(made.meta.method_to_api_mapping[name]).input_shape

                    def call(
                        *, _name: str = name, _shape: Any = valid, _answer: Any = answer, **words: object
                    ) -> Any:
                        assert not ParamValidator().validate(words, _shape).has_errors()
                        asked.append((_name, words))
                        return _answer

                    setattr(stubbed, name, call)
            return stubbed

        monkeypatch.setattr(module, "client", client)
    for target in ("emr", "glue"):
        run_id = typed(capfd, "run", "--on", target, *QUESTION, "--epsilon", "0.5", "--no-wait")[0].strip()
        shown, _ = typed(capfd, "stop", run_id, "--stack", PREFIX)
        # EMR ends the step's own process, not what that has started on YARN
        left = "; where it ran already, its driver on YARN goes on and may spend and release: "
        left = f"{left}`dpcloud emr stop --stack dp` ends it with the cluster" if target == "emr" else ""
        assert shown == f"{run_id} is being stopped; nothing is spent{left}\n"
    [(first, words), (second, job)] = asked
    assert (first, second) == ("cancel_steps", "batch_stop_job_run")
    assert (words["ClusterId"], words["StepCancellationOption"]) == (cluster, "TERMINATE_PROCESS")
    assert job["JobName"] == "dp-pipelinedp"
