"""Clients of AWS: the region that the CDK takes, botocore's own retries, and no waiting for ever."""

import os
from typing import Any

from dpcloud.aws.errors import explained

_ATTEMPTS = 5
"""How often botocore tries a call that is throttled, or that a server of AWS's fails."""


def client(service: str) -> Any:
    """Return a client of a service; raises AwsError without a region. Calls belong into `explained`."""
    import boto3.session
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": _ATTEMPTS})
    with explained(f"use {service}"):
        # boto3 itself does not read AWS_REGION, which the CDK and most other tools do
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
        return session.client(service, config=config)
