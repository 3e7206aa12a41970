"""The state machine of the ask stack, really run on a moto server: what it lets through to Glue, and what it says."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.glue.models import FakeJobRun, glue_backends
from moto.moto_api import state_manager
from stacks.components import ask_definition
from stacks.components.ask_definition import FIELDS, definition

from deploy.runner import ACCOUNT, REGION
from dpjobs.engines import ENGINES
from dpjobs.query import Query
from dpjobs.source import FORMATS

QUESTION = {
    "run_id": "run-1",
    "engine": "opendp",
    "s3_file": "s3://bucket/data/census.csv",
    "query": "MEAN",
    "column_name": "TotalPop",
    "epsilon": "1",
    "lower": "-5",
    "upper": "none",
    "format": "none",
    "bounds_share": "none",
    "check_share": "none",
    "confidence": "none",
}
PREFIX = "door"
Told = dict[str, Any]


class Door:
    """A machine and its two jobs on the server; `runs` gives back what Glue was told to run."""

    def __init__(self, endpoint: str) -> None:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
        self._states = boto3.client("stepfunctions", endpoint_url=endpoint, **keys)
        self._glue = boto3.client("glue", endpoint_url=endpoint, **keys)
        for job in ask_definition.ENGINES:
            self._glue.create_job(
                Name=f"{PREFIX}-{job}",
                Role="role",
                Command={"Name": "glueetl"},
                DefaultArguments={"--lower": "0", "--query": "SUM"},
                NonOverridableArguments={"--ledger": "the-ledger"},
                ExecutionProperty={"MaxConcurrentRuns": 1000},
            )

    def machine(self, change: Callable[[Told], None] = lambda told: None) -> str:
        told = json.loads(json.dumps(definition(name_prefix=PREFIX, partition="aws", timeout_minutes=10)))
        change(told)
        role = f"arn:aws:iam::{ACCOUNT}:role/ask"
        name = f"ask-{uuid4()}"
        arn = self._states.create_state_machine(name=name, definition=json.dumps(told), roleArn=role)
        return str(arn["stateMachineArn"])

    def start(self, machine: str, question: Any) -> str:
        started = self._states.start_execution(stateMachineArn=machine, name=str(uuid4()), input=json.dumps(question))
        return str(started["executionArn"])

    def end(self, execution: str) -> Told:
        """The execution as `DescribeExecution` has it, once it has ended."""
        return until(lambda: (told := self.see(execution))["status"] != "RUNNING" and told)

    def see(self, execution: str) -> Told:
        told: Told = self._states.describe_execution(executionArn=execution)
        return told

    @staticmethod
    def runs(job: str) -> list[FakeJobRun]:
        return list(glue_backends[ACCOUNT][REGION].jobs[f"{PREFIX}-{job}"].job_runs)

    def all_runs(self) -> int:
        return sum(len(self.runs(job)) for job in ask_definition.ENGINES)

    def run_of(self, job: str, run_id: str) -> FakeJobRun:
        """The job run with our run id, once it is started."""
        return until(lambda: self.run_now(job, run_id))

    def run_now(self, job: str, run_id: str) -> FakeJobRun | None:
        """The job run with our run id, if it is started."""
        return next((run for run in self.runs(job) if run.arguments.get("--run_id") == run_id), None)

    def history(self, execution: str) -> list[str]:
        """The kinds of what has happened to an execution."""
        events = self._states.get_execution_history(executionArn=execution, maxResults=100)["events"]
        return [event["type"] for event in events]


def until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if it := found():
            return it
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@pytest.fixture(scope="module")
def door(endpoint: str) -> Iterator[Door]:
    before = state_manager.get_transition("glue::job_run")
    # runs end when a test says so
    state_manager.set_transition("glue::job_run", {"progression": "manual", "times": 10**9})
    yield Door(endpoint)
    state_manager.set_transition("glue::job_run", before)


@pytest.fixture(scope="module")
def machine(door: Door) -> str:
    return door.machine()


def answered(door: Door, machine: str, question: Told, job: str, state: str = "SUCCEEDED", said: str = "") -> Told:
    """Ask; Glue's run ends like this. Returns the execution."""
    asked = question | {"run_id": str(uuid4())}
    execution = door.start(machine, asked)
    run = door.run_of(job, asked["run_id"])
    run.error_message, run.status = said, state  # type: ignore[attr-defined]
    return door.end(execution)


