"""`dpcloud emr …` and what `run --on emr` starts, on a server with AWS's protocols (moto) in this process.

moto makes clusters, steps and machines; what their states become is said here, as EMR would.
"""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.emr.exceptions import ValidationException
from moto.emr.models import emr_backends
from moto.emr.responses import ElasticMapReduceResponse

from cli.aws.deployed import PREFIX, request, template
from dpcloud.aws import clusters
from dpcloud.aws.cluster_definition import Definition
from dpcloud.aws.clusters import Cluster, live_cluster, start_cluster, why_ended
from dpcloud.aws.errors import AwsError
from dpcloud.aws.stacks import Deployment
from dpcloud.cli import main
from library.ledger import dynamodb_local

NAME = f"{PREFIX}-emr"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
SAID = "You have requested more vCPU capacity than your current vCPU limit of 5 allows."


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    made = boto3.client("cloudformation", endpoint_url=address, **KEYS)
    made.create_stack(StackName=NAME, TemplateBody=json.dumps(template(json.dumps(request()))))
    yield address
    made.delete_stack(StackName=NAME)
    server.stop()


@pytest.fixture(autouse=True)
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    patience = iter(range(100))  # else what never comes to its end would never fail

    def sleep(seconds: float) -> None:
        assert seconds == clusters.POLL_SECONDS
        assert next(patience, None) is not None, "it is followed for good"

    monkeypatch.setattr(clusters, "sleep", sleep)
    for name, value in {**dynamodb_local.ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(emr_backends["123456789012"]["us-east-1"], "clusters", {})


def backend() -> Any:
    """moto's own clusters, to be put into the states that EMR would bring them to."""
    return emr_backends["123456789012"]["us-east-1"].clusters


@pytest.fixture
def emr(endpoint: str) -> Any:
    return boto3.client("emr", endpoint_url=endpoint, **KEYS)


def told(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    capfd.readouterr()
    main(["emr", *words])
    shown = capfd.readouterr()
    return shown.out, shown.err


def one_line(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of an error; what a command says before it stands in lines of its own."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["emr", *words])
    shown = capfd.readouterr()
    assert (left.value.code, shown.out) == (2, "")
    _, dpcloud, line = shown.err.partition("dpcloud: ")  # a question ends where its answer is typed
    assert line.count("\n") == 1, shown.err
    return dpcloud + line.rstrip()


def answers(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """A user at a terminal, who types a word."""
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"{word}\n"))


# -- start


def test_the_cluster_comes_back_as_it_is_deployed(emr: Any, capfd: pytest.CaptureFixture[str]) -> None:
    out, err = told(capfd, "start", "--yes")
    id_ = out.split()[0]
    asked, made = request(), emr.describe_cluster(ClusterId=id_)["Cluster"]
    assert out == f"{id_} is WAITING\n"
    for name in ("Name", "ReleaseLabel", "SecurityConfiguration", "ServiceRole", "LogUri"):
        assert made[name] == asked[name], name
    assert made["Ec2InstanceAttributes"]["Ec2SubnetId"] == asked["Instances"]["Ec2SubnetId"]
    groups = emr.list_instance_groups(ClusterId=id_)["InstanceGroups"]
    assert sorted((g["InstanceGroupType"], g["InstanceType"], g["RequestedInstanceCount"]) for g in groups) == [
        ("CORE", "m5.4xlarge", 2),
        ("MASTER", "m5.4xlarge", 1),
    ]
    assert {t["Key"]: t["Value"] for t in made["Tags"]} == {t["Key"]: t["Value"] for t in asked["Tags"]}
    [action] = emr.list_bootstrap_actions(ClusterId=id_)["BootstrapActions"]
    assert action["Args"] == asked["BootstrapActions"][0]["ScriptBootstrapAction"]["Args"]
    # 3 × (0.768 + 0.192) and 813 GB of disks; 20 minutes of boot and an idle hour
    assert err == (
        "Starts a cluster of 1 × m5.4xlarge + 2 × m5.4xlarge: 2.99 USD an hour, 3.99 at least; "
        "it ends itself after 60 minutes without work.\n"
    )


def test_a_second_start_starts_none(emr: Any, capfd: pytest.CaptureFixture[str]) -> None:
    first = told(capfd, "start", "--yes")[0].split()[0]
    for words in ((), ("--wait",)):
        out, err = told(capfd, "start", *words)  # it need not even ask
        assert re.fullmatch(rf"{first} is WAITING since \d{{4}}-.* UTC: no other is started\n", out)
        assert err == ""
    assert len(emr.list_clusters()["Clusters"]) == 1


def test_the_price_is_asked_for_before_anything_starts(
    emr: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert one_line(capfd, "start") == (
        "dpcloud: there is no terminal to ask in, and nothing was done; allowed: --yes"
    )
    answers(monkeypatch, "n")
    assert one_line(capfd, "start").endswith("nothing was done, as you said")
    assert emr.list_clusters()["Clusters"] == []
    answers(monkeypatch, "y")
    out, err = told(capfd, "start")
    assert " is WAITING" in out
    assert err.index("2.99 USD an hour") < err.index("Start it?")


def test_wait_follows_it_until_it_takes_steps(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["STARTING", "BOOTSTRAPPING", "BOOTSTRAPPING", "WAITING"])
    real = clusters.cluster_of

    def cluster_of(cluster_id: str) -> Cluster:
        backend()[cluster_id].state = next(states)
        return real(cluster_id)

    monkeypatch.setattr(clusters, "cluster_of", cluster_of)
    out, err = told(capfd, "start", "--yes", "--wait")
    assert [line.split()[-1] for line in out.splitlines()] == ["STARTING", "steps"]
    assert [line.split()[1] for line in err.splitlines()[1:]] == ["STARTING", "BOOTSTRAPPING", "WAITING"]


def test_wait_says_why_it_ended_and_what_to_type(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["STARTING", "TERMINATED_WITH_ERRORS"])
    real = clusters.cluster_of

    def cluster_of(cluster_id: str) -> Cluster:
        backend()[cluster_id].state = next(states)
        backend()[cluster_id].last_state_change_reason = f"{SAID}\n\x1b[31m more"
        return real(cluster_id)

    monkeypatch.setattr(clusters, "cluster_of", cluster_of)
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["emr", "start", "--yes", "--wait"])
    shown = capfd.readouterr()
    line = shown.err.splitlines()[-1]
    assert left.value.code == 2
    assert f"ended (TERMINATED_WITH_ERRORS): {SAID} [31m more; allowed: " in line
    assert "--quota-code L-1216C47A --desired-value 48`" in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("code", "message", "next_"),
    [
        ("VALIDATION_ERROR", SAID, "--desired-value 48"),
        ("BOOTSTRAP_FAILURE", "bootstrap action 1 returned a non-zero return code", "aws s3 ls --recursive s3://"),
        ("INSTANCE_FAILURE", "m5.4xlarge is not supported in the availability zone", "dp.emr.zone=b"),
        ("INTERNAL_ERROR", "", "`dpcloud emr start` once more"),
    ],
)
def test_why_it_ended(code: str, message: str, next_: str) -> None:
    """moto knows no codes: EMR's are put into the record that is read from its answer."""
    at = datetime(2026, 11, 26, tzinfo=UTC)
    line = str(
        why_ended(Cluster("j-1", NAME, "TERMINATED_WITH_ERRORS", at, None, at, code, message), Definition(request()))
    )
    assert line.startswith(f"the cluster j-1 ended (TERMINATED_WITH_ERRORS): {message or code}; allowed: ")
    assert next_ in line


def test_a_lost_answer_starts_no_second_cluster(emr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMR has started it, and its answer does not arrive."""
    real, calls = ElasticMapReduceResponse.run_job_flow, []

    def run_job_flow(self: ElasticMapReduceResponse) -> Any:
        calls.append(real(self))
        raise RuntimeError

    monkeypatch.setattr(ElasticMapReduceResponse, "run_job_flow", run_job_flow)
    cluster = start_cluster(Deployment(PREFIX))
    assert [c["Id"] for c in emr.list_clusters()["Clusters"]] == [cluster.id]
    assert len(calls) == 1


def test_a_refused_start_is_not_taken_for_a_lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came up meanwhile is somebody else's."""
    real = ElasticMapReduceResponse.run_job_flow

    def run_job_flow(self: ElasticMapReduceResponse) -> Any:
        real(self)
        raise ValidationException("the number of instances exceeds the limit")

    monkeypatch.setattr(ElasticMapReduceResponse, "run_job_flow", run_job_flow)
    with pytest.raises(AwsError, match=f"to start the cluster {NAME}"):
        start_cluster(Deployment(PREFIX))


def test_a_start_that_fails_is_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a cluster that was up before what was started."""
    start_cluster(Deployment(PREFIX))

    def run_job_flow(self: ElasticMapReduceResponse) -> Any:
        raise RuntimeError

    monkeypatch.setattr(ElasticMapReduceResponse, "run_job_flow", run_job_flow)
    with pytest.raises(AwsError, match=f"to start the cluster {NAME}"):
        start_cluster(Deployment(PREFIX))


def test_a_start_that_cannot_be_looked_at_is_a_start(emr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is up and paid for, whoever may see it."""

    def cluster_of(cluster_id: str) -> Cluster:
        raise AwsError("AWS does not let you look at an EMR cluster")

    monkeypatch.setattr(clusters, "cluster_of", cluster_of)
    cluster = start_cluster(Deployment(PREFIX))
    assert [c["Id"] for c in emr.list_clusters()["Clusters"]] == [cluster.id]
    assert cluster.state == "STARTING"


def test_two_that_started_at_once_are_told(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = start_cluster(Deployment(PREFIX))
    monkeypatch.setattr("dpcloud.cloud.emr.live_cluster", lambda deployment: None)  # as both saw it
    _, err = told(capfd, "start", "--yes")
    assert f"beside it is up and paid for: {other.id}; `dpcloud emr stop` ends them all" in err


@pytest.mark.parametrize("value", ["no JSON", "{}", json.dumps({**request(), "Name": "another-emr"})])
def test_what_is_no_definition_of_ours_is_not_started(
    endpoint: str, emr: Any, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    """Whoever can write that parameter decides what runs with the rights of the cluster."""
    ssm = boto3.client("ssm", endpoint_url=endpoint, **KEYS)
    ssm.put_parameter(Name="cluster-definition", Type="String", Value=value, Overwrite=True)
    try:
        assert "no definition of this deployment's cluster in the parameter" in one_line(capfd, "start", "--yes")
        assert emr.list_clusters()["Clusters"] == []
    finally:
        whole = json.dumps(request())
        ssm.put_parameter(Name="cluster-definition", Type="String", Value=whole, Overwrite=True)


def test_where_nothing_is_deployed(capfd: pytest.CaptureFixture[str]) -> None:
    assert "no such stack in this account and region (us-east-1)" in one_line(capfd, "start", "--stack", "other")
    assert "malformed stack name: given 'a b'" in one_line(capfd, "status", "--stack", "a b")


def test_in_another_region_the_price_is_said_to_be_that_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    from dpcloud.aws.cluster_definition import offer_of

    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    asked = request()
    assert "(us-east-1's prices; those of eu-west-1 differ)" in offer_of(Definition(asked)).text
    asked["Instances"]["InstanceGroups"][1]["InstanceType"] = "g5.xlarge"
    assert "whose price is not known here" in offer_of(Definition(asked)).text
    assert Definition(asked).vcpus is None


# -- which cluster


def test_the_live_cluster_is_the_newest_of_that_name_that_is_up(emr: Any) -> None:
    assert live_cluster(Deployment(PREFIX)) is None
    ids = [start_cluster(Deployment(PREFIX)).id for _ in range(3)]
    emr.run_job_flow(**{**request(), "Name": "another-emr"})
    now = datetime.now(UTC)
    for age, id_ in enumerate(reversed(ids)):
        backend()[id_].creation_datetime = (now - timedelta(hours=age)).replace(tzinfo=None)
    for state, expected in (("STARTING", 2), ("TERMINATING", 1), ("BOOTSTRAPPING", 2), ("TERMINATED", 1)):
        backend()[ids[2]].state = state
        found = live_cluster(Deployment(PREFIX))
        assert found is not None
        assert found.id == ids[expected], state
    assert [c.id for c in clusters.clusters(Deployment(PREFIX))] == ids[::-1]


def test_the_newest_is_found_on_whatever_page_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """EMR lists "in unsorted order", says its API's documentation; moto keeps one."""
    now = datetime.now(UTC)

    def told(id_: str, age: int) -> dict[str, Any]:
        times = {"CreationDateTime": now - timedelta(hours=age)}
        return {"Id": id_, "Name": NAME, "Status": {"State": "WAITING", "Timeline": times}}

    class Emr:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: object) -> list[dict[str, Any]]:
            return [
                {"Clusters": [told("old", 9), told("middle", 5)]},
                {"Clusters": [told("older", 10), told("new", 1)]},
            ]

    monkeypatch.setattr(clusters, "client", lambda *_: Emr())
    assert [c.id for c in clusters.clusters(Deployment(PREFIX))] == ["new", "middle", "old", "older"]


# -- status


def test_status(emr: Any, capfd: pytest.CaptureFixture[str]) -> None:
    none = f"no cluster {NAME} is up: `dpcloud emr start` brings one\n"
    assert told(capfd, "status") == (none, "")
    first = start_cluster(Deployment(PREFIX)).id
    backend()[first].creation_datetime = datetime(2026, 1, 1, 10)
    backend()[first].ready_datetime = datetime(2026, 1, 1, 10, 20)
    backend()[first].end_datetime = datetime(2026, 1, 1, 12)
    backend()[first].state, backend()[first].last_state_change_reason = "TERMINATED", "Terminated by user\nrequest"
    last = f"the last before: {first}  TERMINATED 2026-01-01 12:00 UTC, about 5.98 USD: Terminated by user request\n"
    assert told(capfd, "status") == (none + last, "")
    second = start_cluster(Deployment(PREFIX)).id
    step = {"Name": "run-1", "HadoopJarStep": {"Jar": "command-runner.jar"}}
    [added] = emr.add_job_flow_steps(JobFlowId=second, Steps=[step])["StepIds"]
    out, _ = told(capfd, "status")
    assert re.match(rf"{second}  (WAITING|RUNNING) since .* UTC, 0 minutes old, about 0.0\d USD\n", out)
    assert re.search(rf"\n  {added}  (STARTING|PENDING|RUNNING)  run-1\n", out)
    assert out.endswith(last)
    third = start_cluster(Deployment(PREFIX)).id
    out, _ = told(capfd, "status")
    assert third in out
    assert "2 are up and paid for: `dpcloud emr stop` ends them all\n" in out


# -- stop


def test_stop_ends_all_that_are_up(emr: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert told(capfd, "stop") == (f"no cluster {NAME} is up\n", "")
    ids = {start_cluster(Deployment(PREFIX)).id for _ in range(2)}
    other = emr.run_job_flow(**{**request(), "Name": "another-emr"})["JobFlowId"]
    out, err = told(capfd, "stop")
    assert {line.split()[0] for line in out.splitlines()} == ids
    assert all(" has ended (TERMINATED), about 0.0" in line for line in out.splitlines())
    states = {c["Id"]: c["Status"]["State"] for c in emr.list_clusters()["Clusters"]}
    assert states == {**dict.fromkeys(ids, "TERMINATED"), other: "WAITING"}
    assert "TERMINATED" in err  # where it stands while it is waited for


def test_stop_asks_when_a_step_would_be_lost(
    emr: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = start_cluster(Deployment(PREFIX)).id
    emr.add_job_flow_steps(JobFlowId=id_, Steps=[{"Name": "run-1", "HadoopJarStep": {"Jar": "command-runner.jar"}}])
    for state in ("PENDING", "RUNNING"):
        backend()[id_].steps[0].state = state
        assert "no terminal to ask in, and nothing was done; allowed: --yes" in one_line(capfd, "stop")
    answers(monkeypatch, "n")
    assert one_line(capfd, "stop").endswith("nothing was done, as you said")
    assert live_cluster(Deployment(PREFIX)) is not None
    out, err = told(capfd, "stop", "--yes", "--no-wait")
    assert out == f"{id_} is about to end\n"
    assert err == "1 step would be lost: run-1 (RUNNING).\n"
    assert live_cluster(Deployment(PREFIX)) is None


def test_ctrl_c_leaves_what_was_asked_for(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    start_cluster(Deployment(PREFIX))
    monkeypatch.setattr(clusters, "sleep", interrupted)
    monkeypatch.setattr("moto.emr.models.Cluster.terminate", lambda self: setattr(self, "state", "TERMINATING"))
    with pytest.raises(SystemExit) as left:
        main(["emr", "stop"])
    assert left.value.code == 130
    assert "goes on ending: `dpcloud emr status`" in capfd.readouterr().err


# -- shell


def test_without_a_cluster_there_is_no_session(capfd: pytest.CaptureFixture[str]) -> None:
    assert "no cluster takes sessions now: given 'none'" in one_line(capfd, "shell")
    id_ = start_cluster(Deployment(PREFIX)).id
    backend()[id_].state = "BOOTSTRAPPING"
    assert f"given '{id_}, BOOTSTRAPPING'; allowed: `dpcloud emr start --wait` first" in one_line(capfd, "shell")


def primary(emr: Any, id_: str) -> str:
    [primary] = emr.list_instances(ClusterId=id_, InstanceGroupTypes=["MASTER"])["Instances"]
    return str(primary["Ec2InstanceId"])


def test_shell_prints_the_command_where_a_part_is_missing(
    emr: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = primary(emr, start_cluster(Deployment(PREFIX)).id)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = f"aws ssm start-session --target {instance} --region us-east-1\n"
    assert told(capfd, "shell") == (
        command,
        "not installed here: aws, session-manager-plugin; where `aws` and its session-manager-plugin are, type:\n",
    )
    program(tmp_path / "aws")
    out, err = told(capfd, "shell")
    assert (out, err.split(";")[0]) == (command, "not installed here: session-manager-plugin")


def test_shell_becomes_the_session(emr: Any, tmp_path: Path) -> None:
    """In a process of its own, which the session takes over: keys, signals and exit code are the session's."""
    instance = primary(emr, start_cluster(Deployment(PREFIX)).id)
    for name in ("aws", "session-manager-plugin"):
        program(tmp_path / name)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "dpcloud", "emr", "shell"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == f"ssm start-session --target {instance} --region us-east-1\n"


def program(path: Path) -> None:
    path.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


# -- the request


def test_the_request_is_one_that_emrs_api_takes(endpoint: str) -> None:
    """botocore's model of RunJobFlow: no unknown word, no wrong type; and it knows a mistake."""
    from botocore.exceptions import ParamValidationError

    emr = boto3.client("emr", endpoint_url=endpoint, **KEYS)
    assert emr.run_job_flow(**request())["JobFlowId"].startswith("j-")
    for wrong in ({"InstanceType": 5}, {"Markt": "ON_DEMAND"}):
        asked = request()
        asked["Instances"]["InstanceGroups"][0].update(wrong)
        with pytest.raises(ParamValidationError):
            emr.run_job_flow(**asked)
