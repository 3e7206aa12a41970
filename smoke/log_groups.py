"""The log groups of a deployment: those of its stacks, those that name it, and those that its runs write to."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from smoke.account import Account
from smoke.deployment import Deployment

GLUE = "/aws-glue/"
"""Begins every group that the jobs' role may write to."""


@dataclass(frozen=True)
class LogGroup:
    """A group; `runs` are the runs whose streams alone are ours in it, none where the whole group is."""

    name: str
    key_arn: str = ""
    days: int | None = None
    runs: tuple[str, ...] = ()


def every(account: Account, begins: str = "") -> Iterator[LogGroup]:
    """Yield all groups of the account and region, or those whose name begins so."""
    only = {"logGroupNamePrefix": begins} if begins else {}
    for page in account.client("logs").get_paginator("describe_log_groups").paginate(**only):
        for one in page["logGroups"]:
            yield LogGroup(one["logGroupName"], one.get("kmsKeyId", ""), one.get("retentionInDays"))


def names(prefix: str, text: str) -> bool:
    """Whether a text has this prefix in it, and not one that only begins alike."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(prefix)}(?![A-Za-z0-9])", text) is not None


def of_stacks(deployment: Deployment) -> set[str]:
    """Return the names of the groups of the stacks that stand, and of those that their functions write to."""
    standing = deployment.standing()
    found: set[str] = set()
    for ending, name in deployment.stacks.items():
        if name in standing:
            found |= set(deployment.resources(ending, "AWS::Logs::LogGroup").values())
            functions = deployment.resources(ending, "AWS::Lambda::Function").values()
            found |= {f"/aws/lambda/{function}" for function in functions}
    return found


def of_jobs(deployment: Deployment, runs: Iterable[str], since: float) -> list[LogGroup]:
    """Return where these Glue runs can have logged: whole groups of ours, and any other that has a stream of theirs.

    `since` is when the deployment began, in seconds since 1970: a group of others is read from then on.
    """
    ours, ids, found = of_stacks(deployment), tuple(runs), []
    for group in every(deployment.account, GLUE):
        if group.name in ours or names(deployment.prefix, group.name):
            found.append(group)
            continue
        streams = {stream for stream, _ in _logged(deployment.account, group.name, since)}
        if theirs := [run for run in ids if any(run in stream for stream in streams)]:
            found.append(replace(group, runs=tuple(theirs)))
    return found


def messages(account: Account, group: LogGroup, since: float) -> Iterator[str]:
    """Yield what stands in a group, or in our runs' streams of one that is not ours."""
    for stream, message in _logged(account, group.name, since if group.runs else 0):
        if not group.runs or any(run in stream for run in group.runs):
            yield message


def _logged(account: Account, group: str, since: float) -> Iterator[tuple[str, str]]:
    asked: dict[str, Any] = {"logGroupName": group, **({"startTime": int(since * 1000)} if since else {})}
    for page in account.client("logs").get_paginator("filter_log_events").paginate(**asked):
        yield from ((event["logStreamName"], event["message"]) for event in page["events"])
