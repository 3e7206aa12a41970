"""The lines of the checklist about answers: runs, releases, charges, on Glue and on EMR alike."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dpjobs.ledger.dynamodb import DynamoDBLedger
from smoke.checks import Failed, Run, Seen, Skipped, Stage, check
from smoke.runs import release_place
from smoke.settings import ENGINES, EPSILON

_FAR = 6
"""Half widths of a 95 % interval: noise goes as far once in 10⁷ runs."""


def all_succeeded(runs: Mapping[str, Run]) -> str:
    """Raise Failed unless both engines' runs have succeeded."""
    wrong = [
        f"{run.name} is {run.state}: {run.message or 'no message'}" for run in runs.values() if not run.succeeded
    ]
    if wrong or set(runs) != set(ENGINES):
        raise Failed("; ".join(wrong) or "not every run was started")
    return ", ".join(f"{run.name} {run.state}" for run in runs.values())


def ledger_of(seen: Seen) -> DynamoDBLedger:
    """The deployed ledger."""
    return DynamoDBLedger(seen.deployment.outputs["LedgerTableArn"])


def check_releases(seen: Seen, runs: Mapping[str, Run]) -> str:
    """Raise Failed unless each run that succeeded has one release, in bucket and ledger, that is near the truth."""
    ended = [run for run in runs.values() if run.succeeded]
    if not ended:
        raise Failed("no run has succeeded")
    return ", ".join(_check_release(seen, run) for run in ended)


def _check_release(seen: Seen, run: Run) -> str:
    bucket, key = release_place(run)
    copy = seen.account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    row = ledger_of(seen).find(run.run_id)
    if row is None or row.release is None:
        raise Failed(f"{run.name}: no release in the ledger")
    if copy.strip() != row.release.strip():
        raise Failed(f"{run.name}: the copy {key} is not the ledger's release")
    release: dict[str, Any] = json.loads(copy)
    low, high = release["interval"]
    if not (low < high and abs(release["value"] - seen.table.clamped_mean) <= _FAR * (high - low) / 2):
        raise Failed(f"{run.name}: {release['value']} with the interval {low} to {high} is too far from the truth")
    return f"{key}: {release['value']:,.2f} ({low:,.2f} to {high:,.2f})"


@check("charged", "Every run is charged once, by a transaction on the table's ARN", Stage.RAN, needs=("runs",))
def charged(seen: Seen) -> str:
    """The ledger's balance and history of the census table (`dpcloud budget show` and `history`)."""
    ended = [run for run in seen.charged_runs if run.succeeded]
    if not ended:
        raise Failed("no run has succeeded")
    ledger = ledger_of(seen)
    balance, history = ledger.balance(seen.address), ledger.history(seen.address)
    spent = Decimal(0) if balance is None else balance.spent
    if spent != sum(row.epsilon for row in history):
        raise Failed(f"spent is {spent}, but the history says otherwise")
    if missing := {run.run_id for run in ended} - {row.run_id for row in history if row.committed_at}:
        raise Failed(f"not in the history: {', '.join(sorted(missing))}")
    if spent != EPSILON * len(history) or len(history) > len(seen.charged_runs):
        raise Failed(f"{len(history)} runs of epsilon {EPSILON} each have spent {spent}")
    return f"{len(history)} runs, spent {spent}"


@check("warehouse", "Tumult's temporary tables are gone when its runs have ended", Stage.RAN, needs=("runs",))
def warehouse(seen: Seen) -> str:
    """The objects under warehouse/ in the bucket."""
    if not any(run.succeeded for run in (*seen.glue_runs.values(), *seen.steps.values())):
        raise Failed("no run has succeeded")
    pages = seen.account.client("s3").get_paginator("list_objects_v2")
    bucket = seen.deployment.outputs["BucketName"]
    found = [
        one["Key"]
        for page in pages.paginate(Bucket=bucket, Prefix="warehouse/")
        for one in page.get("Contents", [])
        if one["Size"]
    ]
    if found:
        raise Failed(f"{len(found)} objects are left, the first of them {found[0]}")
    return "none with content"


@check("isolated", "All of it once more in isolated mode, where nothing but the endpoints is in reach", Stage.ENDED)
def isolated(seen: Seen) -> str:
    """Both Glue runs, both EMR steps and the end of the idle cluster of a deployment with `--isolated`."""
    if not seen.deployment.isolated:
        raise Skipped("run it again with --isolated")
    end = seen.account.lacks("idle clusters") or cluster_ended(seen)
    return f"{all_succeeded(seen.glue_runs)}, {all_succeeded(seen.steps)}, the cluster: {end}"


def cluster_ended(seen: Seen) -> str:
    """Return the state in which the idle cluster has ended itself; raises Failed unless it has."""
    if seen.cluster_end != "TERMINATED":
        raise Failed(seen.cluster_end or "it was not waited for")
    return seen.cluster_end
