"""The code that jobs run: the library `dpjobs` as a zip, and the pinned list of what it needs."""

import os
import tempfile
import zipfile
from pathlib import Path

from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct
from tools import pins

from stacks.components.paths import ROOT, existing
from stacks.config.errors import ConfigError

_LIBRARY = ROOT / "src" / "dpjobs"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes from the same files, or every deployment would change


class JobCode(Construct):
    """The library as a content-hashed asset, `library`."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self.library = s3_assets.Asset(self, "Library", path=str(library_zip()))


def library_zip(folder: Path = ROOT / "build" / "assets") -> Path:
    """Pack src/dpjobs, and nothing else of src/, into FOLDER/dpjobs.zip: equal files give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(p for p in _LIBRARY.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    handle, unfinished = tempfile.mkstemp(dir=folder, suffix=".zip")
    with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(_LIBRARY.parent).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return Path(unfinished).replace(folder / "dpjobs.zip")


def pinned_modules() -> str:
    """Return the cluster's pinned list as "name==version,…", without hashes; raises ConfigError for a spoilt one."""
    path = existing(pins.CLUSTER)
    try:
        return ",".join(pin.requirement for pin in pins.read(Path(path).read_text(encoding="utf-8")))
    except pins.PinError as error:
        wrong, _, allowed = str(error).partition("; allowed: ")
        raise ConfigError("", f"the pinned list has {wrong}", path, allowed) from None
