"""What somebody else may write, who asks through the door or knows an id, does nothing to whoever comes after."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto.glue.models import glue_backends
from moto.stepfunctions.models import stepfunctions_backends

from cli.aws.account import ACCOUNT, PREFIX, REGION, TABLE, Aws
from cli.aws.test_cloud_run import QUESTION, typed
from dpcloud.aws import starters
from dpcloud.targets.base import our_id
from dpcloud.words import printable
from dpjobs.epsilon import Epsilon
from dpjobs.ledger.base import Reservation
from dpjobs.query import PrivacyBudget

STACK = ("--stack", PREFIX)
WORDS = {
    "run_id": "mean",
    "engine": "pipelinedp",
    "s3_file": TABLE,
    "query": "COUNT",
    "column_name": "*",
    "epsilon": "5.0",
    "lower": "none",
    "upper": "none",
    "format": "csv",
    "bounds_share": "none",
    "check_share": "none",
    "confidence": "0.95",
}


@pytest.fixture
def door(aws: Aws) -> Iterator[Aws]:
    aws.deploy_door()
    yield aws
    aws.destroy("ask")
    for machine in stepfunctions_backends[ACCOUNT][REGION].state_machines:
        machine.executions.clear()  # the next test's worker would take them up


def execution(aws: Aws, name: str, **words: object) -> None:
    """What whoever may ask can start by themselves."""
    machine = aws.outputs(f"{PREFIX}-ask")["AskMachineArn"]
    aws.client("stepfunctions").start_execution(stateMachineArn=machine, name=name, input=json.dumps(WORDS | words))


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(capfd: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    return typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", *words, code=code)


def test_an_id_that_ends_as_a_second_try_is_a_run_of_its_own(capfd: pytest.CaptureFixture[str], door: Aws) -> None:
    door.fail = "the ledger is too busy"
    ask(capfd, "--run-id", "v1", code=3)
    door.fail = None
    ask(capfd, "--run-id", "v1")
    assert [arn.rsplit(":", 1)[1] for arn in door.started] == ["v1", "v1.2"]
    assert "no such run" in typed(capfd, "status", "v1.2", *STACK, code=2)[1]
    assert "run id v1.2" in ask(capfd, "--run-id", "v1.2")[0]  # not fetched of the other's, which has another id
    assert [arn.rsplit(":", 1)[1] for arn in door.started][2:] == ["v1.2.2"]
    assert "released" in typed(capfd, "status", "v1.2", *STACK)[0]


def test_a_name_that_somebody_has_taken_is_no_answer(capfd: pytest.CaptureFixture[str], door: Aws) -> None:
    """A run id that is known beforehand can be taken: as a name, and by a question of one's own."""
    execution(door, "monthly", run_id="theirs")
    until(lambda: (row := door.ledger.find("theirs")) and row.release)
    assert "run id monthly" in ask(capfd, "--run-id", "monthly")[0]
    door.hold.set()
    execution(door, "weekly", run_id="weekly")  # its own words, which the ledger has not seen yet
    door.hold.clear()
    line = ask(capfd, "--run-id", "weekly", code=3)[1].splitlines()[-1]
    assert "the run id belongs to another specification" in line


