"""A smoke test when something goes wrong: everything is taken away, whatever it was, and what is left is said."""

import os
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from boto3.exceptions import S3UploadFailedError
from smoke import __main__ as smoke_main
from smoke import deployment as smoke_deployment
from smoke import removal, runs, way
from smoke.account import Account
from smoke.catalog import CHECKS
from smoke.checks import Outcome, Result, Seen, Stage
from smoke.deployment import CdkError, Deployment
from smoke.progress import Progress

from cli.smoke.asking import client

OTHERS = ("differential-privacy-storage-bucket1", "dp-smoke-0a1b2cd-storage-bucket1", "dp-smoke-0a1b2c")


class Fakes:
    """The CDK's part, which records what is asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.fails: dict[str, BaseException] = {}
        for name in ("deploy", "destroy"):
            monkeypatch.setattr(Deployment, name, lambda _, progress, name=name: self(name))
        monkeypatch.setattr(runs, "prepare", lambda seen: self("prepare"))
        monkeypatch.setattr(runs, "start_and_wait", lambda seen: self("runs"))
        monkeypatch.setattr(way, "_wait_for_end", lambda seen: self("end"))

    def __call__(self, name: str) -> None:
        self.asked.append(name)
        if name in self.fails:
            raise self.fails[name]


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return Fakes(monkeypatch)


def ran(seen: Seen) -> dict[str, Result]:
    return {r.name: r for r in way.run(seen.account, seen.deployment, seen.table, seen.progress)}


def test_a_failed_deployment_is_taken_away_and_is_a_failure(fakes: Fakes, seen: Seen) -> None:
    fakes.fails["deploy"] = CdkError("cdk deploy ended with 1")
    results = ran(seen)
    assert fakes.asked == ["deploy", "destroy"]
    assert list(results) == [one.name for one in CHECKS]
    assert (results["stacks"].outcome, results["stacks"].saw) == (Outcome.FAILED, "cdk deploy ended with 1")
    later = [results[one.name] for one in CHECKS if one.stage < Stage.REMOVED and one.name != "stacks"]
    assert {r.outcome for r in later} == {Outcome.SKIPPED}
    assert all(r.saw.startswith("not reached: ") for r in later)
    assert results["removed"].outcome == Outcome.PASSED


@pytest.mark.parametrize("at", ["deploy", "prepare", "runs", "end"])
@pytest.mark.parametrize("error", [S3UploadFailedError("no"), subprocess.TimeoutExpired("cdk", 60), KeyError("x")])
def test_whatever_fails_everything_is_taken_away(fakes: Fakes, seen: Seen, at: str, error: Exception) -> None:
    fakes.fails[at] = error
    results = ran(seen)
    assert fakes.asked[-1] == "destroy"
    assert any(type(error).__name__ in r.saw for r in results.values() if r.outcome == Outcome.FAILED)
    assert seen.left == []


@pytest.mark.parametrize("before", ["_glue_logs", "_emr_logs", "stop_all", "_look_once_more"])
def test_what_comes_before_the_removal_cannot_keep_it_from_going_on(
    fakes: Fakes, seen: Seen, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    def fail(_: Seen) -> None:
        raise ValueError("not enough values to unpack")

    monkeypatch.setattr(runs if before == "stop_all" else way, before, fail)
    fakes.fails["runs"] = CdkError("so that logs are kept")
    ran(seen)
    assert fakes.asked[-1] == "destroy"


@pytest.mark.parametrize("at", ["deploy", "prepare", "runs", "end"])
def test_an_interrupt_takes_everything_away(fakes: Fakes, seen: Seen, at: str) -> None:
    fakes.fails[at] = KeyboardInterrupt()
    with pytest.raises(way.Interrupted) as stopped:
        ran(seen)
    assert fakes.asked[-1] == "destroy"
    assert [r.name for r in stopped.value.results] == [one.name for one in CHECKS]
    assert stopped.value.left == []


def test_what_goes_wrong_in_one_check_is_its_own(fakes: Fakes, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here nothing is deployed, so every check that looks fails in its own way, and the way goes to its end."""
    results = ran(seen)
    assert fakes.asked == ["deploy", "prepare", "runs", "end", "destroy"]
    passed = {name for name, r in results.items() if r.outcome == Outcome.PASSED}
    assert passed == {"removed"}  # nothing is there, so nothing is left
    skipped = {name for name, r in results.items() if r.outcome == Outcome.SKIPPED}
    assert skipped == {"isolated", "alarm", "glue-fixed", "glue-no-total", "ask", "ask-shape", "data-destroyed"}
    assert all(r.saw for r in results.values())


