"""That the checks can fail: each is shown what it must not pass, on moto in this process."""

import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from smoke import check_answers, check_emr, check_glue, check_storage, report, runs
from smoke.catalog import CHECKS
from smoke.checks import Check, Outcome, Run, Seen, result_of
from smoke.moto import LACKS
from smoke.removal import left, there
from smoke.settings import ENGINES, SETTINGS

from dpcloud import cost as cost_command
from dpjobs.ledger.dynamodb import DynamoDBLedger

REGION = "us-east-1"
DOCS = Path(__file__).parents[3] / "docs/operations.md"


def client(name: str) -> Any:
    return boto3.client(name, region_name=REGION)


def outcome(one: Check, seen: Seen) -> tuple[Outcome, str]:
    found = result_of(one, seen)
    assert found.saw
    return found.outcome, found.saw


@pytest.fixture
def bucket(seen: Seen) -> str:
    name = f"{seen.deployment.prefix}-storage-bucket1"
    client("s3").create_bucket(Bucket=name)
    arn = f"arn:aws:dynamodb:{REGION}:123456789012:table/{seen.deployment.prefix}-storage-Ledger"
    client("dynamodb").create_table(
        TableName=arn.rpartition("/")[2],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    seen.deployment.outputs = {
        "BucketName": name, "LedgerTableArn": arn, "LedgerTableName": arn.rpartition("/")[2], "ClusterId": "j-1",
    }  # fmt: skip
    seen.address = f"s3://{name}/data/census.csv"
    return name


def test_the_checklist_of_the_docs_is_that_of_the_script() -> None:
    section = DOCS.read_text().split("## What only AWS can show")[1].split("\n## ")[0]
    told = re.findall(r"^- `([a-z-]+)`: (.+(?:\n  .+)*)$", section, re.MULTILINE)
    assert [(name, " ".join(title.split())) for name, title in told] == [(c.name, c.title) for c in CHECKS]


def test_names_are_unique_and_each_says_what_it_looks_at() -> None:
    assert len({c.name for c in CHECKS}) == len(CHECKS)
    for one in CHECKS:
        assert one.look.__doc__
        assert set(one.needs) <= set(LACKS)
    modules = (check_answers, check_emr, check_glue, check_storage)
    made = {found.name for module in modules for found in vars(module).values() if isinstance(found, Check)}
    assert made == {c.name for c in CHECKS}


def test_the_price_is_that_of_dpcloud_cost(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    found = seen.deployment.cost()
    text = report.announcement(seen.deployment, found, "a table")
    assert found.emr is not None
    config = cost_command.read_config(seen.deployment.folder / "cdk.json", [])
    assert found == cost_command.cost_of(config)
    assert f"{found.emr.hour:,.2f} an hour" in text
    # five runs of four minutes on two workers, an hour of cluster, an hour and a half of gateway and address
    by_hand = 0.58 * 20 / 60 + float(found.emr.hour) + 1.5 * 0.05
    assert f"about {by_hand:,.2f} USD" in text
    assert f"{found.forgotten:,.2f} USD in the first month" in text
    assert SETTINGS["glue"]["number_of_workers"] == 2


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ('{"value": 4463.2}', None),
        ("read 19178492 in all", "the exact sum"),
        ("sum 40000", None),  # too short to be no chance: it is looked for only from seven digits on
        ("Somewhere County,19123456", "a county's name"),
    ],
)
def test_a_number_of_the_table_in_a_log_is_found(seen: Seen, bucket: str, message: str, wrong: str | None) -> None:
    assert "19178492" in seen.table.telltales()  # 19123456 + 55036
    logs, group = client("logs"), f"/aws-glue/{seen.deployment.prefix}/output"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="run")
    events = [{"timestamp": int(time.time() * 1000), "message": message}]
    logs.put_log_events(logGroupName=group, logStreamName="run", logEvents=events)
    what, saw = outcome(check_glue.glue_logs, seen)
    assert what == (Outcome.PASSED if wrong is None else Outcome.FAILED)
    assert wrong is None or wrong in saw
    assert "19178492" not in saw  # a check quotes nothing of the table either
    assert outcome(check_glue.glue_log_keys, seen)[0] == Outcome.FAILED  # neither key nor retention

    client("s3").put_object(Bucket=bucket, Key="emr/cluster-logs/j-1/stdout.gz", Body=gzip.compress(message.encode()))
    assert outcome(check_emr.emr_logs, seen)[0] == what


def test_what_the_daemons_write_is_found(seen: Seen, bucket: str) -> None:
    logs, group = client("logs"), f"/aws-glue/{seen.deployment.prefix}/error"
    assert outcome(check_glue.glue_logs, seen) == (
        Outcome.FAILED,
        "no log group of the jobs is there: the runs' output went elsewhere",
    )
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="executor")
    events = [{"timestamp": int(time.time() * 1000), "message": "block of 12 bytes"}]
    logs.put_log_events(logGroupName=group, logStreamName="executor", logEvents=events)
    assert "Spark's daemons" in outcome(check_glue.glue_logs, seen)[1]


