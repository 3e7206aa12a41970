"""`python -m smoke` as `make smoke` starts it, whole, against a moto server on which jobs and steps really run.

Script, library and arguments come out of the deployed templates, Spark reads s3:// addresses, and what is left of the
deployment at the end is looked for in moto itself. That each check can fail is in tests/cli/smoke/.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from smoke.catalog import CHECKS
from smoke.moto import CAN_BE_SERVED

from deploy.conftest import Deployment
from deploy.runner import Runner

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]
ROWS = 2000
PASSED = {
    "stacks", "glue-jobs", "glue-runs", "glue-releases", "glue-fixed", "glue-no-total", "ask", "ask-shape",
    "emr-cluster", "emr-steps", "emr-releases", "charged", "warehouse", "releases-once", "removed",
}  # fmt: skip


@dataclass(frozen=True)
class Rehearsal:
    """What a smoke test said and wrote, and the spark-submits of its runs."""

    code: int
    printed: str
    said: str
    report: dict[str, Any]
    submitted: dict[str, subprocess.CompletedProcess[str]]
    standing: tuple[list[str], list[str]]

    def saw(self, name: str) -> str:
        [one] = [one for one in self.report["checks"] if one["name"] == name]
        return str(one["saw"])


def standing(deployment: Deployment) -> tuple[list[str], list[str]]:
    """Stacks that are not deleted, and buckets."""
    stacks = deployment.client("cloudformation").describe_stacks()["Stacks"]
    names = [s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"]
    return sorted(names), sorted(b["Name"] for b in deployment.client("s3").list_buckets()["Buckets"])


@pytest.fixture(scope="module")
def rehearsal(deployment: Deployment, runner: Runner) -> Rehearsal:
    before_this = set(runner.done)
    table = deployment.project.parent / "shared/data/acs2017_county_data.csv"
    table.parent.mkdir(parents=True)
    rows = (f"{i},Somewhere County {i},{i * 37 % 40000}\n" for i in range(ROWS))
    table.write_text("CountyId,County,TotalPop\n" + "".join(rows))
    before = standing(deployment)
    command = [sys.executable, "-m", "smoke", "--yes", "--poll-seconds", "0.5", "--test-server-runs"]
    done = subprocess.run(
        command,
        cwd=deployment.project,
        env=deployment.environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    submitted = {id_: each for id_, each in runner.done.items() if id_ not in before_this}
    reports = list((deployment.project / "build/smoke").glob("*/report.json"))
    assert len(reports) == 1, done.stderr[-3000:]
    report = json.loads(reports[0].read_text())
    return Rehearsal(done.returncode, done.stdout, done.stderr, report, submitted, before)


def test_nothing_fails(rehearsal: Rehearsal) -> None:
    wrong = [one for one in rehearsal.report["checks"] if one["outcome"] == "failed"]
    assert (wrong, rehearsal.code) == ([], 0), rehearsal.said[-3000:]


def test_each_line_has_its_outcome_and_what_is_skipped_says_why(rehearsal: Rehearsal) -> None:
    outcomes = {one["name"]: one["outcome"] for one in rehearsal.report["checks"]}
    assert list(outcomes) == [one.name for one in CHECKS]
    assert {name for name, outcome in outcomes.items() if outcome == "passed"} == PASSED
    lacking = {one.name for one in CHECKS if set(one.needs) - {CAN_BE_SERVED}}
    assert {name for name, outcome in outcomes.items() if outcome == "skipped"} == {*lacking, "isolated", "alarm"}
    for name in lacking:
        assert rehearsal.saw(name).startswith("a test server: ")
    assert "run it again with --isolated" in rehearsal.saw("isolated")


def test_the_table_is_printed_and_the_price_said_before_anything_is_made(rehearsal: Rehearsal) -> None:
    for one in rehearsal.report["checks"]:
        assert one["name"] in rehearsal.printed
    assert f"{len(PASSED)} passed, 0 failed" in rehearsal.printed
    first, _, _ = rehearsal.said.partition("[  0:00]")
    assert "account 123456789012 in us-east-1 (a test server)" in first
    assert "It costs about" in first
    assert rehearsal.said.index("It costs about") < rehearsal.said.index("deploying")


def test_the_runs_were_real_and_printed_their_releases_and_nothing_else(rehearsal: Rehearsal) -> None:
    """Five answers, one repeated, two refused: each an own spark-submit of what was deployed."""
    printed = [json.loads(d.stdout[d.stdout.index("{") :]) for d in rehearsal.submitted.values() if not d.returncode]
    assert sorted(release["engine"] for release in printed) == ["pipelinedp"] * 4 + ["tumult"] * 2
    by_run = {release["run_id"]: release for release in printed}
    assert len(by_run) == 5  # the repeated run shows the stored release
    shown = rehearsal.saw("glue-releases") + rehearsal.saw("emr-releases") + rehearsal.saw("ask")
    for run_id, release in by_run.items():
        assert f"{run_id}.json: {release['value']:,.2f}" in shown
        assert release["dataset"].endswith("/data/acs2017_county_data.csv")
        assert release["epsilon"] == 0.5
    refused = [d.stdout + d.stderr for d in rehearsal.submitted.values() if d.returncode]
    assert len(refused) == 2
    assert any("given twice" in text for text in refused)
    assert any("budget" in text for text in refused)
    # what ran were the copies that the stacks put into the bucket, by the nodes of the runner
    for done in rehearsal.submitted.values():
        assert not any(str(word).startswith(str(Path(__file__).parents[2] / "src/dpjobs/")) for word in done.args[1:])


def test_it_is_all_gone_and_what_is_not_its_own_is_untouched(rehearsal: Rehearsal, deployment: Deployment) -> None:
    assert rehearsal.report["left"] == []
    assert standing(deployment) == rehearsal.standing
    prefix = rehearsal.report["prefix"]
    assert prefix.startswith("dp-smoke-")
    ec2 = deployment.client("ec2")
    mine = [{"Name": "tag:project", "Values": [prefix]}]
    assert ec2.describe_vpcs(Filters=mine)["Vpcs"] == []
    assert ec2.describe_security_groups(Filters=mine)["SecurityGroups"] == []
    assert [t for t in deployment.client("dynamodb").list_tables()["TableNames"] if prefix in t] == []
    assert [j for j in deployment.client("glue").list_jobs()["JobNames"] if prefix in j] == []
