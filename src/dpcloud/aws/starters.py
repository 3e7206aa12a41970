"""Who started what, as CloudTrail remembers it for ninety days: nothing else in AWS tells it of a run."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dpcloud.aws.errors import explained
from dpcloud.aws.session import client

_EVENTS = ("StartExecution", "StartJobRun", "AddJobFlowSteps")
_MOST = 100
"""How many events of each kind are read: CloudTrail answers two calls a second, of fifty events each."""


def starters() -> dict[str, str]:
    """Return who started a run, by our id or AWS's; raises AwsError.

    A run that came through the door was started twice, by who asked and by the door: the first counts. So does the
    first of those who asked by the same name, and none whom AWS refused: whoever comes later started nothing.
    """
    found: dict[str, str] = {}
    for name in _EVENTS:
        first: dict[str, str] = {}
        for event in _events(name):  # the newest first
            who = str(event.get("userIdentity", {}).get("arn", "")).rsplit("/", 1)[-1]
            if not event.get("errorCode"):
                first |= dict.fromkeys(_ids(event), who)
        found = first | found
    return found


def _events(name: str) -> Iterator[Mapping[str, Any]]:
    asked = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}]}
    with explained("look up who started the runs", "`dpcloud runs`"):
        pages = client("cloudtrail").get_paginator("lookup_events")
        for page in pages.paginate(**asked, PaginationConfig={"MaxItems": _MOST}):
            yield from (json.loads(event["CloudTrailEvent"]) for event in page.get("Events", []))


def _ids(event: Mapping[str, Any]) -> Iterator[str]:
    asked, told = event.get("requestParameters") or {}, event.get("responseElements") or {}
    if isinstance(asked.get("name"), str):
        yield asked["name"]
    if isinstance(told.get("jobRunId"), str):
        yield told["jobRunId"]
    steps = told.get("stepIds") or []
    yield from (step for step in steps if isinstance(step, str))
