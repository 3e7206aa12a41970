"""Where the tool keeps what it keeps: the ledger, downloads, the S3 connector."""

import os
from pathlib import Path

import platformdirs

from dpjobs.errors import InputError


def home() -> Path:
    """Return the tool's folder, made if need be: DPCLOUD_HOME, else the platform's user data folder.

    Raises InputError when it is relative, cannot be made or is no folder.
    """
    named = os.environ.get("DPCLOUD_HOME")
    path = Path(named).expanduser() if named else Path(platformdirs.user_data_dir("dpcloud"))
    if not path.is_absolute():  # each folder that the command is run in would have a ledger with a full budget
        raise InputError.of("DPCLOUD_HOME is relative", named, "a full path")
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        raise InputError.of("the tool's folder cannot be made", path, "a writable DPCLOUD_HOME") from None
    return path


def ledger_path() -> Path:
    """Where the embedded ledger lies."""
    return home() / "ledger.sqlite"
