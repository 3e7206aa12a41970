"""That the checks can fail: each is shown what it must not pass, on moto in this process."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from smoke import check_answers, check_door, check_emr, check_glue, check_storage, report, runs
from smoke.catalog import CHECKS
from smoke.checks import Check, Outcome, Run, Seen
from smoke.moto import LACKS
from smoke.removal import left, there
from smoke.settings import ENGINES, SETTINGS

from cli.smoke.asking import charge, client, outcome
from dpcloud import cost as cost_command
from dpjobs.epsilon import Epsilon
from dpjobs.ledger.base import Balance
from dpjobs.ledger.dynamodb import DynamoDBLedger

DOCS = Path(__file__).parents[3] / "docs/operations.md"


def test_the_checklist_of_the_docs_is_that_of_the_script() -> None:
    section = DOCS.read_text().split("## What only AWS can show")[1].split("\n## ")[0]
    told = re.findall(r"^- `([a-z-]+)`: (.+(?:\n  .+)*)$", section, re.MULTILINE)
    assert [(name, " ".join(title.split())) for name, title in told] == [(c.name, c.title) for c in CHECKS]


def test_names_are_unique_and_each_says_what_it_looks_at() -> None:
    assert len({c.name for c in CHECKS}) == len(CHECKS)
    for one in CHECKS:
        assert one.look.__doc__
        assert set(one.needs) <= set(LACKS)
    modules = (check_answers, check_door, check_emr, check_glue, check_storage)
    made = {found.name for module in modules for found in vars(module).values() if isinstance(found, Check)}
    assert made == {c.name for c in CHECKS}


def test_the_price_is_that_of_dpcloud_cost(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    found = seen.deployment.cost()
    text = report.announcement(seen.deployment, found, "a table")
    assert found.emr is not None
    config = cost_command.read_config(seen.deployment.folder / "cdk.json", [])
    assert found == cost_command.cost_of(config)
    assert f"{found.emr.hour:,.2f} an hour" in text
    # six runs of four minutes on two workers, an hour of cluster, an hour and a half of gateway and address
    by_hand = 0.58 * 24 / 60 + float(found.emr.hour) + 1.5 * 0.05
    assert f"about {by_hand:,.2f} USD" in text
    assert f"{found.forgotten:,.2f} USD in the first month" in text
    assert SETTINGS["glue"]["number_of_workers"] == 2


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


def test_a_run_that_was_charged_another_epsilon_is_found(seen: Seen, two_runs: Callable[..., None]) -> None:
    two_runs(value=20_000.0)
    seen.steps["tumult-ana"] = Run("step tumult-ana", "step", "", "FAILED")
    charge(seen, "step", "{}", epsilon="0.25")
    assert "3 runs of epsilon 0.5 each have spent 1.25" in outcome(check_answers.charged, seen)[1]


def test_a_balance_that_is_not_its_historys_is_found(
    seen: Seen, two_runs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    two_runs(value=20_000.0)
    more = Balance(total=Epsilon(4), spent=Epsilon("1.5"))
    monkeypatch.setattr(DynamoDBLedger, "balance", lambda *_: more)
    assert outcome(check_answers.charged, seen) == (
        Outcome.FAILED,
        "spent is 1.5, but the history says otherwise",
    )


def test_a_run_that_is_not_in_the_ledger_is_found(seen: Seen, bucket: str) -> None:
    run = Run("Glue run tumult-ana", "jr_1", f"s3://{bucket}/releases/glue/", "SUCCEEDED")
    seen.glue_runs["tumult-ana"] = run
    client("s3").put_object(Bucket=bucket, Key="releases/glue/jr_1.json", Body=b"{}")
    assert outcome(check_glue.glue_releases, seen) == (Outcome.FAILED, f"{run.name}: no release in the ledger")


def test_no_answer_is_no_proof(seen: Seen, bucket: str) -> None:
    """Where no run has succeeded nothing is charged, and nothing is left in the warehouse."""
    seen.glue_runs["tumult-ana"] = Run("Glue run tumult-ana", "jr_1", "", "FAILED")
    for one in (check_answers.charged, check_answers.warehouse, check_glue.glue_releases, check_glue.glue_metrics):
        assert outcome(one, seen) == (Outcome.FAILED, "no run has succeeded")
    for name in (runs.MOVED, runs.RENAMED):
        seen.probes = {name: Run(name, "jr_2", "", "SUCCEEDED")}
        assert outcome(check_glue.glue_fixed, seen)[0] == Outcome.SKIPPED


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
    for name in (runs.MOVED, runs.RENAMED):  # another refusal is no answer
        taken = seen.probes[name].message
        seen.probes[name].message = "AWS refuses to start it: ThrottlingException"
        assert outcome(check_glue.glue_fixed, seen)[0] == Outcome.FAILED
        seen.probes[name].message = taken


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
    glue.create_job(Name=names[1], Role="r", Command={"Name": "glueetl"}, NonOverridableArguments={**fixed, "-x": ""})
    assert "not fixed as in the template: -x" in outcome(check_glue.glue_jobs, seen)[1]
    other = {**fixed, "--ledger": "arn:of:another"}
    glue.create_job(Name=names[1], Role="r", Command={"Name": "glueetl"}, NonOverridableArguments=other)
    assert "another ledger" in outcome(check_glue.glue_jobs, seen)[1]


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
