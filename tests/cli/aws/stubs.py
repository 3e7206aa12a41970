"""Answers of AWS that moto has not: each call and each answer is held against botocore's own model of the service."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


class Answers:
    """What each service answers next, in this order; `of` is what stands in for `dpcloud.aws.session.client`."""

    def __init__(self) -> None:
        self._stubs: dict[str, Stubber] = {}

    def _stub(self, service: str) -> Stubber:
        if service not in self._stubs:
            self._stubs[service] = Stubber(boto3.client(service, **KEYS))
            self._stubs[service].activate()
        return self._stubs[service]

    def add(self, service: str, call: str, told: dict[str, Any], asked: dict[str, Any] | None = None) -> None:
        """The next call is this one, with these words where they are given, and is answered like this."""
        self._stub(service).add_response(call, told, asked)

    def refuse(self, service: str, call: str, code: str, status: int = 400) -> None:
        """The next call is this one, and is refused."""
        self._stub(service).add_client_error(call, code, http_status_code=status)

    def of(self, service: str, attempts: int = 1) -> Any:
        """The client of a service."""
        return self._stub(service).client

    def all_asked(self) -> None:
        """Fail where an answer was not asked for."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


@contextmanager
def answers(patch: pytest.MonkeyPatch, *modules: str) -> Iterator[Answers]:
    """Answer the calls of these modules; what is prepared has to be asked for."""
    told = Answers()
    client: Callable[..., Any] = told.of
    for module in modules:
        patch.setattr(f"{module}.client", client)
    yield told
    told.all_asked()
