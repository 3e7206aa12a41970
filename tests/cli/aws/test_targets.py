"""What the targets ask of AWS and make of its answers, where moto has no answer or all too friendly ones."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cli.aws.stubs import Answers, answers
from dpcloud.aws.clusters import Cluster
from dpcloud.aws.errors import AwsError
from dpcloud.aws.stacks import Deployment
from dpcloud.aws.starters import starters
from dpcloud.targets import cloud, emr, glue
from dpcloud.targets.base import CloudRun, Phase, Question
from dpcloud.targets.door import Door
from dpcloud.targets.emr import Emr
from dpcloud.targets.glue import Glue
from dpjobs.errors import InputError

STEP = "--deploy-mode,cluster,s3://assets/{}"
OUTPUTS: dict[str, dict[str, str] | None] = {
    "glue": {"TumultAnaJob": "dp-tumult-ana", "PipelineDpJob": "dp-pipelinedp"},
    "emr": {"TumultAnaStep": STEP.format("run_tmlt_ana_spark.py"), "PipelineDpStep": STEP.format("p.py")},
    "ask": {"AskMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:dp-ask"},
}
AT = datetime(2026, 11, 26, tzinfo=UTC)
QUESTION = Question(
    run_id="run-1",
    engine="pipelinedp",
    uri="s3://bucket/data/x.csv",
    query="MEAN",
    column="a",
    epsilon="1",
    lower=None,
    upper=None,
    format="csv",
    bounds_share="0.3",
    check_share="0.2",
    confidence="0.9",
)
TUMULT = Question(**{**QUESTION.__dict__, "engine": "tumult"})
DENIED = "AccessDeniedException"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:dp-ask:"


def deployment(*endings: str) -> Deployment:
    return Deployment("dp", {ending: OUTPUTS[ending] if ending in endings else None for ending in OUTPUTS})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    modules = ("targets.glue", "targets.emr", "targets.door", "aws.clusters", "aws.starters", "aws.stacks")
    patience = iter(range(10))  # else what is tried for good would never fail
    monkeypatch.setattr(glue.time, "sleep", lambda _: next(patience))
    with answers(monkeypatch, *(f"dpcloud.{module}" for module in modules)) as told:
        yield told


def a_run(**told: Any) -> CloudRun:
    known = {"target": "glue", "run_id": "run-1", "platform_id": "dp-pipelinedp/jr_1", "state": "RUNNING"}
    return CloudRun(**{**known, "phase": Phase.RUNNING, **told})


def job_run(state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    words = {f"--{name}": word for name, word in QUESTION.words.items()}
    return {"Id": "jr_1", "JobRunState": state, "Arguments": words, **more}


# -- Glue


def test_each_engine_has_its_job_and_the_words_that_the_job_takes(aws: Answers) -> None:
    words = {f"--{name}": word for name, word in QUESTION.words.items()}
    aws.add("glue", "start_job_run", {"JobRunId": "jr_1"}, {"JobName": "dp-pipelinedp", "Arguments": words})
    assert Glue(deployment("glue")).start(QUESTION).platform_id == "dp-pipelinedp/jr_1"
    del words["--engine"]
    aws.add("glue", "start_job_run", {"JobRunId": "jr_2"}, {"JobName": "dp-tumult-ana", "Arguments": words})
    assert Glue(deployment("glue")).start(TUMULT).platform_id == "dp-tumult-ana/jr_2"


def test_a_job_with_too_many_runs_is_waited_for_and_nothing_else_is_tried_again(
    aws: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        aws.refuse("glue", "start_job_run", "ConcurrentRunsExceededException")
    aws.add("glue", "start_job_run", {"JobRunId": "jr_1"})
    assert Glue(deployment("glue")).start(QUESTION).platform_id == "dp-pipelinedp/jr_1"
    aws.refuse("glue", "start_job_run", "InternalServiceException")
    with pytest.raises(AwsError) as raised:
        Glue(deployment("glue")).start(QUESTION)
    assert raised.value.in_doubt
    monkeypatch.setattr(glue, "_PATIENCE_SECONDS", -1)
    aws.refuse("glue", "start_job_run", "ConcurrentRunsExceededException")
    with pytest.raises(InputError, match="as many runs as it may have at once: given 'dp-pipelinedp'"):
        Glue(deployment("glue")).start(QUESTION)


def test_a_stop_that_glue_refuses_is_told(aws: Answers) -> None:
    asked = {"JobName": "dp-pipelinedp", "JobRunIds": ["jr_1"]}
    error = {"Errors": [{"ErrorDetail": {"ErrorCode": "JobRunNotInTerminalStateException"}}]}
    aws.add("glue", "batch_stop_job_run", error, asked)
    with pytest.raises(AwsError, match=r"does not stop the run \(JobRunNot.*allowed: `dpcloud status run-1`"):
        Glue(deployment("glue")).stop(a_run())


@pytest.mark.parametrize(
    ("told", "usd"),
    [
        ({"DPUSeconds": 7200.0}, "0.88"),
        ({"DPUSeconds": 7200.0, "ExecutionClass": "FLEX"}, "0.58"),
        ({"WorkerType": "G.1X", "NumberOfWorkers": 10, "ExecutionTime": 1800}, "2.20"),
        ({"WorkerType": "G.2X", "NumberOfWorkers": 10, "ExecutionTime": 1800}, "4.40"),
        ({"WorkerType": "G.1X", "NumberOfWorkers": 10, "ExecutionTime": 1800, "ExecutionClass": "FLEX"}, "1.45"),
        ({"WorkerType": "Z.9X", "NumberOfWorkers": 10, "ExecutionTime": 1800}, None),
    ],
)
def test_what_a_job_run_costs(aws: Answers, told: dict[str, Any], usd: str | None) -> None:
    """Its own DPU-seconds where Glue counts them, else its workers' time."""
    aws.add("glue", "get_job_run", {"JobRun": job_run(**told)}, {"JobName": "dp-pipelinedp", "RunId": "jr_1"})
    seen = Glue(deployment("glue")).look(a_run()).usd
    assert (None if seen is None else f"{seen:.2f}") == usd


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("STOPPED", Phase.STOPPED),
        ("TIMEOUT", Phase.FAILED),
        ("EXPIRED", Phase.FAILED),
        ("SUCCEEDED", Phase.SUCCEEDED),
    ],
)
def test_only_a_job_run_that_has_succeeded_counts_as_one(aws: Answers, state: str, phase: Phase) -> None:
    aws.add("glue", "get_job_run", {"JobRun": job_run(state, ErrorMessage="why\nnot")})
    seen = Glue(deployment("glue")).look(a_run())
    assert (seen.phase, seen.reason) == (phase, "why not")


