"""Clients of AWS: the region that the CDK takes, botocore's own retries, and no waiting for ever."""

import os
from functools import cache
from typing import Any

from dpcloud.aws.errors import explained

CONNECT_SECONDS, READ_SECONDS = 5, 30
_ATTEMPTS = 5
"""How often botocore tries a call that is throttled, or that a server of AWS's fails."""


def client(service: str, attempts: int = _ATTEMPTS) -> Any:
    """Return a client of a service; raises AwsError without a region. Calls belong into `explained`.

    `attempts` is 1 for a call that does something, and does it once more when it is tried once more.
    """
    settings = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    with explained(f"use {service}"):
        return _client(service, attempts, settings)


@cache
def _client(service: str, attempts: int, settings: tuple[tuple[str, str], ...]) -> Any:
    """Make a client of these settings once: following a run asks every few seconds."""
    import boto3.session
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    # boto3 itself does not read AWS_REGION, which the CDK and most other tools do
    session = boto3.session.Session(region_name=dict(settings).get("AWS_REGION") or None)
    return session.client(service, config=config)
