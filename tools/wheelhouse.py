"""Make build/wheelhouse/dpcloud.gluewheels.zip: the cluster's pinned libraries, for where there is no internet.

Runs on any laptop, as the wheels are those of the cluster: Linux, x86-64, CPython 3.11. Needs pip and nothing else.
The same pins give the same bytes.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements-cluster.txt"
WHEELHOUSE = ROOT / "build" / "wheelhouse" / "dpcloud.gluewheels.zip"  # the name that Glue asks for
LIST = "wheels/requirements.txt"
# What Amazon Linux 2023 (glibc 2.34) takes, the newest first.
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
SCRATCH = ".wheelhouse-"


class WheelhouseError(Exception):
    """One line: what was wrong, what was given, what is allowed."""


def pins(text: str) -> dict[str, frozenset[str]]:
    """Of each pinned library, `name-version` as in the names of wheels, the SHA-256 hashes that it may have."""
    found: dict[str, frozenset[str]] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        name, _, version = words[0].partition("==")
        hashes = [word.removeprefix("--hash=sha256:") for word in words[1:]]
        if not version or not hashes or not all(re.fullmatch("[0-9a-f]{64}", h) for h in hashes):
            raise WheelhouseError(f"no pin: given {words[0]!r}; allowed: NAME==VERSION --hash=sha256:…")
        found[f"{_canonical(name)}-{version}"] = frozenset(hashes)
    if not found:
        raise WheelhouseError("no pins: given an empty list; allowed: NAME==VERSION --hash=sha256:…")
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def problem(path: Path, text: str) -> str | None:
    """What keeps the file at `path` from being the wheelhouse of these requirements, or None."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if LIST not in names or archive.read(LIST) != text.encode():
                return "it is of another list"
            wanted = pins(text)
            for name in sorted(set(names) - {LIST}):
                distribution, version = name.removeprefix("wheels/").split("-")[:2]
                with archive.open(name) as wheel:
                    digest = hashlib.file_digest(wheel, "sha256").hexdigest()  # type: ignore[arg-type]
                if digest not in wanted.pop(f"{_canonical(distribution)}-{version}", ()):
                    return f"{name} is none of its pins, or has another hash"
    except FileNotFoundError:
        return "it has not been made"
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return "it is damaged"
    return f"it lacks {', '.join(sorted(wanted))}" if wanted else None


def make(requirements: Path, target: Path) -> bool:
    """Make the wheelhouse unless it is up to date; returns whether it was made.

    An interrupt leaves nothing half-made.
    """
    try:
        text = requirements.read_text(encoding="utf-8")
    except OSError:
        raise WheelhouseError(f"no such list: given {requirements}; allowed: the file of 'make lock'") from None
    pins(text)
    # Beside the target's folder, which travels to S3 whole and so holds the one file.
    with _alone(target.parent.parent) as room:
        if problem(target, text) is None:
            return False
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=room) as scratch:
            wheels, packed = Path(scratch, "wheels"), Path(scratch, target.name)
            _download(requirements, wheels)
            _pack(text, wheels, packed)
            if wrong := problem(packed, text):
                raise WheelhouseError(f"the wheelhouse is not what the list asks for: {wrong}")
            target.parent.mkdir(exist_ok=True)
            packed.replace(target)
    return True


@contextlib.contextmanager
def _alone(room: Path) -> Iterator[Path]:
    """Wait until no other process makes a wheelhouse here, and remove what a killed one left."""
    room.mkdir(parents=True, exist_ok=True)
    lock = os.open(room, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in room.glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield room
    finally:
        os.close(lock)


def _download(requirements: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += [word for platform in PLATFORMS for word in ("--platform", f"{platform}_x86_64")]
    command += [
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
        "--abi",
        "cp311",
        "--abi",
        "abi3",
        "--abi",
        "none",
    ]
    command += [
        "--only-binary=:all:",
        "--no-deps",
        "--require-hashes",
        "--dest",
        str(folder),
        "-r",
        str(requirements),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR:") or "No module named" in line]
        raise WheelhouseError(f"pip could not download the wheels: {(reason or ['no reason given'])[-1]}")


def _pack(text: str, wheels: Path, packed: Path) -> None:
    files = {LIST: text.encode(), **{f"wheels/{path.name}": path.read_bytes() for path in wheels.iterdir()}}
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content)


def main() -> int:
    """Make the wheelhouse and say where it is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the scratch folder goes, too
    try:
        made = make(REQUIREMENTS, WHEELHOUSE)
    except WheelhouseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    size = WHEELHOUSE.stat().st_size / 1e6
    print(f"{WHEELHOUSE.relative_to(ROOT)}: {size:.0f} MB, {'made' if made else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