def test_the_runs_of_both_jobs_are_read_back_with_their_engines_the_newest_first(aws: Answers) -> None:
    tumult = {f"--{name}": word for name, word in TUMULT.words.items() if name != "engine"}
    old = {**job_run(StartedOn=AT), "Arguments": {**tumult, "--run_id": "old"}}
    aws.add("glue", "get_job_runs", {"JobRuns": [old]}, {"JobName": "dp-tumult-ana"})
    new = job_run(StartedOn=AT + timedelta(1))
    others = {"Id": "jr_3", "JobRunState": "RUNNING", "StartedOn": AT - timedelta(1), "Arguments": {"--run_id": "x"}}
    aws.add("glue", "get_job_runs", {"JobRuns": [others, new]}, {"JobName": "dp-pipelinedp"})
    found = list(Glue(deployment("glue")).runs())
    assert [run.run_id for run in found] == ["run-1", "old", "x"]
    assert [run.question and run.question.engine for run in found] == ["pipelinedp", "tumult", None]


# -- EMR


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    up = Cluster("j-1", "dp-emr", "WAITING", AT)
    monkeypatch.setattr(emr, "live_cluster", lambda _: up)
    monkeypatch.setattr(emr, "clusters", lambda _: [up])
    monkeypatch.setattr(emr, "hour_of", lambda _: Decimal(3))
    return up


