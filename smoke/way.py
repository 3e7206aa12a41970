"""The way of a smoke test: deploy, run, look, and take away whatever happened on the way."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from dpjobs.errors import DpError
from smoke import log_groups, removal, runs
from smoke.account import Account, code_of
from smoke.catalog import CHECKS
from smoke.checks import Outcome, Result, Seen, Stage, result_of, skipped
from smoke.deployment import Deployment
from smoke.progress import Progress
from smoke.settings import END_SECONDS
from smoke.table import CensusTable

_ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")


class Interrupted(Exception):
    """Someone stopped the test: the results so far, and what is left."""

    def __init__(self, results: list[Result], left: list[str]) -> None:
        super().__init__("interrupted")
        self.results, self.left = results, left


def run(account: Account, deployment: Deployment, table: CensusTable, progress: Progress) -> list[Result]:
    """Do it all and return a result for every line of the checklist, in its order.

    Everything is taken away at the end, and after a failure or an interrupt, too. Raises Interrupted after that.
    """
    seen = Seen(account, deployment, progress, table)
    results: dict[str, Result] = {}
    interrupted = False
    try:
        for stage, act in ((Stage.DEPLOYED, _deploy), (Stage.RAN, _run), (Stage.ENDED, _wait_for_end)):
            act(seen)
            for one in CHECKS:
                if one.stage == stage:
                    results[one.name] = result_of(one, seen)
                    progress.say(f"{one.name}: {results[one.name].outcome}: {results[one.name].saw}")
        why = ""
    except KeyboardInterrupt:
        interrupted, why = True, "interrupted"
        progress.say("interrupted: taking everything away; once more stops that, too")
    except ClientError as error:
        why = f"AWS answers {code_of(error)} to {error.operation_name}"
    except (DpError, BotoCoreError, TimeoutError) as error:
        why = str(error)
    except Exception as error:  # whatever it is, what stands costs money until it is taken away
        why = f"unexpected {type(error).__name__}: {error}"
    if why:
        progress.say(why)
    failed = bool(why) or any(r.outcome == Outcome.FAILED for r in results.values())
    _take_away(seen, keep_logs=failed or seen.deployment.daemon_logs)
    for one in CHECKS:
        if one.stage == Stage.REMOVED:
            results[one.name] = result_of(one, seen)
    missing = [one for one in CHECKS if one.name not in results]
    results |= {r.name: r for r in skipped(missing, f"not reached: {why}")}
    if why and not interrupted:  # what stopped it is a failure of the line that it should have led to
        name = missing[0].name if missing else "stacks"
        results[name] = Result(name, results[name].title, Outcome.FAILED, why)
    ordered = [results[one.name] for one in CHECKS]
    if interrupted:
        raise Interrupted(ordered, seen.left)
    return ordered


def _deploy(seen: Seen) -> None:
    seen.progress.say(f"deploying {seen.deployment.prefix}-*: half an hour, the cluster most of it")
    seen.deployment.deploy(seen.progress)


def _run(seen: Seen) -> None:
    runs.prepare(seen)
    runs.start_and_wait(seen)


def _wait_for_end(seen: Seen) -> None:
    if seen.account.lacks("idle clusters"):
        return
    cluster = seen.deployment.outputs["ClusterId"]
    emr = seen.account.client("emr")

    def look() -> str:
        return str(emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])

    try:
        seen.cluster_end = seen.progress.wait("the idle cluster", look, _ENDED.__contains__, END_SECONDS)
    except TimeoutError as error:
        seen.cluster_end = str(error)


def _take_away(seen: Seen, keep_logs: bool) -> None:
    """Destroy the stacks, then sweep; seen.left says what could not be taken away."""
    try:
        for act in (_look_once_more, runs.stop_all, *([_keep_logs] if keep_logs else [])):
            try:
                act(seen)
            except Exception as error:  # neither is worth leaving a cluster running
                seen.progress.say(f"{type(error).__name__} before the removal, which goes on")
        seen.destroyed_left = removal.destroy(seen.deployment, seen.progress)
        seen.left = removal.sweep(seen.deployment, seen.progress)
    except Exception as error:
        what = f"({code_of(error) if isinstance(error, ClientError) else type(error).__name__})"
        seen.left = [f"AWS cannot be asked what is left {what}; stacks {', '.join(seen.deployment.stacks.values())}"]
    except KeyboardInterrupt:
        seen.left = [f"not taken away: stacks {', '.join(seen.deployment.stacks.values())}, as far as they are there"]


def _look_once_more(seen: Seen) -> None:
    """See what is there before it goes: what was never there has not been taken away."""
    seen.stood = removal.left(seen.deployment)


def _keep_logs(seen: Seen) -> None:
    """Copy the runs' logs beside the report before they go: a first failure must leave a trace."""
    folder = seen.deployment.folder / "logs"
    try:
        for name, text in (*_glue_logs(seen), *_emr_logs(seen)):
            path = folder / name.strip("/").replace("/", "_")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except Exception as error:
        seen.progress.say(f"the logs could not all be kept ({type(error).__name__})")
    if folder.is_dir():
        seen.progress.say(f"logs are kept in {folder}")


def _glue_logs(seen: Seen) -> Iterator[tuple[str, str]]:
    for group in seen.glue_logs():
        yield group.name, "\n".join(log_groups.messages(seen.account, group, seen.began))


def _emr_logs(seen: Seen) -> Iterator[tuple[str, str]]:
    if f"{seen.deployment.prefix}-storage" not in seen.deployment.standing():
        return
    [bucket] = seen.deployment.resources("storage", "AWS::S3::Bucket").values()
    s3 = seen.account.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="emr/cluster-logs/"):
        for one in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            text = gzip.decompress(body) if Path(one["Key"]).suffix == ".gz" else body
            yield one["Key"], text.decode(errors="replace")
