"""The lock files that `make lock` writes, read in one place: each line a library, its version and its hashes.

Standard library only: what packs the cluster's libraries runs with any Python.
"""

import re
from dataclasses import dataclass
from pathlib import Path

CLUSTER = Path(__file__).resolve().parents[1] / "requirements" / "cluster.txt"
"""What Glue and EMR run with, beside their own Spark."""


class PinError(Exception):
    """One line: what was wrong, what was given, what is allowed."""


@dataclass(frozen=True)
class Pin:
    """One library at one version; `hashes` are the SHA-256 in hexadecimal that its files may have."""

    name: str
    version: str
    hashes: frozenset[str]

    @property
    def requirement(self) -> str:
        """What pip takes: NAME==VERSION, extras included."""
        return f"{self.name}=={self.version}"

    @property
    def wheel(self) -> str:
        """What names of its wheels begin with, as `wheel_of` writes it."""
        return wheel_of(self.name.partition("[")[0], self.version)


def wheel_of(name: str, version: str) -> str:
    """Return NAME-VERSION with the name normalized (PEP 503): equal for every spelling of one library."""
    return f"{re.sub(r'[-_.]+', '-', name).lower()}-{version}"


def read(text: str) -> tuple[Pin, ...]:
    """Return the pins of a lock file's text, in its order. Raises PinError for any other line and for no pins."""
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        name, _, version = words[0].partition("==")
        hashes = [word.removeprefix("--hash=sha256:") for word in words[1:]]
        if not version or not hashes or not all(re.fullmatch("[0-9a-f]{64}", h) for h in hashes):
            raise PinError(f"no pin: given {words[0]!r}; allowed: NAME==VERSION --hash=sha256:…")
        pins.append(Pin(name, version, frozenset(hashes)))
    if not pins:
        raise PinError("no pins: given an empty list; allowed: NAME==VERSION --hash=sha256:…")
    return tuple(pins)
