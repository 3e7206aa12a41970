"""A stand-in for a node of EMR: real bash, tar and Python; sudo and aws are a line each."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from tools.environment import PYTHON

ROOT = Path(__file__).parents[2]
BOOTSTRAP = ROOT / "emr_assets" / "emr_bootstrap.sh"
ENVIRONMENT = "s3://assets/0123abcd.tar.gz"
STAND_INS = {
    "sudo": 'exec "$@"',
    "aws": 'case "$4" in s3://*) cp "$S3/${4#s3://}" "$5" 2>/dev/null && exit 0 ;; esac\n'
    'echo "fatal error: An error occurred (404)" >&2\nexit 1',
}


@dataclass
class Node:
    """Its root is `home`; `python` is where jobs find their Python once it has booted."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.home / "opt" / "dpcloud" / "bin" / "python"

    @property
    def calls(self) -> list[str]:
        """What was asked of the stand-ins since the last run."""
        log = self.home / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def stand_in(self, name: str, script: str) -> None:
        path = self.home / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> "$CALLS"\n{script}\n')
        path.chmod(0o755)

    def put(self, uri: str, content: bytes | Path) -> None:
        path = self.home / "s3" / uri.removeprefix("s3://")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copy(content, path)
        else:
            path.write_bytes(content)

    def boot(self, *arguments: str, action: Path = BOOTSTRAP, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the bootstrap action; fails when it leaves a temporary file."""
        for name, script in STAND_INS.items():
            self.stand_in(name, script)
        (self.home / "calls").unlink(missing_ok=True)
        scratch = self.home / "tmp"
        scratch.mkdir(exist_ok=True)
        done = subprocess.run(
            [action, *arguments],
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYSPARK", "VIRTUAL"))},
                "PATH": f"{self.home / 'bin'}:/usr/bin:/bin",
                "PYSPARK_PYTHON": str(self.python),
                "TMPDIR": str(scratch),
                "S3": str(self.home / "s3"),
                "CALLS": str(self.home / "calls"),
                **self.environment,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert list(scratch.iterdir()) == []
        return done

    def installed(self) -> dict[str, str]:
        """Name and version of what its Python has."""
        say = "import importlib.metadata as m\nfor d in m.distributions(): print(d.name, d.version)"
        done = subprocess.run([self.python, "-I", "-c", say], capture_output=True, text=True, check=True)
        return dict(map(str.split, done.stdout.splitlines()))


@dataclass(frozen=True)
class Wheel:
    """A wheel of one module, made here; `files` lie in it besides."""

    name: str
    version: str = "1.0"
    module: str = "fine = True\n"
    files: tuple[tuple[str, str], ...] = ()

    @property
    def file(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"

    def write(self, folder: Path) -> bytes:
        info = f"{self.name.replace('-', '_')}-{self.version}.dist-info"
        files = {
            f"{self.name.replace('-', '_')}.py": self.module,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            **dict(self.files),
        }
        record = "".join(f"{name},sha256={digest(text)},{len(text)}\n" for name, text in files.items())
        with zipfile.ZipFile(folder / self.file, "w") as archive:
            for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
                archive.writestr(zipfile.ZipInfo(name), text)
        return (folder / self.file).read_bytes()


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def pins_of(wheels: list[Wheel], folder: Path) -> str:
    """The hashed list of these wheels, which are written into the folder."""
    return "".join(
        f"{w.name}=={w.version} \\\n    --hash=sha256:{hashlib.sha256(w.write(folder)).hexdigest()}\n    # via us\n"
        for w in wheels
    )


def runnable(archive: Path, folder: Path) -> Path:
    """The archive, or where this machine has no such Python one that borrows a Python 3.11 that it has."""
    if Path(PYTHON).exists():
        return archive
    base = shutil.which("python3.11", path=os.defpath) or shutil.which("python3.11")
    assert base is not None
    base = str(Path(base).resolve())
    other = folder / archive.name
    with tarfile.open(archive) as source, tarfile.open(other, "w:gz", compresslevel=1) as target:
        for member in source:
            content = source.extractfile(member) if member.isfile() else None
            if member.name == "bin/python3.11":
                member.linkname = base
            elif member.name == "pyvenv.cfg":
                continue
            target.addfile(member, content)
        settings = folder / "pyvenv.cfg"
        settings.write_text(f"home = {Path(base).parent}\n")
        target.add(settings, "pyvenv.cfg")
    return other
