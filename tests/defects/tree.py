"""A copy of the project in which the copy's own code is what runs, in this process and in all that it starts."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from defects.table import ROOT

_BASE = ROOT / ".venv"
_PACKAGES = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
_KEPT = ("dynamodb-local", "ivy")  # of build/: what tests fetch once


class Tree:
    """The files that git knows or would add, beneath `folder`, with an environment of their own.

    The environment borrows its libraries from the project's but for the project itself: no PYTHONPATH is needed,
    which the scripts of a cluster would not get.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():  # else deleted since, or a folder of another repository
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        self._environment()
        (self.root / "build").mkdir()
        for name in _KEPT:
            (ROOT / "build" / name).mkdir(parents=True, exist_ok=True)
            (self.root / "build" / name).symlink_to(ROOT / "build" / name)
        if (ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to(ROOT.parent / "shared")

    def _environment(self) -> None:
        copy = self.root / ".venv"
        venv.create(copy, with_pip=False, symlinks=True)
        lines = [self.root / "src", self.root, _BASE / _PACKAGES]  # the root has stacks/
        (copy / _PACKAGES / "tree.pth").write_text("".join(f"{line}\n" for line in lines))
        for name in ("cdk", "share"):
            (copy / name).symlink_to(_BASE / name)
        for script in (_BASE / "bin").iterdir():
            if not (copy / "bin" / script.name).exists():
                _borrow(script, copy / "bin" / script.name)

    def python(self, cdk: bool) -> Path:
        """The copy's Python: that of the engines, or that of the CDK."""
        return self.root / (".venv/cdk/bin/python" if cdk else ".venv/bin/python")

    def environ(self) -> dict[str, str]:
        """What its processes see: none of this process's own paths, and no compiled file that outlives a patch."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV"))}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


def _borrow(script: Path, place: Path) -> None:
    """Make a script of the environment one of the copy's: those of Python name the Python that runs them."""
    text = b"" if script.is_symlink() else script.read_bytes()
    first, newline, rest = text.partition(b"\n")
    if first == f"#!{_BASE}/bin/python".encode():
        place.write_bytes(f"#!{place.parent}/python".encode() + newline + rest)
        place.chmod(0o755)
    else:
        place.symlink_to(script)