def test_somebody_elses_run_by_ones_id_is_not_followed(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    """Known by the id, it has succeeded with another question, and without a release in this ledger."""
    words = {f"--{name}": word for name, word in WORDS.items()} | {"--run_id": "known"}
    aws.hold.set()
    aws.client("glue").start_job_run(JobName="dp-pipelinedp", Arguments=words)
    [run] = glue_backends[ACCOUNT][REGION].jobs["dp-pipelinedp"].job_runs
    run.status = "SUCCEEDED"
    aws.started.append(run.job_run_id)
    typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--run-id", "known", "--no-wait")
    assert len(glue_backends[ACCOUNT][REGION].jobs["dp-pipelinedp"].job_runs) == 2


def test_the_release_of_another_question_is_none_of_ours(
    capfd: pytest.CaptureFixture[str], aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who is faster with the same id, between the check and the run, or words that change on their way."""
    real = aws._answer

    def changed(arguments: Any, engine: str) -> str | None:
        object.__setattr__(arguments.request, "confidence", 0.9)
        return real(arguments, engine)

    monkeypatch.setattr(aws, "_answer", changed)
    shown, said = ask(capfd, "--run-id", "raced", code=3)
    assert shown == ""
    assert "what is released under raced answers another question; allowed: a new run id" in said


def test_a_rerun_asks_what_was_charged_or_nothing(capfd: pytest.CaptureFixture[str], door: Aws) -> None:
    """The last run by an id is anybody's: whoever may ask could put a dearer question there."""
    ask(capfd, "--run-id", "yearly")
    execution(door, "yearly.2", run_id="yearly", epsilon="300")
    spent = door.ledger.balance(TABLE).spent
    until(lambda: len(door.started) == 2)
    started = list(door.started)
    line = typed(capfd, "rerun", "yearly", *STACK, "--yes", code=2)[1]
    assert "the last run by this id asked another question than was charged: given 'yearly'" in line
    assert (door.started, door.ledger.balance(TABLE).spent) == (started, spent)


@pytest.mark.parametrize("odd", [{"epsilon": 1}, {"column_name": ["x"]}, {"run_id": 5}])
def test_words_that_are_no_texts_are_nobodys_question(
    capfd: pytest.CaptureFixture[str], door: Aws, odd: dict[str, object]
) -> None:
    door.hold.set()
    execution(door, f"odd-{next(iter(odd))}", **odd)
    name = f"odd-{next(iter(odd))}"
    assert "glue: RUNNING" in typed(capfd, "status", name, *STACK)[0]
    assert "the run does not say what it was asked" in typed(capfd, "rerun", name, *STACK, "--yes", code=2)[1]


def test_what_somebody_wrote_does_not_move_the_terminal(
    capfd: pytest.CaptureFixture[str], aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of a question come to the screen of whoever lists the runs, refused or not."""
    evil = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\u202e"
    limits = glue_backends[ACCOUNT][REGION].jobs["dp-pipelinedp"].execution_property
    monkeypatch.setitem(limits, "MaxConcurrentRuns", 9)
    job = {f"--{name}": word for name, word in WORDS.items()}
    started = aws.client("glue").start_job_run
    aws.hold.set()
    ids = [
        started(JobName="dp-pipelinedp", Arguments=job | {f"--{name}": f"{word}{evil}"})["JobRunId"]
        for name, word in (("s3_file", "s3://x/"), ("run_id", "mine"), ("column_name", "x"))
    ]
    table, _ = typed(capfd, "runs", *STACK)
    told, _ = typed(capfd, "status", ids[1], *STACK)
    _, said = typed(capfd, "rerun", ids[2], *STACK, "--yes", "--no-wait")
    assert "COUNT of x" in said
    shown = table + told + said
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert ids[1][:12] in table  # under AWS's name, for that is no id of ours
    assert "mine" not in table
    assert "s3://x/" in table


def test_ids_and_words_of_others() -> None:
    assert [our_id(given) for given in ("run-1", "a\x1bb", "", None, 5, ["x"], "-x")] == ["run-1", *[None] * 6]
    assert printable("a\x1b[31m\u202eb\nc") == "a [31m b c"


def test_who_asked_first_and_was_not_refused_has_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def event(who: str, **more: object) -> dict[str, Any]:
        return {
            "userIdentity": {"arn": f"arn:aws:sts::1:assumed-role/r/{who}"},
            "requestParameters": {"name": "mean"},
            **more,
        }

    told = {
        "StartExecution": [event("later"), event("first"), event("refused", errorCode="AccessDenied")],
        "StartJobRun": [event("the-door", responseElements={"jobRunId": "jr_1"})],
        "AddJobFlowSteps": [],
    }
    monkeypatch.setattr(starters, "_events", lambda name: iter(told[name]))
    assert starters.starters() == {"mean": "first", "jr_1": "the-door"}


def test_what_is_typed_to_go_on_with_one_of_several_engines_pays_no_more(
    capfd: pytest.CaptureFixture[str], aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = aws._answer

    def second_fails(arguments: Any, engine: str) -> str | None:
        if arguments.engine == "opendp":
            [spec] = arguments.request.jobs({"opendp": arguments.run_id}, None)
            aws.ledger.reserve([Reservation(spec.run_id, TABLE, PrivacyBudget(Epsilon("0.5")), spec.digest())])
            return "killed"
        return real(arguments, engine)

    monkeypatch.setattr(aws, "_answer", second_fails)
    engines = ("--engine", "pipelinedp,opendp", "--run-id", "two")
    line = ask(capfd, *engines, code=3)[1].splitlines()[-1]
    assert "the same command with --engine opendp alone, and --run-id two-opendp pays no more" in line
    assert "the run id of this command, for all engines, is 'two'" in line
    monkeypatch.setattr(aws, "_answer", real)
    spent = aws.ledger.balance(TABLE).spent
    assert "run id two-opendp" in ask(capfd, "--engine", "opendp", "--run-id", "two-opendp")[0]
    shown, _ = ask(capfd, *engines, "--json")
    assert [release["run_id"] for release in json.loads(shown)] == ["two-pipelinedp", "two-opendp"]
    assert aws.ledger.balance(TABLE).spent == spent


@pytest.mark.parametrize(
    ("words", "said"),
    [
        *(
            (("--column", f"a{text}b"), "--column that EMR")
            for text in ("`id`", "\\\\", "{{USER}}", "<CPS>", "<LOG_DIR>")
        ),
        (("--file", "s3://dp-bucket/data/{{a.csv"), "--file that EMR"),
        (("--dataset", "`id`"), "--dataset that EMR"),
        (("--dataset=-q",), "--dataset that EMR"),
        (("--dataset", "by-address"), "--dataset that EMR"),
    ],
)
def test_words_that_yarn_would_change_are_not_asked(
    capfd: pytest.CaptureFixture[str], aws: Aws, words: tuple[str, ...], said: str
) -> None:
    """A shell starts the driver: what is in backticks would be run, and the answer be another column's."""
    aws.cluster()
    given = dict(zip(QUESTION[::2], QUESTION[1::2], strict=True))
    rest = list(words) if len(words) == 1 else []
    given |= {} if rest else dict([words])
    line = typed(
        capfd, "run", "--on", "emr", *(w for pair in given.items() for w in pair), *rest, "--epsilon", "1", code=2
    )[1]
    assert f"{said} hands on as something else" in line
    assert line.count("\n") == 1


def test_an_address_that_the_door_refuses_is_not_asked(capfd: pytest.CaptureFixture[str], aws: Aws) -> None:
    line = typed(
        capfd, "run", "--on", "glue", "--stack", PREFIX, "--file", TABLE.replace("s3:", "s3a:"), "--query", "COUNT",
        "--epsilon", "1", code=2,
    )[1]  # fmt: skip
    assert (
        f"an address that the door does not take: given 's3a://dp-bucket/data/census.csv'; allowed: {TABLE}" in line
    )
