"""Clients of AWS: the region that the CDK takes, botocore's own retries, and no waiting for ever."""

import functools
import os
from typing import Any

from dpcloud.aws.errors import explained

_ATTEMPTS = 5
"""How often botocore tries a call that is throttled, or that a server of AWS's fails."""


def client(service: str, attempts: int = _ATTEMPTS) -> Any:
    """Return a client of a service; raises AwsError without a region. Calls belong into `explained`.

    `attempts` is 1 for a call that does something, and does it once more when it is tried once more.
    """
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": attempts})
    with explained(f"use {service}"):
        session = _session(tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))))
        return session.client(service, config=config)


@functools.lru_cache(maxsize=1)
def _session(environment: tuple[tuple[str, str], ...]) -> Any:
    """The session of one environment: it reads profiles and the services' descriptions once, not for each client."""
    import boto3.session

    # boto3 itself does not read AWS_REGION, which the CDK and most other tools do
    return boto3.session.Session(region_name=dict(environment).get("AWS_REGION") or None)
