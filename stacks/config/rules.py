"""Rules that settings of more than one block share: each raises ConfigError in one line."""

import difflib
import re
from collections.abc import Collection

from stacks.config.errors import ConfigError

_BUCKET = r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]"
BUCKET = re.compile(_BUCKET)
S3_URI = re.compile(rf"s3://{_BUCKET}(/[^\s*?$\x00-\x1f\x7f]*)?")
"""Without wildcards: it goes into a policy."""
KEY_ARN = re.compile(r"arn:aws(?:-us-gov)?:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")

_EMAIL = re.compile(r"[!-+.-?A-~-]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+")


def address(key: str, given: str | None) -> None:
    """Refuse what is no e-mail address; none is allowed."""
    if given is not None and not _EMAIL.fullmatch(given):
        raise ConfigError(key, "not an e-mail address", given, "one address, or null")


def one_of(key: str, given: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not one of these."""
    if given not in allowed:
        raise ConfigError(key, "unknown value", given, ", ".join(allowed))


def within(key: str, given: int, least: int, most: int) -> None:
    """Refuse a number outside of a range, whose ends belong to it."""
    if not least <= given <= most:
        raise ConfigError(key, "out of range", given, f"{least} to {most}")


def offered(key: str, wrong: str, given: str, offers: Collection[str], example: str) -> None:
    """Refuse what AWS does not offer, with the nearest that it does."""
    if given not in offers:
        near = difflib.get_close_matches(given, offers, n=1)
        raise ConfigError(key, wrong, given, f"{example}; did you mean {near[0]!r}?" if near else example)