def added(aws: Answers, question: Question) -> list[str]:
    """The words of the step that a question becomes."""
    seen: list[list[str]] = []

    def keep(**words: Any) -> dict[str, Any]:
        [step] = words["Steps"]
        assert (words["JobFlowId"], step["Name"]) == ("j-1", question.run_id)
        assert step["ActionOnFailure"] == "CONTINUE"  # else a run that fails takes the others, or the cluster
        seen.append(step["HadoopJarStep"]["Args"])
        return {"StepIds": ["s-1"]}

    client = aws.of("emr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "add_job_flow_steps", keep)
        Emr(deployment("emr")).start(question)
    return seen[0]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("engine", ["tumult", "opendp"])
@pytest.mark.parametrize("more", [{}, {"dataset": "census"}, {"unhardened": True}])
def test_a_step_asks_the_very_question(aws: Answers, engine: str, more: dict[str, Any]) -> None:
    """Of its engine's script, on the budget that was named, and what it hands on is what is read back from it."""
    from dpjobs.platforms.emr import parse

    question = Question(**{**QUESTION.__dict__, "engine": engine, **more})
    words = added(aws, question)
    script = "run_tmlt_ana_spark.py" if engine == "tumult" else "p.py"
    at = words.index(f"s3://assets/{script}")
    assert words[: at + 1] == ["spark-submit", *STEP.format(script).split(",")]
    read = parse(words[at + 1 :])
    assert (read.engine, read.unhardened) == (None if engine == "tumult" else engine, "unhardened" in more)
    assert read.request.dataset == more.get("dataset", question.uri)
    status = {"State": "COMPLETED", "Timeline": {"StartDateTime": AT, "EndDateTime": AT + timedelta(minutes=10)}}
    step = {"Id": "s-1", "Name": "run-1", "Status": status, "Config": {"Args": words}}
    aws.add("emr", "list_steps", {"Steps": [step]})
    [run] = Emr(deployment("emr")).runs()
    assert run.question == question
    assert (run.run_id, run.seconds, run.usd) == ("run-1", 600, Decimal("0.5"))


def step_run(state: str = "RUNNING") -> CloudRun:
    return a_run(target="emr", platform_id="j-1/s-1", state=state)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("state", "phase"),
    [("CANCELLED", Phase.STOPPED), ("INTERRUPTED", Phase.FAILED), ("FAILED", Phase.FAILED)],
)
def test_a_cluster_that_died_in_a_step_is_its_reason(aws: Answers, state: str, phase: Phase) -> None:
    step = {"Id": "s-1", "Name": "run-1", "Status": {"State": state}}
    aws.add("emr", "describe_step", {"Step": step}, {"ClusterId": "j-1", "StepId": "s-1"})
    ended = {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": {"Message": "Instance\nfailure"}}
    aws.add("emr", "describe_cluster", {"Cluster": {"Status": ended}}, {"ClusterId": "j-1"})
    seen = Emr(deployment("emr")).look(step_run())
    assert (seen.phase, seen.reason) == (phase, "the cluster ended meanwhile: Instance failure")


def test_a_step_that_emr_does_not_cancel_is_told(aws: Answers) -> None:
    told = {"CancelStepsInfoList": [{"StepId": "s-1", "Status": "FAILED", "Reason": "it has\nended"}]}
    aws.add("emr", "cancel_steps", told)
    with pytest.raises(InputError, match="EMR does not cancel the step: given 'it has ended'"):
        Emr(deployment("emr")).stop(step_run())


# -- the door


def execution(name: str, status: str = "FAILED") -> dict[str, Any]:
    machine = OUTPUTS["ask"]["AskMachineArn"]  # type: ignore[index]
    arn = EXECUTION + name
    asked = json.dumps({**QUESTION.words, "run_id": name.split(".")[0]})
    known = {"executionArn": arn, "stateMachineArn": machine, "name": name, "input": asked}
    return {**known, "status": status, "startDate": AT}


def test_of_several_executions_the_last_is_the_run(aws: Answers) -> None:
    for name, status in (("mine", "FAILED"), ("mine.2", "TIMED_OUT"), ("mine.3", "RUNNING")):
        aws.add("stepfunctions", "describe_execution", execution(name, status), {"executionArn": EXECUTION + name})
    aws.refuse("stepfunctions", "describe_execution", "ExecutionDoesNotExist")
    found = Door(deployment("ask")).find("mine")
    assert found is not None
    assert (found.platform_id, found.phase) == (EXECUTION + "mine.3", Phase.RUNNING)


def test_an_execution_that_timed_out_is_over(aws: Answers) -> None:
    aws.add("stepfunctions", "describe_execution", execution("mine", "TIMED_OUT"))
    assert Door(deployment("ask")).look(a_run(platform_id=EXECUTION + "mine")).phase is Phase.FAILED


@pytest.mark.parametrize("code", ["ThrottlingException", DENIED])
def test_no_other_name_is_tried_while_it_is_unknown_what_became_of_the_first(aws: Answers, code: str) -> None:
    aws.refuse("stepfunctions", "start_execution", code)
    with pytest.raises(AwsError):
        Door(deployment("ask")).start(QUESTION)
    aws.refuse("stepfunctions", "describe_execution", code)
    with pytest.raises(AwsError):
        Door(deployment("ask")).find("run-1")


def test_a_run_id_that_leaves_no_room_for_another_try_is_refused(aws: Answers) -> None:
    with pytest.raises(InputError, match="77 characters at most"):
        Door(deployment("ask")).start(Question(**{**QUESTION.__dict__, "run_id": "x" * 78}))


# -- which of them


def test_who_may_not_use_the_door_starts_directly_and_nobody_else_does(aws: Answers) -> None:
    """A start through the door whose answer is lost is not started beside it: that would be paid for twice."""
    both = deployment("glue", "ask")
    aws.refuse("stepfunctions", "start_execution", DENIED)
    aws.add("glue", "start_job_run", {"JobRunId": "jr_1"})
    assert cloud.start_on_glue(both, QUESTION)[0].title == "Glue"
    for code in ("ThrottlingException", "StateMachineDoesNotExist"):
        aws.refuse("stepfunctions", "start_execution", code)
        with pytest.raises(AwsError) as raised:
            cloud.start_on_glue(both, QUESTION)
        assert raised.value.code == code
    # neither: what is missing at the door is what is told
    aws.refuse("stepfunctions", "start_execution", DENIED)
    aws.refuse("glue", "start_job_run", DENIED)
    with pytest.raises(AwsError, match="does not let you ask through the door"):
        cloud.start_on_glue(both, QUESTION)


def test_a_run_is_found_as_far_as_one_may_look(aws: Answers) -> None:
    both = deployment("glue", "ask")
    aws.refuse("glue", "get_job_runs", DENIED)
    aws.add("stepfunctions", "describe_execution", execution("run-1", "SUCCEEDED"))
    aws.refuse("stepfunctions", "describe_execution", "ExecutionDoesNotExist")
    target, run = cloud.find(both, "run-1")
    assert (target.title, run.state) == ("Glue, through the door", "SUCCEEDED")
    aws.refuse("glue", "get_job_runs", DENIED)
    aws.refuse("stepfunctions", "describe_execution", "ExecutionDoesNotExist")
    with pytest.raises(InputError, match=r"\(not all could be looked at: you may not\): given 'run-1'"):
        cloud.find(both, "run-1")
    # busy is not "none": a run that is thought to be none is started again
    for _ in range(2):
        aws.add("glue", "get_job_runs", {"JobRuns": []})
    aws.refuse("stepfunctions", "describe_execution", "ThrottlingException")
    with pytest.raises(AwsError, match="too busy"):
        cloud.find(both, "run-1")


# -- who


def event(name: str, who: str, asked: dict[str, Any] | None, told: dict[str, Any] | None) -> dict[str, Any]:
    identity = {"arn": f"arn:aws:sts::123456789012:assumed-role/{who}"}
    seen = {"userIdentity": identity, "requestParameters": asked, "responseElements": told}
    return {"EventName": name, "CloudTrailEvent": json.dumps(seen)}


def test_who_asked_is_told_not_the_door_that_started_it(aws: Answers) -> None:
    """CloudTrail has the door's own start of the job, too, and reads the newest event first."""
    events = {
        "StartExecution": [event("StartExecution", "analyst/ann", {"name": "run-1"}, {"executionArn": "x"})],
        "StartJobRun": [
            event("StartJobRun", "owner/bob", {"jobName": "dp-pipelinedp"}, {"jobRunId": "jr_2"}),
            event("StartJobRun", "denied/eve", {"jobName": "dp-pipelinedp"}, None),
            event("StartJobRun", "door/states", {"name": "run-1"}, {"jobRunId": "jr_1"}),
        ],
        "AddJobFlowSteps": [event("AddJobFlowSteps", "owner/cy", {"jobFlowId": "j-1"}, {"stepIds": ["s-1", "s-2"]})],
    }
    for name, seen in events.items():
        asked = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}]}
        aws.add("cloudtrail", "lookup_events", {"Events": seen}, asked)
    assert starters() == {"run-1": "ann", "jr_2": "bob", "jr_1": "states", "s-1": "cy", "s-2": "cy"}