@pytest.mark.parametrize(
    ("engine", "job", "named"),
    [
        ("tumult", "tumult-ana", {}),
        ("pipelinedp", "pipelinedp", {"--engine": "pipelinedp"}),
        ("opendp", "pipelinedp", {"--engine": "opendp"}),
        ("tumult-core", "pipelinedp", {"--engine": "tumult-core"}),
    ],
)
def test_a_question_becomes_one_run_with_the_fixed_arguments(
    door: Door, machine: str, engine: str, job: str, named: dict[str, str]
) -> None:
    before = door.all_runs()
    extra = {"workers": "100", "--ledger": "mine", "Arguments": {"--conf": "x"}, "JobName": "other", "failed": {}}
    asked = QUESTION | {"engine": engine, "run_id": str(uuid4()), **extra}
    execution = door.start(machine, asked)
    run = door.run_of(job, asked["run_id"])
    assert run.arguments == {
        **{f"--{name}": asked[name] for name in FIELDS if name != "engine"},
        **named,
        "--ledger": "the-ledger",
    }
    assert (run.timeout, run.security_configuration) == (None, None)
    run.status = "SUCCEEDED"
    told = door.end(execution)
    assert told["status"] == "SUCCEEDED"
    assert json.loads(told["output"]) == {"run_id": asked["run_id"], "state": "SUCCEEDED"}
    assert door.all_runs() == before + 1


BAD: dict[str, list[Any]] = {
    "run_id": ["", "--ledger", 1],
    "engine": ["", "diffprivlib", "Tumult", "--engine", ["opendp"]],
    "s3_file": ["", "--ledger", "/etc/passwd", "s3.csv", "s3a://bucket/x", "S3://bucket/x", "hdfs://x", {"a": 1}],
    "query": ["", "MEDIAN", "mean", "MEAN ", "--query", True],
    "column_name": ["", "--ledger=mine", 5],
    "epsilon": ["", "--epsilon", 1, 0.5],
    "lower": ["", "--1", None],
    "upper": ["", "--conf", 10],
    "format": ["", "xml", "CSV", "--format", []],
    "bounds_share": ["", "--x", 0.1],
    "check_share": ["", "--x", 0.1],
    "confidence": ["", "--x", 0.95],
}


def test_a_question_of_another_shape_starts_nothing_and_names_the_field(door: Door, machine: str) -> None:
    assert BAD.keys() == FIELDS.keys()
    before = door.all_runs()
    bad = [(field, QUESTION | {field: value}) for field, values in BAD.items() for value in values]
    bad += [(field, {name: value for name, value in QUESTION.items() if name != field}) for field in FIELDS]
    bad += [("run_id", given) for given in ({}, [], "text", 5, None)]
    started = [(field, question, door.start(machine, question)) for field, question in bad]
    for field, question, execution in started:
        told = door.end(execution)
        assert (told["status"], told["error"]) == ("FAILED", "BadQuestion"), question
        assert told["cause"].startswith(f"{field}: allowed: "), question
    assert door.all_runs() == before


def test_what_is_refused_says_what_is_allowed(door: Door, machine: str) -> None:
    told = door.end(door.start(machine, QUESTION | {"query": "MEDIAN"}))
    assert told["cause"] == "query: allowed: COUNT, SUM, MEAN, VARIANCE"


ODD = [
    "*",
    "a b",
    "States.Format('{}', $)",
    "$.run_id",
    "$$.Execution.Id",
    '"}',
    "-x",
    "a--b",
    "{%x%}",
    "\\*",
    "🙂" * 50,
]


def test_values_are_handed_on_as_they_are(door: Door, machine: str) -> None:
    """What is written in the machine's own language is text here."""
    for value in ODD:
        asked = QUESTION | {"column_name": value, "run_id": str(uuid4())}
        execution = door.start(machine, asked)
        run = door.run_of("pipelinedp", asked["run_id"])
        assert run.arguments["--column_name"] == value
        run.status = "SUCCEEDED"
        assert door.end(execution)["status"] == "SUCCEEDED"


def test_of_a_run_that_failed_its_message_is_told_and_nothing_else(door: Door, machine: str) -> None:
    said = 'the data set has no budget: given "s3://x"; allowed: {a data set} with a total'
    told = answered(door, machine, QUESTION, "pipelinedp", "FAILED", said)
    assert (told["status"], told["error"], told["cause"]) == ("FAILED", "RunFailed", said)
    shown = json.dumps({key: value for key, value in told.items() if key != "input"}, default=str)
    for secret in ("LogGroupName", "test/log", "ExecutionTime", "WorkerType", "the-ledger", "StartedOn", "jr_"):
        assert secret not in shown


