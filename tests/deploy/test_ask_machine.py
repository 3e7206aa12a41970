"""The state machine of the ask stack, really run on a moto server: what it lets through to Glue, and what it says."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.glue.models import FakeJobRun, glue_backends
from moto.moto_api import state_manager
from stacks.components import ask_definition
from stacks.components.ask_definition import FIELDS, definition

from deploy.runner import ACCOUNT, REGION

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
        told = definition(name_prefix=PREFIX, partition="aws", timeout_minutes=10)
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
        return until(lambda: next((r for r in self.runs(job) if r.arguments.get("--run_id") == run_id), None))


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
