"""Make build/environment/environment.tar.gz: the cluster's pinned libraries as a packed Python environment.

Glue unpacks it and runs a job's driver and executors with it; so does EMR's bootstrap action. It is laid out as
`venv-pack` lays out an environment of Amazon Linux 2023's Python 3.11, which is what AWS documents for Glue 5.1.
Runs on any machine with Python 3.11 and pip, as the wheels are those of the cluster: Linux, x86-64, CPython 3.11.
The same list gives the same content, byte by byte.
"""

import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from tools import pins

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "environment"
ARCHIVE, FACTS = "environment.tar.gz", "environment.json"
PYTHON = "/usr/bin/python3.11"
"""Where Amazon Linux 2023 has Python 3.11, on Glue and on EMR: an environment borrows its interpreter."""
PACKAGES = "lib/python3.11/site-packages"
# What Amazon Linux 2023 (glibc 2.34) takes, the newest first.
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
SCRATCH = ".environment-"

_LINKS = {"bin/python": "python3.11", "bin/python3": "python3.11", "bin/python3.11": PYTHON, "lib64": "lib"}
_SETTINGS = f"""home = {PurePosixPath(PYTHON).parent}
include-system-site-packages = false
version = 3.11
executable = {PYTHON}
"""
# To be sourced, wherever the environment was unpacked.
_ACTIVATE = """VIRTUAL_ENV=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
PATH="$VIRTUAL_ENV/bin:$PATH"
export VIRTUAL_ENV PATH
unset PYTHONHOME
hash -r
"""
_DATE = 315532800  # 1980-01-01, the earliest that zips of the libraries can have
_LEVEL = 4  # 4 % larger than level 6, in a third of the time


class PackingError(Exception):
    """One line: what was wrong, what was given, what is allowed."""


@dataclass(frozen=True)
class Packed:
    """What a finished archive is, as FACTS tells it beside the archive; every field is a SHA-256 in hexadecimal.

    `source` is that of the list and of this file; `content` that of the archive before compression, and so not a
    matter of the machine that compressed it.
    """

    source: str
    content: str
    archive: str


def look(folder: Path, requirements: Path) -> Packed:
    """Return what lies in the folder; raises PackingError unless it is whole and made of this list."""
    try:
        packed = Packed(**json.loads((folder / FACTS).read_text(encoding="utf-8")))
        whole = packed.archive == _digest(folder / ARCHIVE) and re.fullmatch("[0-9a-f]{64}", packed.content)
    except FileNotFoundError:
        raise PackingError("not made yet") from None
    except (OSError, ValueError, TypeError):
        raise PackingError("damaged") from None
    if packed.source != _source(requirements):
        raise PackingError("of another list")
    if not whole:
        raise PackingError("damaged")
    return packed


def _source(requirements: Path) -> str:
    parts = (requirements.read_bytes(), Path(__file__).read_bytes())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(requirements: Path, folder: Path) -> bool:
    """Make the archive unless it is up to date; returns whether it was made.

    An interrupt leaves nothing half-made. Raises PackingError.
    """
    try:
        pinned = {pin.wheel: pin.hashes for pin in pins.read(requirements.read_text(encoding="utf-8"))}
    except pins.PinError as error:
        raise PackingError(str(error)) from None
    except OSError:
        raise PackingError(f"no such list: given {requirements}; allowed: the file of 'make lock'") from None
    with _alone(folder.parent) as parent:
        with contextlib.suppress(PackingError):
            look(folder, requirements)
            return False
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=parent) as scratch:
            wheels, new = Path(scratch, "wheels"), Path(scratch, folder.name)
            new.mkdir()
            print(f"making {ARCHIVE}: a minute or two, {len(pinned)} libraries from PyPI or your mirror", flush=True)
            _download(requirements, wheels)
            _check(wheels, pinned)
            content = _pack(wheels, new / ARCHIVE)
            facts = Packed(_source(requirements), content, _digest(new / ARCHIVE))
            (new / FACTS).write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            new.replace(folder)
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Wait until no other process makes one here, and remove what a killed one left."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield folder
    finally:
        os.close(lock)