@pytest.mark.parametrize("state", ["TIMEOUT", "STOPPED", "FAILED", "ERROR"])
def test_a_run_without_a_message_is_told_by_its_state(door: Door, machine: str, state: str) -> None:
    told = answered(door, machine, QUESTION | {"engine": "tumult"}, "tumult-ana", state)
    assert (told["status"], told["error"]) == ("FAILED", "RunFailed")
    assert told["cause"] == f"the Glue run ended {state} and gives no reason"


def quick(told: Told) -> None:
    """The same machine, whose waiting is cut to a second and two attempts."""
    for state in told["States"].values():
        for retry in state.get("Retry", []):
            retry.update(IntervalSeconds=1, MaxAttempts=2, BackoffRate=1)
            retry.pop("JitterStrategy")


def limit(job: str, most: int) -> None:
    glue_backends[ACCOUNT][REGION].jobs[f"{PREFIX}-{job}"].execution_property["MaxConcurrentRuns"] = most


def test_a_busy_job_is_waited_for(door: Door) -> None:
    machine, asked = door.machine(quick), QUESTION | {"run_id": str(uuid4())}
    limit("pipelinedp", 0)
    execution = door.start(machine, asked)
    until(lambda: "TaskFailed" in door.history(execution))
    limit("pipelinedp", 1000)
    run = until(lambda: door.see(execution)["status"] != "RUNNING" or door.run_now("pipelinedp", asked["run_id"]))
    assert isinstance(run, FakeJobRun)
    run.status = "SUCCEEDED"
    assert door.end(execution)["status"] == "SUCCEEDED"


def test_a_job_that_stays_busy_is_given_up(door: Door) -> None:
    machine = door.machine(quick)
    limit("pipelinedp", 0)
    told = door.end(door.start(machine, QUESTION))
    limit("pipelinedp", 1000)
    assert (told["error"], told["cause"]) == (
        "RunFailed",
        "other runs had the job for too long: ask again later with the same run id",
    )


def test_a_job_that_is_not_there_is_told_by_the_errors_name_alone(door: Door) -> None:
    def elsewhere(told: Told) -> None:
        told["States"]["Run pipelinedp"]["Parameters"]["JobName"] = "nowhere"

    told = door.end(door.start(door.machine(elsewhere), QUESTION))
    assert (told["error"], told["cause"]) == ("RunFailed", "Glue did not run it: Glue.EntityNotFoundException")


def test_a_cause_that_is_cut_is_not_read(door: Door) -> None:
    """AWS cuts a long one; an error about its JSON could quote it."""
    cut = {"Error": "States.TaskFailed", "Cause": '{"Arguments":{"--s3_file":"s3://x"},"LogGroupName":"/aws-gl'}

    def failed(told: Told) -> None:
        told["States"]["Run pipelinedp"] = {
            "Type": "Pass", "Result": cut, "ResultPath": "$.failed", "Next": "Why did it fail",
        }  # fmt: skip

    told = door.end(door.start(door.machine(failed), QUESTION))
    assert (told["error"], told["cause"]) == ("RunFailed", "the Glue run failed and gives no reason")


def test_a_run_that_takes_too_long_is_given_up(door: Door) -> None:
    def at_once(told: Told) -> None:
        told["States"]["Run pipelinedp"]["TimeoutSeconds"] = 1

    told = door.end(door.start(door.machine(at_once), QUESTION | {"run_id": str(uuid4())}))
    assert told["error"] == "RunFailed"
    assert told["cause"] == "the run took longer than a run may: ask again with the same run id"


def test_one_name_is_one_execution(door: Door, machine: str) -> None:
    """What `dpcloud run` relies on: a start whose answer was lost is started again, and is the same."""
    states, name = door._states, str(uuid4())
    given = {"stateMachineArn": machine, "name": name, "input": json.dumps(QUESTION | {"run_id": name})}
    first = states.start_execution(**given)["executionArn"]
    run = door.run_of("pipelinedp", name)
    assert states.start_execution(**given)["executionArn"] == first
    run.status = "SUCCEEDED"
    door.end(first)
    assert len([one for one in door.runs("pipelinedp") if one.arguments["--run_id"] == name]) == 1


