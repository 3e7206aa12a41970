"""What arrives by e-mail: the deployed rules and state machines (the snapshots'), run by a moto server.

moto does not hand events on to state machines: which rule takes an event is asked of moto's own matching, and the
rule's transformer, which is a few words, is applied here. The machines ask moto's EMR and publish to moto's SNS.
"""

import json
import re
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import sleep
from typing import Any

import boto3
import pytest
from moto.emr.exceptions import ValidationException
from moto.emr.models import emr_backends
from moto.events.models import EventPattern
from moto.sns.models import sns_backends

from infra.intrinsics import Resource, Templates

SNAPSHOT = Path(__file__).parents[1] / "infra/snapshots/notice/notice.json"
ACCOUNT, REGION = "123456789012", "us-east-1"
TIME = "2026-11-26T12:00:00Z"
SECRET = "AnythingAtAll"  # stands wherever an event holds words of others


@cache
def stack() -> Templates:
    return Templates({"notice": json.loads(SNAPSHOT.read_text())}, ACCOUNT, REGION, "aws")


def all_of(kind: str) -> dict[str, Resource]:
    """The resources of a type, by the logical id without its hash."""
    return {r.logical_id[:-8]: r for r in stack().resources() if r.type == f"AWS::{kind}"}


@dataclass(frozen=True)
class Account:
    """An AWS account on the server, with the stack's topic and its machines."""

    emr: Any
    machines: Any
    topic: str
    arns: dict[str, str]

    def runs(self, machine: str, given: dict[str, Any]) -> list[tuple[str, str]]:
        """Run a machine to its end, and return the subjects and texts that it has published."""
        topic = sns_backends[ACCOUNT][REGION].topics[self.topic]
        topic.sent_notifications.clear()
        started = self.machines.start_execution(
            stateMachineArn=self.arns[machine], name=uuid.uuid4().hex, input=json.dumps(given)
        )
        told = {"status": "RUNNING"}
        for _ in range(300):
            told = self.machines.describe_execution(executionArn=started["executionArn"])
            if told["status"] != "RUNNING":
                break
            sleep(0.05)
        assert told["status"] == "SUCCEEDED", told
        return [(subject, text) for _, text, subject, *_ in topic.sent_notifications]

    def cluster(self, name: str = "differential-privacy-emr") -> str:
        """Start a cluster that waits."""
        instances = {"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1, "MasterInstanceType": "m5.xlarge"}
        return str(self.emr.run_job_flow(Name=name, Instances=instances)["JobFlowId"])


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=endpoint, **keys)

    [topic] = all_of("SNS::Topic").values()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_PORT", str(port))  # where its state machines call AWS
        configure(endpoint, execute=True)
        made = client("sns").create_topic(Name=stack().name(topic))
        assert made["TopicArn"] == stack().arn(topic)
        machines, arns = client("stepfunctions"), {}
        for name, machine in all_of("StepFunctions::StateMachine").items():
            definition = stack().resolve("notice", machine.properties["DefinitionString"])
            quick = definition.replace('"IntervalSeconds":5', '"IntervalSeconds":1').replace(
                '"MaxAttempts":6', '"MaxAttempts":1'
            )
            role = f"arn:aws:iam::{ACCOUNT}:role/publisher"
            made = machines.create_state_machine(name=f"{name}-{uuid.uuid4().hex}", definition=quick, roleArn=role)
            arns[name] = made["stateMachineArn"]
        yield Account(client("emr"), machines, stack().arn(topic), arns)
        configure(endpoint, execute=False)
    server.stop()


