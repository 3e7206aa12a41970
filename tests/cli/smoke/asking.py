"""What the tests of the checks share: clients of moto in this process, and what a check says."""

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import boto3
from smoke.checks import Check, Outcome, Seen, result_of

from dpjobs.ledger.base import Reservation
from dpjobs.ledger.dynamodb import DynamoDBLedger
from dpjobs.query import PrivacyBudget

REGION = "us-east-1"


class Session(boto3.session.Session):
    """A session whose clients are made once for all tests: each takes as long as a test."""

    def client(self, service: str, **_: Any) -> Any:
        if service not in _CLIENTS:
            _CLIENTS[service] = boto3.session.Session.client(self, service)
        return _CLIENTS[service]


_CLIENTS: dict[str, Any] = {}


@cache
def session() -> Session:
    """The one session; to be asked for under moto, whose credentials it keeps."""
    return Session(region_name=REGION)


def client(name: str) -> Any:
    return session().client(name)


def outcome(one: Check, seen: Seen) -> tuple[Outcome, str]:
    found = result_of(one, seen)
    assert found.saw
    return found.outcome, found.saw


def charge(seen: Seen, run_id: str, release: str | None, epsilon: str = "0.5") -> None:
    """Charge a run as a job would, and commit a release."""
    ledger = DynamoDBLedger(seen.deployment.outputs["LedgerTableArn"])
    ledger.reserve([Reservation(run_id, seen.address, PrivacyBudget(Decimal(epsilon)), "digest")])
    if release is not None:
        ledger.commit(run_id, release)


class Altered:
    """A client of AWS of which some calls answer something else."""

    def __init__(self, seen: Seen, service: str, **calls: Callable[..., Any]) -> None:
        self._real, self._calls = seen.account.client(service), calls
        seen.account._clients[service] = self

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name) or getattr(self._real, name)