def test_what_is_destroyed_was_seen_before(fakes: Fakes, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    formation, s3, dynamodb = (client(name) for name in ("cloudformation", "s3", "dynamodb"))
    stack = seen.deployment.stacks["storage"]
    formation.create_stack(StackName=stack, TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}')
    s3.create_bucket(Bucket=f"{stack}-bucket1")
    dynamodb.create_table(
        TableName=f"{stack}-Ledger",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def destroy(*_: object) -> None:
        formation.delete_stack(StackName=stack)
        s3.delete_bucket(Bucket=f"{stack}-bucket1")
        dynamodb.delete_table(TableName=f"{stack}-Ledger")

    monkeypatch.setattr(Deployment, "destroy", destroy)
    results = ran(seen)
    assert (results["data-destroyed"].outcome, seen.left) == (Outcome.PASSED, [])


def test_what_cannot_be_taken_away_is_said(
    fakes: Fakes, seen: Seen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = f"{seen.deployment.prefix}-emr"
    client("cloudformation").create_stack(
        StackName=stack, TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )
    fakes.fails["destroy"] = CdkError("cdk destroy ended with 1")
    results = ran(seen)
    assert results["removed"].outcome == Outcome.FAILED
    assert f"stack {stack} (CREATE_COMPLETE)" in results["removed"].saw
    assert smoke_main._end(seen.deployment, list(results.values()), seen.progress) == 1
    said = capsys.readouterr().err
    assert "NOT ALL IS TAKEN AWAY" in said
    assert f"make smoke SMOKE='--remove {seen.deployment.prefix}'" in said


def test_a_second_interrupt_says_what_may_be_there(fakes: Fakes, seen: Seen) -> None:
    fakes.fails |= {"runs": KeyboardInterrupt(), "destroy": KeyboardInterrupt()}
    with pytest.raises(way.Interrupted) as stopped:
        ran(seen)
    [line] = stopped.value.left
    assert all(f"{seen.deployment.prefix}-{ending}" in line for ending in ("network", "storage", "glue", "emr"))


def test_an_interrupt_ends_the_cdk(
    account: Account, seen: Seen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No command line of the CDK goes on deploying behind the removal."""
    started = tmp_path / "started"
    script = tmp_path / "cdk"
    script.write_text(f"#!/bin/sh\necho $$ > {started}\nexec sleep 100\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(smoke_deployment, "_CDK", script)

    def interrupt() -> None:
        while not started.exists() or not started.read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` would ignore it
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            seen.deployment.deploy(seen.progress)
    finally:
        signal.signal(signal.SIGINT, before)
    assert subprocess.run(["kill", "-0", started.read_text().strip()], capture_output=True, check=False).returncode


def test_a_failing_cdk_is_quoted_and_one_that_hangs_is_ended(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "cdk"
    script.write_text('#!/bin/sh\nif [ "$1" = destroy ]; then exec sleep 60; fi\necho "no capacity"\nexit 3\n')
    script.chmod(0o755)
    monkeypatch.setattr(smoke_deployment, "_CDK", script)
    with pytest.raises(CdkError, match=r"ended with 3 .*no capacity"):
        seen.deployment.deploy(seen.progress)
    monkeypatch.setattr(smoke_deployment, "DESTROY_SECONDS", 0.2)
    with pytest.raises(CdkError, match="ended with -9"):
        seen.deployment.destroy(seen.progress)


def test_the_sweep_takes_its_own_and_no_other(seen: Seen, account: Account) -> None:
    prefix = seen.deployment.prefix
    s3, logs, dynamodb = (client(name) for name in ("s3", "logs", "dynamodb"))
    mine = f"{prefix}-storage-bucket1"
    for name in (mine, *OTHERS):
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"one", b"two"):
            s3.put_object(Bucket=name, Key="data/census.csv", Body=body)
        s3.delete_object(Bucket=name, Key="data/census.csv")
    groups = [f"/aws-glue/{prefix}/output", f"/aws/lambda/{prefix}-storage-Empty", f"{prefix}-network-FlowLogs"]
    theirs = ["/aws-glue/differential-privacy/output", f"/aws-glue/{prefix}d/output", f"x{prefix}-network"]
    for name in (*groups, *theirs):
        logs.create_log_group(logGroupName=name)
    tables = (f"{prefix}-storage-Ledger", f"{prefix}d-storage-Ledger")
    for name in tables:
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            DeletionProtectionEnabled=True,
        )
    found = removal.left(seen.deployment)
    assert [line for line in found if line.startswith(("bucket", "table"))] == [
        f"bucket {mine}",
        f"table {tables[0]}",
    ]
    assert removal.sweep(seen.deployment, seen.progress) == []
    assert sorted(b["Name"] for b in s3.list_buckets()["Buckets"]) == sorted(OTHERS)
    assert s3.list_object_versions(Bucket=OTHERS[0])["Versions"]
    assert sorted(g["logGroupName"] for g in logs.describe_log_groups()["logGroups"]) == sorted(theirs)
    assert dynamodb.list_tables()["TableNames"] == [tables[1]]


def test_a_nat_gateway_is_left_and_anothers_is_not(seen: Seen) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/27")["Subnet"]["SubnetId"]
    ours, _ = (
        ec2.create_nat_gateway(
            SubnetId=subnet,
            ConnectivityType="private",
            TagSpecifications=[{"ResourceType": "natgateway", "Tags": [{"Key": "project", "Value": project}]}],
        )["NatGateway"]["NatGatewayId"]
        for project in (seen.deployment.prefix, "differential-privacy")
    )
    assert removal.left(seen.deployment) == [f"NAT gateway {ours}"]
    ec2.delete_nat_gateway(NatGatewayId=ours)
    assert removal.left(seen.deployment) == []


def test_waiting_has_a_limit_and_says_what_changes(capsys: pytest.CaptureFixture[str]) -> None:
    states = iter(["STARTING", "STARTING", "RUNNING", "SUCCEEDED"])
    progress = Progress(every=0.001)
    assert progress.wait("a run", lambda: next(states), lambda s: s == "SUCCEEDED", 60) == "SUCCEEDED"
    said = capsys.readouterr().err
    assert [line.split("] ")[1] for line in said.splitlines()] == [
        "a run: STARTING",
        "a run: RUNNING",
        "a run: SUCCEEDED",
    ]
    with pytest.raises(TimeoutError, match="a run is WAITING after"):
        progress.wait("a run", lambda: "WAITING", lambda _: False, 0.01)