@pytest.mark.parametrize("lacks", [None, "kmsKeyId", "retentionInDays"])
def test_a_log_group_without_a_key_or_an_end_is_found(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, lacks: str | None
) -> None:
    group = {"logGroupName": "/aws-glue/of-ours", "kmsKeyId": "key", "retentionInDays": 90}
    monkeypatch.setattr(check_glue, "_glue_groups", lambda _: [{k: v for k, v in group.items() if k != lacks}])
    assert outcome(check_glue.glue_log_keys, seen)[0] is (Outcome.FAILED if lacks else Outcome.PASSED)


def test_metrics_are_found(seen: Seen) -> None:
    assert outcome(check_glue.glue_metrics, seen) == (
        Outcome.FAILED,
        "no run has succeeded",
    )  # it would prove nothing
    seen.glue_runs["tumult-ana"] = Run("Glue run tumult-ana", "jr_1", "", "SUCCEEDED")
    assert outcome(check_glue.glue_metrics, seen)[0] == Outcome.PASSED
    job = {"Name": "JobName", "Value": f"{seen.deployment.prefix}-tumult-ana"}
    data = [{"MetricName": "glue.driver.aggregate.recordsRead", "Value": 1.0, "Dimensions": [job]}]
    client("cloudwatch").put_metric_data(Namespace="Glue", MetricData=data)
    assert outcome(check_glue.glue_metrics, seen)[0] == Outcome.FAILED


def test_an_open_bucket_is_found(seen: Seen, bucket: str) -> None:
    assert outcome(check_storage.bucket_settings, seen)[0] == Outcome.FAILED
    s3, all_on = client("s3"), dict.fromkeys(check_storage._PRIVATE, True)
    tls = {"Statement": [{"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
    rule = {"ID": "Logs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}}
    sse = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=all_on)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=sse)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(tls))
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert outcome(check_storage.bucket_settings, seen)[0] == Outcome.PASSED
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**all_on, "BlockPublicPolicy": False})
    assert outcome(check_storage.bucket_settings, seen) == (Outcome.FAILED, "BlockPublicPolicy is off")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=all_on)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert outcome(check_storage.bucket_settings, seen) == (Outcome.FAILED, "no versions")


def test_a_bucket_that_takes_a_plain_write_is_found(seen: Seen, bucket: str) -> None:
    assert outcome(check_storage.releases_kept, seen) == (Outcome.FAILED, "it was taken")
    assert outcome(check_storage.releases_once, seen) == (Outcome.PASSED, "the second got 412")