# -- the definition itself


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov"])
def test_each_task_waits_for_one_job_with_arguments_that_are_named_here(partition: str) -> None:
    told = definition(name_prefix="any", partition=partition, timeout_minutes=720)
    tasks = {name: state for name, state in told["States"].items() if state["Type"] == "Task"}
    assert tasks.keys() == {"Run tumult-ana", "Run pipelinedp"}
    for name, task in tasks.items():
        assert task["Resource"] == f"arn:{partition}:states:::glue:startJobRun.sync"
        assert task["Parameters"].keys() == {"JobName", "Arguments"}
        assert task["Parameters"]["JobName"] == name.replace("Run ", "any-")
        named = {argument.removesuffix(".$") for argument in task["Parameters"]["Arguments"]}
        fixed = {
            "--run_id", "--s3_file", "--query", "--column_name", "--epsilon", "--lower", "--upper", "--format",
            "--bounds_share", "--check_share", "--confidence",
        }  # fmt: skip
        assert named == fixed | ({"--engine"} if name == "Run pipelinedp" else set())
        assert task["TimeoutSeconds"] == 720 * 60 + 3600
    # no other state does anything, and none writes where others could read
    assert {state["Type"] for state in told["States"].values()} == {"Choice", "Task", "Pass", "Fail"}


def test_what_glue_cannot_do_now_is_tried_again_and_what_it_says_at_last_is_caught() -> None:
    """An error that nothing catches ends the execution with the whole job run for its cause."""
    told = definition(name_prefix="any", partition="aws", timeout_minutes=720)
    for task in (state for state in told["States"].values() if state["Type"] == "Task"):
        assert [caught["ErrorEquals"] for caught in task["Catch"]] == [["States.ALL"]]
        assert task["ResultSelector"] == {"JobRunState.$": "$.JobRunState"}
        busy, trouble = task["Retry"]
        assert busy["ErrorEquals"] == ["Glue.ConcurrentRunsExceededException"]
        first, rate, most = busy["IntervalSeconds"], busy["BackoffRate"], busy["MaxDelaySeconds"]
        waits = [min(first * rate**attempt, most) for attempt in range(busy["MaxAttempts"])]
        assert 600 <= sum(waits) <= 1800  # ten minutes and more, as `dpcloud run` does, but not for days
        assert {"Glue.AWSGlueException", "Glue.ThrottlingException", "Glue.InternalServiceException"} <= {
            *trouble["ErrorEquals"]
        }
        assert trouble["MaxAttempts"] >= 3
        # what has run and failed has been paid for: that is not run again
        assert not {"States.ALL", "States.TaskFailed", "States.Timeout"} & {
            *busy["ErrorEquals"],
            *trouble["ErrorEquals"],
        }


def test_a_field_is_looked_for_before_it_is_looked_at() -> None:
    """On AWS a comparison with a field that is not there ends the execution; here it is only false."""
    told = definition(name_prefix="any", partition="aws", timeout_minutes=720)
    rules = [rule["Not"]["And"] for rule in told["States"]["Check the question"]["Choices"]]
    for name, parts in zip(FIELDS, rules, strict=True):
        path = f"$.{name}"
        assert parts[:2] == [{"Variable": path, "IsPresent": True}, {"Variable": path, "IsString": True}]
        assert set(re.findall(r'"Variable": "([^"]*)"', json.dumps(parts))) == {path}


def _others(scripts: Path) -> list[str]:
    [line] = re.findall("^OTHERS = .*$", (scripts / "run_pipelinedp_spark.py").read_text(), re.MULTILINE)
    return re.findall('"([^"]*)"', line)


def test_every_engine_is_hardened_and_one_that_the_job_runs() -> None:
    scripts = Path(__file__).parents[2] / "glue_scripts"
    runs = {
        "tumult-ana": (scripts / "run_tmlt_ana_spark.py").read_text(),
        "pipelinedp": (scripts / "run_pipelinedp_spark.py").read_text(),
    }
    for job, engines in ask_definition.ENGINES.items():
        assert f'engine="{engines[0]}"' in runs[job]
        for engine in engines[1:]:
            assert f'"{engine}"' in runs[job]
    assert _others(scripts) == _others(scripts.parent / "emr_assets")  # a step takes no fewer engines than a run
    named = {engine for engines in ask_definition.ENGINES.values() for engine in engines}
    assert named == {name for name, engine in ENGINES.items() if engine.hardened}
    assert set(FIELDS["query"].allowed.split(", ")) == {query.name for query in Query}
    assert set(FIELDS["format"].allowed.split(", ")) == {*FORMATS, ask_definition.NOT_GIVEN}