def _download(requirements: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += [word for platform in PLATFORMS for word in ("--platform", f"{platform}_x86_64")]
    command += ["--python-version", "3.11", "--implementation", "cp"]
    command += [word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi)]
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
        raise PackingError(f"pip could not download the wheels: {(reason or ['no reason given'])[-1]}")


def _check(wheels: Path, pinned: dict[str, frozenset[str]]) -> None:
    """Hold what pip brought against the list, whatever pip thinks of it: each pin once, with a hash of its own."""
    missing = dict(pinned)
    for path in sorted(wheels.iterdir()):
        distribution, version = path.name.split("-")[:2]
        if _digest(path) not in missing.pop(pins.wheel_of(distribution, version), ()):
            raise PackingError(f"{path.name} is none of the pins, or has another hash")
    if missing:
        raise PackingError(f"pip did not bring {', '.join(sorted(missing))}")


def _pack(wheels: Path, target: Path) -> str:
    """Write the archive; returns the SHA-256 of its content before compression.

    Scripts, headers and data files of wheels are left out: nothing runs or compiles with them, and a script names
    the interpreter of the machine that installed it.
    """
    with contextlib.ExitStack() as stack:
        members: dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]] = {}
        for path in sorted(wheels.iterdir()):
            wheel = stack.enter_context(zipfile.ZipFile(path))
            for entry in wheel.infolist():
                member = _installed(entry)
                if member in members:
                    raise PackingError(f"{path.name} has a file of another wheel: {member}")
                if member:
                    members[member] = (wheel, entry)
        texts = {"pyvenv.cfg": _SETTINGS, "bin/activate": _ACTIVATE}
        packed = stack.enter_context(target.open("wb"))
        counted = _Counted(stack.enter_context(gzip.GzipFile("", "wb", _LEVEL, packed, mtime=0)))
        with tarfile.open(fileobj=counted, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for name in sorted({*members, *texts, *_LINKS}):
                file = tarfile.TarInfo(name)
                file.mtime, file.mode = _DATE, 0o644
                if name in _LINKS:
                    file.type, file.linkname, file.mode = tarfile.SYMTYPE, _LINKS[name], 0o777
                    archive.addfile(file)
                elif name in texts:
                    content = texts[name].encode()
                    file.size = len(content)
                    archive.addfile(file, io.BytesIO(content))
                else:
                    wheel, entry = members[name]
                    file.size = entry.file_size
                    file.mode |= 0o111 if entry.external_attr >> 16 & stat.S_IXUSR else 0
                    with wheel.open(entry) as source:
                        archive.addfile(file, source)
        return counted.digest.hexdigest()


def _installed(entry: zipfile.ZipInfo) -> str | None:
    """Where a file of a wheel lies in the environment; None for one that is left out."""
    parts = PurePosixPath(entry.filename).parts
    if entry.filename.startswith("/") or ".." in parts:
        raise PackingError(f"a wheel has a file outside of itself: {entry.filename}")
    if parts[0].endswith(".data"):
        parts = parts[2:] if parts[1:2] in (("purelib",), ("platlib",)) else ()
    if not parts or entry.is_dir() or entry.filename.endswith(".pyc"):  # bytecode is made where it runs
        return None
    return "/".join((PACKAGES, *parts))


class _Counted(io.RawIOBase):
    """Hands on what is written to it, and knows its SHA-256."""

    def __init__(self, target: gzip.GzipFile) -> None:
        self.digest = hashlib.sha256()
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.digest.update(data)
        return self._target.write(data)


def main() -> int:
    """Make the environment and say where it is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the scratch folder goes, too
    try:
        made = make(pins.CLUSTER, FOLDER)
    except PackingError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    path = FOLDER / ARCHIVE
    size = path.stat().st_size / 1e6
    print(f"{path.relative_to(ROOT)}: {size:.0f} MB, {'made' if made else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