def test_a_ledger_without_recovery_is_found(seen: Seen, bucket: str) -> None:
    assert outcome(check_storage.ledger_settings, seen)[0] == Outcome.FAILED
    client("dynamodb").update_continuous_backups(
        TableName=seen.deployment.outputs["LedgerTableName"],
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    assert outcome(check_storage.ledger_settings, seen)[0] == Outcome.PASSED


def charge(seen: Seen, run_id: str, release: str | None) -> None:
    """Charge a run as a job would, and commit a release."""
    from decimal import Decimal

    from dpjobs.ledger.base import Reservation
    from dpjobs.query import PrivacyBudget

    ledger = DynamoDBLedger(seen.deployment.outputs["LedgerTableArn"])
    ledger.reserve([Reservation(run_id, seen.address, PrivacyBudget(Decimal("0.5")), "digest")])
    if release is not None:
        ledger.commit(run_id, release)


@pytest.fixture
def two_runs(seen: Seen, bucket: str) -> Callable[..., None]:
    """Two Glue runs that have succeeded, with their releases in ledger and bucket."""

    def make(value: float = 10_000.0, half: float = 50.0, commit: bool = True) -> None:
        from decimal import Decimal

        DynamoDBLedger(seen.deployment.outputs["LedgerTableArn"]).set_total(seen.address, Decimal(4))
        for engine in ENGINES:
            run = Run(f"Glue run {engine}", f"jr_{engine}", f"s3://{bucket}/releases/glue/", "SUCCEEDED")
            text = json.dumps({"value": value, "interval": [value - half, value + half]})
            charge(seen, run.run_id, text if commit else None)
            client("s3").put_object(Bucket=bucket, Key=f"releases/glue/{run.run_id}.json", Body=text.encode())
            seen.glue_runs[engine] = run

    return make


def test_answers_near_the_truth_pass(seen: Seen, two_runs: Callable[..., None]) -> None:
    assert seen.table.clamped_mean == 20_000.0  # both populations lie above the bounds
    two_runs(value=20_010.0)
    assert outcome(check_glue.glue_releases, seen)[0] == Outcome.PASSED
    assert outcome(check_answers.charged, seen) == (Outcome.PASSED, "2 runs, spent 1")
    assert outcome(check_glue.glue_runs, seen)[0] == Outcome.PASSED


@pytest.mark.parametrize(("value", "half"), [(20_400.0, 50.0), (19_000.0, 50.0), (20_000.0, 0.0)])
def test_an_answer_far_from_the_truth_or_too_sure_is_found(
    seen: Seen, two_runs: Callable[..., None], value: float, half: float
) -> None:
    two_runs(value=value, half=half)
    what, saw = outcome(check_glue.glue_releases, seen)
    assert what == Outcome.FAILED
    assert "too far from the truth" in saw
    assert "20,000" not in saw


def test_a_copy_that_is_not_the_ledgers_release_is_found(
    seen: Seen, bucket: str, two_runs: Callable[..., None]
) -> None:
    two_runs(value=20_000.0)
    client("s3").put_object(Bucket=bucket, Key="releases/glue/jr_pipelinedp.json", Body=b'{"value": 20000}')
    assert "is not the ledger's release" in outcome(check_glue.glue_releases, seen)[1]


def test_a_run_without_a_release_or_a_charge_is_found(seen: Seen, two_runs: Callable[..., None]) -> None:
    two_runs(value=20_000.0, commit=False)
    assert "no release in the ledger" in outcome(check_glue.glue_releases, seen)[1]
    assert "not in the history: jr_pipelinedp" in outcome(check_answers.charged, seen)[1]
    seen.glue_runs["pipelinedp"].run_id = "jr_uncharged"
    assert "jr_uncharged" in outcome(check_answers.charged, seen)[1]


def test_a_run_that_was_charged_twice_is_found(seen: Seen, two_runs: Callable[..., None]) -> None:
    two_runs(value=20_000.0)
    charge(seen, "jr_again", "{}")
    assert outcome(check_answers.charged, seen)[0] == Outcome.FAILED


def test_a_failed_run_is_found_with_its_message(seen: Seen, two_runs: Callable[..., None]) -> None:
    two_runs()
    seen.glue_runs["tumult-ana"].state, seen.glue_runs["tumult-ana"].message = "FAILED", "No module named tmlt"
    assert outcome(check_glue.glue_runs, seen) == (
        Outcome.FAILED,
        "Glue run tumult-ana is FAILED: No module named tmlt",
    )
    del seen.glue_runs["tumult-ana"]
    assert outcome(check_glue.glue_runs, seen) == (Outcome.FAILED, "not every run was started")


@pytest.mark.parametrize(
    ("moved", "renamed", "charged", "expected"),
    [
        ("SUCCEEDED", "FAILED", [], Outcome.PASSED),
        ("SUCCEEDED", "SUCCEEDED", ["jr_renamed"], Outcome.PASSED),  # taken, but for nothing: our ledger was charged
        ("FAILED", "FAILED", [], Outcome.FAILED),  # another ledger was looked for
        ("SUCCEEDED", "FAILED", ["jr_moved"], Outcome.FAILED),  # it was no repetition
        ("SUCCEEDED", "SUCCEEDED", [], Outcome.FAILED),  # answered, and our ledger knows of nothing
        ("SUCCEEDED", "FAILED", ["jr_renamed"], Outcome.FAILED),
    ],
)
def test_a_fixed_argument_that_moves_is_found(
    seen: Seen, two_runs: Callable[..., None], moved: str, renamed: str, charged: list[str], expected: Outcome
) -> None:
    two_runs(value=20_000.0)
    for name, run_id, state in ((runs.MOVED, "jr_moved", moved), (runs.RENAMED, "jr_renamed", renamed)):
        seen.probes[name] = Run(name, run_id, "", state, platform_id=f"job/{run_id}")
    for run_id in charged:
        charge(seen, run_id, "{}")
    assert outcome(check_glue.glue_fixed, seen)[0] == expected


def test_a_start_that_is_refused_is_as_good(seen: Seen, two_runs: Callable[..., None]) -> None:
    two_runs(value=20_000.0)
    for name in (runs.MOVED, runs.RENAMED):
        seen.probes[name] = Run(name, "", "", message="AWS refuses to start it: InvalidInputException")
    what, saw = outcome(check_glue.glue_fixed, seen)
    assert what == Outcome.PASSED
    assert "InvalidInputException" in saw


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_an_answer_about_a_table_without_a_total_is_found(
    seen: Seen, two_runs: Callable[..., None], state: str
) -> None:
    two_runs(value=20_000.0)
    seen.probes[runs.UNKNOWN] = Run(runs.UNKNOWN, "jr_unknown", "", state, platform_id="job/jr_unknown")
    expected = Outcome.PASSED if state == "FAILED" else Outcome.FAILED
    assert outcome(check_glue.glue_no_total, seen)[0] == expected


def test_what_is_left_in_the_warehouse_is_found(seen: Seen, bucket: str, two_runs: Callable[..., None]) -> None:
    two_runs()
    client("s3").put_object(Bucket=bucket, Key="warehouse/", Body=b"")
    assert outcome(check_answers.warehouse, seen)[0] == Outcome.PASSED
    client("s3").put_object(Bucket=bucket, Key="warehouse/tumult_temp/part-0", Body=b"x")
    assert "1 objects" in outcome(check_answers.warehouse, seen)[1]


def test_a_job_that_fixes_less_than_its_template_is_found(seen: Seen, bucket: str) -> None:
    glue, fixed = client("glue"), {"--ledger": seen.deployment.outputs["LedgerTableArn"], "--conf": "x"}
    names = [f"{seen.deployment.prefix}-{engine}" for engine in ENGINES]
    seen.deployment.template = lambda *_: [{"Name": n, "NonOverridableArguments": fixed} for n in names]  # type: ignore[method-assign]
    for name in names:
        glue.create_job(Name=name, Role="r", Command={"Name": "glueetl"}, NonOverridableArguments=fixed)
    assert outcome(check_glue.glue_jobs, seen)[0] == Outcome.PASSED
    glue.create_job(Name=names[1], Role="r", Command={"Name": "glueetl"}, NonOverridableArguments={"--conf": "x"})
    assert "--ledger" in outcome(check_glue.glue_jobs, seen)[1]
    other = {**fixed, "--ledger": "arn:of:another"}
    glue.create_job(Name=names[1], Role="r", Command={"Name": "glueetl"}, NonOverridableArguments=other)
    assert "another ledger" in outcome(check_glue.glue_jobs, seen)[1]


def test_a_rule_or_an_endpoint_of_emrs_own_is_found(seen: Seen) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="primary", Description="EMR", VpcId=vpc)["GroupId"]
    endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.s3")["VpcEndpoint"]
    kinds = {
        "AWS::EC2::SecurityGroup": {"Primary": group},
        "AWS::EC2::VPC": {"Vpc": vpc},
        "AWS::EC2::VPCEndpoint": {"S3": endpoint["VpcEndpointId"]},
    }
    seen.deployment.resources = lambda _, kind: kinds[kind]  # type: ignore[method-assign]
    every = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[r["SecurityGroupRuleId"] for r in every])

    def rule(port: int, **says: str) -> list[dict[str, Any]]:
        return [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.0.0.0/24", **says}]}
        ]

    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule(8443, Description="EMR's service"))
    assert outcome(check_emr.emr_groups, seen)[0] == Outcome.PASSED
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule(9443))
    assert "1 of 2 rules are not ours" in outcome(check_emr.emr_groups, seen)[1]

    assert outcome(check_emr.emr_endpoints, seen)[0] == Outcome.PASSED
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.elasticmapreduce")
    assert "elasticmapreduce" in outcome(check_emr.emr_endpoints, seen)[1]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("TERMINATED", Outcome.PASSED),
        ("TERMINATED_WITH_ERRORS", Outcome.FAILED),
        ("the idle cluster is WAITING after 30 minutes", Outcome.FAILED),
        ("", Outcome.FAILED),
    ],
)
def test_a_cluster_that_does_not_end_is_found(seen: Seen, end: str, expected: Outcome) -> None:
    seen.cluster_end = end
    assert outcome(check_emr.emr_ends, seen)[0] == expected


def test_what_the_cdk_left_is_found_though_it_was_swept(seen: Seen) -> None:
    assert outcome(check_storage.data_destroyed, seen)[0] == Outcome.PASSED
    seen.destroyed_left = [f"bucket {seen.deployment.prefix}-storage-bucket1", "log group /aws-glue/x"]
    what, saw = outcome(check_storage.data_destroyed, seen)
    assert what == Outcome.FAILED
    assert "log group" not in saw


def test_a_cluster_that_still_runs_is_left_and_anothers_is_not(seen: Seen) -> None:
    emr, prefix = client("emr"), seen.deployment.prefix
    machines = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    ours, _ = (
        emr.run_job_flow(Name=name, Instances=machines, JobFlowRole="role", ServiceRole="role")["JobFlowId"]
        for name in (f"{prefix}-emr", f"{prefix}2-emr")
    )
    assert there(left(seen.deployment), ("EMR cluster",)) == [f"EMR cluster {ours}"]
    emr.terminate_job_flows(JobFlowIds=[ours])
    assert there(left(seen.deployment), ("EMR cluster",)) == []