def configure(endpoint: str, *, execute: bool) -> None:
    body = json.dumps({"stepfunctions": {"execute_state_machine": execute}}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/config", body, headers)).close()


@pytest.fixture(autouse=True)
def _no_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """None but the test's own: moto keeps those of all tests of this process."""
    monkeypatch.setattr(emr_backends[ACCOUNT][REGION], "clusters", {})


def event(source: str, kind: str, **detail: Any) -> dict[str, Any]:
    """An event as EventBridge has it: events-ref-glue.html, …-emr.html, …-states.html."""
    whole = {"version": "0", "id": "1", "account": ACCOUNT, "time": TIME, "region": REGION, "resources": []}
    return {**whole, "source": source, "detail-type": kind, "detail": detail}


def handed_on(happened: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Which machines an event starts, with what: by the rules' patterns and transformers."""
    found = []
    for rule in all_of("Events::Rule").values():
        if "EventPattern" not in rule.properties:
            continue
        pattern = json.dumps(stack().resolve("notice", rule.properties["EventPattern"]))
        if not EventPattern.load(pattern).matches_event(happened):
            continue
        [target] = rule.properties["Targets"]
        transformer = target["InputTransformer"]
        text = transformer["InputTemplate"]
        for name, path in transformer["InputPathsMap"].items():
            value: Any = happened
            for part in path.removeprefix("$.").split("."):
                value = value[part]
            # in a string of the template the value itself, else a string of its own
            text = text.replace(f":<{name}>", f":{json.dumps(value)}").replace(f"<{name}>", str(value))
        found.append((target["Arn"]["Ref"][:-8], json.loads(text)))
    return found


GLUE = {"jobName": "differential-privacy-pipelinedp", "jobRunId": "jr_1", "severity": "INFO", "message": SECRET}
STEP = {"severity": "INFO", "actionOnFailure": "CONTINUE", "stepId": "s-1", "name": SECRET, "message": SECRET}
CLUSTER = {"severity": "INFO", "clusterId": "j-1", "stateChangeReason": SECRET, "message": SECRET}
DOOR = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:differential-privacy-ask"
QUESTION = {"stateMachineArn": DOOR, "name": "run-1", "input": SECRET, "output": SECRET, "cause": SECRET}


@pytest.mark.parametrize(
    ("happened", "subject", "text"),
    [
        (
            event("aws.glue", "Glue Job State Change", state="FAILED", **GLUE),
            "differential-privacy: FAILED",
            f"The Glue job run jr_1 of differential-privacy-pipelinedp is FAILED since {TIME}.",
        ),
        (
            event(
                "aws.emr", "EMR Cluster State Change", state="STARTING", name="differential-privacy-emr", **CLUSTER
            ),
            "differential-privacy: STARTING",
            f"The EMR cluster j-1 is STARTING since {TIME}.",
        ),
        (
            event("aws.states", "Step Functions Execution Status Change", status="SUCCEEDED", **QUESTION),
            "differential-privacy: SUCCEEDED",
            f"The question run-1 is SUCCEEDED since {TIME}.",
        ),
    ],
    ids=["glue", "cluster", "question"],
)
def test_a_state_change_arrives_and_nothing_else_of_the_event(
    account: Account, happened: dict[str, Any], subject: str, text: str
) -> None:
    [(machine, given)] = handed_on(happened)
    assert SECRET in json.dumps(happened)
    assert SECRET not in json.dumps(given)
    assert account.runs(machine, given) == [(subject, text)]


def test_a_step_of_our_cluster_arrives_and_anothers_does_not(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = type(emr_backends[ACCOUNT][REGION])
    real = backend.describe_cluster

    def describe_cluster(self: Any, cluster_id: str) -> Any:
        if cluster_id not in self.clusters:  # as EMR does; moto breaks
            raise ValidationException(f"Cluster id '{cluster_id}' is not valid.")
        return real(self, cluster_id)

    monkeypatch.setattr(backend, "describe_cluster", describe_cluster)
    ours, other = account.cluster(), account.cluster("somebody-elses")
    for cluster, arrives in ((ours, True), (other, False), ("j-GONE", True)):  # rather too much than too little
        happened = event("aws.emr", "EMR Step Status Change", state="COMPLETED", clusterId=cluster, **STEP)
        [(machine, given)] = handed_on(happened)
        assert SECRET not in json.dumps(given)
        text = f"The step s-1 on the EMR cluster {cluster} is COMPLETED since {TIME}."
        assert account.runs(machine, given) == ([("differential-privacy: COMPLETED", text)] if arrives else [])


@pytest.mark.parametrize(
    "happened",
    [
        event("aws.glue", "Glue Job State Change", state="FAILED", **GLUE | {"jobName": "another"}),
        event("aws.emr", "EMR Cluster State Change", state="STARTING", name="another-emr", **CLUSTER),
        event("aws.emr", "EMR Cluster State Change", state="WAITING", name="differential-privacy-emr", **CLUSTER),
        event("aws.emr", "EMR Step Status Change", state="RUNNING", clusterId="j-1", **STEP),
        event(
            "aws.states",
            "Step Functions Execution Status Change",
            status="FAILED",
            **QUESTION | {"stateMachineArn": DOOR.replace("-ask", "-other")},
        ),
    ],
)
def test_what_is_not_ours_or_no_news_is_not_listened_to(happened: dict[str, Any]) -> None:
    assert handed_on(happened) == []


def test_a_cluster_that_is_still_up_after_a_day_is_told_of(account: Account) -> None:
    """A day takes a second here."""
    assert account.runs("Watched", {"seconds": 1}) == []
    ours = [account.cluster(), account.cluster()]
    account.cluster("somebody-elses")
    told = account.runs("Watched", {"seconds": 1})
    assert sorted(told) == sorted(
        (
            "differential-privacy: a cluster is older than a day",
            f"The EMR cluster {id_} is older than a day, and paid for: it is WAITING. "
            "To end it: dpcloud emr stop --stack differential-privacy",
        )
        for id_ in ours
    )


def test_one_that_ended_meanwhile_is_not(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = account.cluster()
    backend = emr_backends[ACCOUNT][REGION]
    real = type(backend).describe_cluster

    def describe_cluster(self: Any, cluster_id: str) -> Any:
        self.clusters[cluster_id].state = "TERMINATED"
        return real(self, cluster_id)

    monkeypatch.setattr(type(backend), "describe_cluster", describe_cluster)
    assert account.runs("Watched", {"seconds": 1}) == []
    assert account.emr.describe_cluster(ClusterId=ours)["Cluster"]["Status"]["State"] == "TERMINATED"


def test_where_emr_does_not_answer_that_is_told(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = account.cluster()

    def fail(*_: object, **__: object) -> Any:
        raise ValidationException("no")

    backend = type(emr_backends[ACCOUNT][REGION])
    monkeypatch.setattr(backend, "describe_cluster", fail)
    [(subject, text)] = account.runs("Watched", {"seconds": 1})
    assert (subject, ours in text) == ("differential-privacy: no look at a cluster", True)
    monkeypatch.setattr(backend, "list_clusters", fail)
    [(subject, text)] = account.runs("Watched", {"seconds": 1})
    assert subject == "differential-privacy: no look at the clusters"


def test_the_template_has_no_variable_twice() -> None:
    """What `handed_on` does by hand is EventBridge's only while each name stands for one path."""
    for rule in all_of("Events::Rule").values():
        for target in rule.properties["Targets"]:
            paths = target.get("InputTransformer", {}).get("InputPathsMap", {})
            assert len(set(paths.values())) == len(paths)
            assert all(re.fullmatch(r"\$(\.\w+){1,2}", path) for path in paths.values())
