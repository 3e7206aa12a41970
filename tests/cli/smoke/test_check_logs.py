"""That the checks of Glue's logs can fail, wherever the runs have logged: each is shown what it must not pass."""

import gzip
import time
from collections.abc import Callable
from typing import Any

import pytest
from smoke import check_emr, check_glue, runs, way
from smoke.checks import Outcome, Run, Seen
from smoke.removal import left, sweep

from cli.smoke.asking import REGION, charge, client, outcome
from dpjobs.addresses import Place
from dpjobs.errors import BudgetError
from dpjobs.ledger.dynamodb import DynamoDBLedger

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"


def log(group: str, stream: str, *messages: str, at: float | None = None) -> None:
    """Write messages to a stream of a log group, which is made where there is none."""
    logs = client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    stamp = int((at or time.time()) * 1000)
    events = [{"timestamp": stamp, "message": message} for message in messages]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


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
    log(f"/aws-glue/{seen.deployment.prefix}/output", "run", message)
    what, saw = outcome(check_glue.glue_logs, seen)
    assert what == (Outcome.PASSED if wrong is None else Outcome.FAILED)
    assert wrong is None or wrong in saw
    assert "19178492" not in saw  # a check quotes nothing of the table either

    client("s3").put_object(Bucket=bucket, Key="emr/cluster-logs/j-1/stdout.gz", Body=gzip.compress(message.encode()))
    assert outcome(check_emr.emr_logs, seen)[0] == what


def test_what_the_daemons_write_is_found(seen: Seen) -> None:
    assert outcome(check_glue.glue_logs, seen) == (
        Outcome.FAILED,
        "no log group of the jobs is there: the runs' output went elsewhere",
    )
    log(f"/aws-glue/{seen.deployment.prefix}/error", "executor", "block of 12 bytes, read 19178492 in all")
    assert "Spark's daemons" in outcome(check_glue.glue_logs, seen)[1]
    seen.deployment.daemon_logs = True
    what, saw = outcome(check_glue.glue_logs, seen)
    assert (what, "--daemon-logs" in saw) == (Outcome.SKIPPED, True)
    log(f"/aws-glue/{seen.deployment.prefix}/output", "run", "read 19178492 in all")
    assert outcome(check_glue.glue_logs, seen)[0] == Outcome.FAILED


def test_a_cluster_without_logs_is_found(seen: Seen, bucket: str) -> None:
    client("s3").put_object(Bucket=bucket, Key="data/census.csv", Body=b"19178492")
    assert outcome(check_emr.emr_logs, seen) == (Outcome.FAILED, "the cluster has put no logs there")
    client("s3").put_object(Bucket=bucket, Key="emr/cluster-logs/j-1/stdout", Body=b"no number")
    assert outcome(check_emr.emr_logs, seen) == (Outcome.PASSED, "1 files")


def test_a_group_without_any_output_is_found(seen: Seen) -> None:
    client("logs").create_log_group(logGroupName=f"/aws-glue/{seen.deployment.prefix}/output")
    what, saw = outcome(check_glue.glue_logs, seen)
    assert (what, "no output of the runs in /aws-glue/" in saw) == (Outcome.FAILED, True)


@pytest.fixture
def stacks_group(seen: Seen) -> str:
    """A log group of Glue's stack under a name that has nothing of the deployment's."""
    group = "/aws-glue/another-prefix/Security-role/role/output"
    resource = f'{{"Type": "AWS::Logs::LogGroup", "Properties": {{"LogGroupName": "{group}"}}}}'
    client("cloudformation").create_stack(
        StackName=seen.deployment.stacks["glue"], TemplateBody=f'{{"Resources": {{"Output": {resource}}}}}'
    )
    return group


def test_a_group_of_the_stacks_under_another_name_is_looked_into(seen: Seen, stacks_group: str) -> None:
    log(stacks_group, "run", "a release")
    assert outcome(check_glue.glue_logs, seen) == (Outcome.PASSED, "1 groups, 1 events")
    log(stacks_group, "another", "Somewhere County,19123456")
    assert outcome(check_glue.glue_logs, seen)[0] == Outcome.FAILED


