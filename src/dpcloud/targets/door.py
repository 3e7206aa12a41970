"""Runs of the Glue jobs through the narrow door: the state machine `ask`, for who may ask and nothing more."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dpcloud.aws.errors import AwsError, explained
from dpcloud.aws.session import client
from dpcloud.targets.base import CloudRun, Phase, Question, Target, our_id
from dpcloud.targets.glue import script_reason
from dpjobs.errors import InputError

_PHASES = {
    "RUNNING": Phase.RUNNING,
    "PENDING_REDRIVE": Phase.RUNNING,
    "SUCCEEDED": Phase.SUCCEEDED,
    "ABORTED": Phase.STOPPED,
}
_LONGEST_NAME = 80
_TAKEN = "ExecutionAlreadyExists"
_MOST_TRIES = 50
_KNOWN_SECONDS = 60
"""How long after its start an execution may not be found: DescribeExecution is eventually consistent."""


class Door(Target):
    """The executions of PREFIX-ask, each named by its run id; `.2`, `.3`, … where one by that name has ended."""

    name, title = "glue", "Glue, through the door"

    def start(self, question: Question) -> CloudRun:
        """Start an execution; the same name with the same words is the same execution while it runs."""
        if len(question.run_id) > _LONGEST_NAME - 3:
            raise InputError.of("the run id is too long for the door", question.run_id, "77 characters at most")
        machine, words = self._machine, json.dumps(question.words)
        for name in _names(question.run_id):
            try:
                with explained("ask through the door", f"`dpcloud status {question.run_id}`"):
                    told = client("stepfunctions").start_execution(stateMachineArn=machine, name=name, input=words)
            except AwsError as error:
                if error.code != _TAKEN:
                    raise
                continue
            return CloudRun(
                target=self.name,
                run_id=question.run_id,
                platform_id=told["executionArn"],
                state="RUNNING",
                phase=Phase.RUNNING,
                started_at=told["startDate"],
                question=question,
            )
        raise InputError.of(f"the run has been tried {_MOST_TRIES} times", question.run_id, "a new run id")

    def look(self, run: CloudRun) -> CloudRun:
        """Return the execution as it is now; as it was where Step Functions does not know yet that it has begun."""
        try:
            with explained("look at an execution of the door", f"`dpcloud status {run.name}`"):
                return _run(client("stepfunctions").describe_execution(executionArn=run.platform_id))
        except AwsError as error:
            if error.code != "ExecutionDoesNotExist" or not _just_started(run):
                raise
            return run

    def find(self, run_id: str) -> CloudRun | None:
        """Return the last execution by this run id.

        Whoever asks names executions, and run ids may end as second tries do: what one was asked says whose it is.
        """
        if len(run_id) > _LONGEST_NAME:
            return None
        found, executions = None, self._machine.replace(":stateMachine:", ":execution:")
        for name in _names(run_id):
            try:
                with explained("look at an execution of the door", f"`dpcloud status {run_id}`"):
                    arn = f"{executions}:{name}"
                    run = _run(client("stepfunctions").describe_execution(executionArn=arn))
            except AwsError as error:
                if error.code not in ("ExecutionDoesNotExist", "InvalidArn"):
                    raise
                break
            if run.run_id == run_id:
                found = run
        return found

    def stop(self, run: CloudRun) -> None:
        """Stop the execution, which stops its job run; an analyst may not."""
        with explained("stop an execution of the door", f"`dpcloud status {run.name}`"):
            client("stepfunctions").stop_execution(executionArn=run.platform_id)

    def runs(self) -> Iterator[CloudRun]:
        """Yield nothing: what came through the door is a job run of Glue, and in its list."""
        return iter(())

    def logs(self, run: CloudRun) -> Iterator[str]:
        """Raise InputError: the door shows no log."""
        allowed = "who may read the logs of the Glue jobs; the reason of a failure is in `dpcloud status`"
        raise InputError.of("the door shows no log, which belongs to the raw data's side", run.name, allowed)

    @property
    def _machine(self) -> str:
        return self.deployment.output("ask", "AskMachineArn")


def _just_started(run: CloudRun) -> bool:
    return run.started_at is not None and (datetime.now(UTC) - run.started_at).total_seconds() < _KNOWN_SECONDS


def _names(run_id: str) -> Iterator[str]:
    yield run_id
    yield from (f"{run_id}.{number}" for number in range(2, _MOST_TRIES + 1))


def _run(told: dict[str, Any]) -> CloudRun:
    try:
        question = Question.of_words(json.loads(told.get("input") or "{}"))
    except (ValueError, AttributeError, InputError):  # somebody's own words
        question = None
    ended, started = told.get("stopDate"), told["startDate"]
    state = told["status"]
    return CloudRun(
        target=Door.name,
        run_id=our_id(question.run_id if question else told["name"]),
        platform_id=told["executionArn"],
        state=state,
        phase=_PHASES.get(state, Phase.FAILED),
        reason=script_reason(told.get("cause") or told.get("error")),
        started_at=started,
        seconds=((ended or datetime.now(UTC)) - started).total_seconds(),
        question=question,
    )
