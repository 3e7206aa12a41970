"""What the command line asks of AWS: clients whose errors are one line, and what is deployed there."""

import re

DEFAULT_STACK = "differential-privacy"
"""The prefix of the stacks' names, where the configuration says nothing else."""

_DEPLOYED = re.compile(r"s3[an]?://+([a-z0-9-]+)-storage-bucket[0-9a-f]{8}-[a-z0-9]+/+data(?:/|$)")


def deployment_of(address: str) -> str | None:
    """Return the prefix of the deployment that a table lies in, as its bucket's name tells; None where it tells none.

    A table there has its budget in AWS: on this machine's ledger the same rows would have a second one.
    """
    found = _DEPLOYED.match(address)
    return found[1] if found else None