def test_it_is_taken_away_when_the_stacks_are_gone(
    seen: Seen, stacks_group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smoke import removal

    def destroy(deployment: Any, _: Any) -> None:  # as where a group is retained, or made again by a late message
        client("cloudformation").delete_stack(StackName=deployment.stacks["glue"])
        log(stacks_group, "late", "a message")

    monkeypatch.setattr(type(seen.deployment), "destroy", destroy)
    log("/aws-glue/of-others/output", "run", "theirs")
    assert removal.destroy(seen.deployment, seen.progress) == [f"log group {stacks_group}"]
    assert sweep(seen.deployment, seen.progress) == left(seen.deployment) == []
    groups = client("logs").describe_log_groups()["logGroups"]
    assert [one["logGroupName"] for one in groups] == ["/aws-glue/of-others/output"]


def test_the_group_of_a_function_is_taken_away_too(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    from smoke import log_groups

    kinds = {"AWS::Lambda::Function": {"Empty": "a-function"}}
    monkeypatch.setattr(type(seen.deployment), "standing", lambda d: {d.stacks["storage"]: "CREATE_COMPLETE"})
    monkeypatch.setattr(type(seen.deployment), "resources", lambda _, ending, kind: kinds.get(kind, {}))
    assert log_groups.of_stacks(seen.deployment) == {"/aws/lambda/a-function"}


@pytest.mark.parametrize("stream", ["jr_ours", "run/jr_ours-driver"])
def test_output_that_went_into_a_group_of_others_is_found(seen: Seen, stream: str) -> None:
    log(f"/aws-glue/{seen.deployment.prefix}/output", "run", "a release")
    log("/aws-glue/jobs/output", "jr_theirs", "read 19178492 in all")
    seen.glue_runs["tumult-ana"] = Run("Glue run tumult-ana", "jr_ours", "", "SUCCEEDED", platform_id="job/jr_ours")
    assert outcome(check_glue.glue_logs, seen) == (Outcome.PASSED, "1 groups, 1 events")
    log("/aws-glue/jobs/output", stream, "a release")
    saw = "/aws-glue/jobs/output is not the deployment's, and has the output of jr_ours"
    assert outcome(check_glue.glue_logs, seen) == (Outcome.FAILED, saw)
    kept = dict(way._glue_logs(seen))
    assert kept["/aws-glue/jobs/output"] == "a release"  # what is kept has nothing of others
    assert "log group /aws-glue/jobs/output" not in left(seen.deployment)  # nor is their group taken away


def test_what_others_logged_before_is_not_read(seen: Seen) -> None:
    seen.probes[runs.MOVED] = Run(runs.MOVED, "jr_ours", "", platform_id="job/jr_ours")
    log("/aws-glue/jobs/output", "jr_ours", "of an hour ago", at=seen.began - 3600)
    assert seen.glue_logs() == []


@pytest.mark.parametrize(
    ("key", "days", "passes"),
    [
        (f"arn:aws:kms:{REGION}:123456789012:key/{KEY}", 90, True),
        (f"arn:aws:kms:{REGION}:123456789012:key/another", 90, False),
        (f"arn:aws:kms:{REGION}:444455556666:key/{KEY}", 90, False),
        (f"arn:aws:kms:eu-west-1:123456789012:key/{KEY}", 90, False),
        (None, 90, False),
        (f"arn:aws:kms:{REGION}:123456789012:key/{KEY}", None, False),
    ],
)
def test_a_log_group_without_the_stacks_key_or_an_end_is_found(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, key: str | None, days: int | None, passes: bool
) -> None:
    kinds = {("glue", "AWS::KMS::Key"): {"LogKey": KEY}}
    monkeypatch.setattr(type(seen.deployment), "resources", lambda _, *asked: kinds.get(asked, {}))
    assert outcome(check_glue.glue_log_keys, seen)[0] == Outcome.FAILED  # there is no group
    logs, group = client("logs"), f"/aws-glue/{seen.deployment.prefix}/output"
    logs.create_log_group(logGroupName=group, **({"kmsKeyId": key} if key else {}))
    if days:
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
    assert outcome(check_glue.glue_log_keys, seen)[0] is (Outcome.PASSED if passes else Outcome.FAILED)


# -- a table without a total


@pytest.fixture
def refused(seen: Seen, two_runs: Callable[..., None]) -> str:
    """What the ledger itself says of a table without a total."""
    two_runs(value=20_000.0)
    seen.untold = seen.address.replace("/data/", "/data/untold/")
    ledger = DynamoDBLedger(seen.deployment.outputs["LedgerTableArn"])
    with pytest.raises(BudgetError) as refusal:
        ledger.admit(seen.untold, Place(seen.untold))
    return str(refusal.value)


def unknown(seen: Seen, state: str, message: str = "") -> None:
    seen.probes[runs.UNKNOWN] = Run(runs.UNKNOWN, "jr_unknown", "", state, message, "job/jr_unknown")


def test_the_very_refusal_of_a_table_without_a_total_will_do(seen: Seen, refused: str) -> None:
    unknown(seen, "FAILED", refused)
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.PASSED
    unknown(seen, "SUCCEEDED", refused)
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.FAILED


@pytest.mark.parametrize("message", ["SystemExit: 2", "the data set has no budget"])
def test_another_failure_will_not(seen: Seen, refused: str, message: str) -> None:
    unknown(seen, "FAILED", message)
    what, saw = outcome(check_glue.glue_no_total, seen)
    assert (what, "nowhere to be seen" in saw) == (Outcome.FAILED, True)
    log(f"/aws-glue/{seen.deployment.prefix}/output", "run", "another line")
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.FAILED
    log(f"/aws-glue/{seen.deployment.prefix}/output", "run-2", refused)  # Glue's message is not ours
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.PASSED


def test_a_refusal_of_another_table_or_for_another_reason_will_not(seen: Seen, refused: str) -> None:
    for said in (refused.replace("/untold/", "/other/"), refused.replace("has no budget", "was not found")):
        assert said != refused
        unknown(seen, "FAILED", said)
        assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.FAILED


def test_a_refused_run_that_was_charged_is_found(seen: Seen, refused: str) -> None:
    unknown(seen, "FAILED", refused)
    charge(seen, "jr_other", None)  # of the table with a total, and more than the runs that were started
    charge(seen, "jr_more", None)
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.FAILED


def test_a_refused_run_that_is_in_the_ledger_is_found(seen: Seen, refused: str) -> None:
    unknown(seen, "FAILED", refused)
    seen.steps["tumult-ana"] = Run("step", "s", "")  # so that the sum alone would pass
    charge(seen, "jr_unknown", None)
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.FAILED


def test_a_run_that_was_not_tried_is_no_refusal(seen: Seen) -> None:
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.SKIPPED
    seen.probes[runs.UNKNOWN] = Run(runs.UNKNOWN, "", "", message="AWS refuses to start it")
    assert outcome(check_glue.glue_no_total, seen)[0] == Outcome.SKIPPED
