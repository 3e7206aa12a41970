"""Which files are imported: globs, several files, members of a zip; what each is by its name; how it is opened."""

import bz2
import contextlib
import glob
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dpjobs.errors import InputError
from dpjobs.identity import identity

_KINDS = {
    "text": (".csv", ".tsv", ".tab", ".psv", ".txt"),
    "json": (".json", ".jsonl", ".ndjson"),
    "excel": (".xlsx", ".xlsm"),
    "parquet": (".parquet", ".pq"),
}
_UNPACK: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_ALLOWED = (
    "names that end in .csv, .tsv, .txt, .json, .jsonl, .xlsx or .parquet; texts and JSON also with .gz, .bz2, .xz, "
    "or in a .zip"
)
_OLD = {".xls": "save it as .xlsx", ".ods": "save it as .xlsx", ".xlsb": "save it as .xlsx"}


@dataclass(frozen=True)
class Part:
    """One file, or one member of a zip: `name` is how it is shown, `kind` one of text, json, excel, parquet.

    The first member of a zip tells which others are `hidden`, by names that begin with a dot, and not read.
    """

    name: str
    kind: str
    path: Path
    member: str | None = None
    hidden: tuple[str, ...] = ()

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open its bytes, unpacked; raises InputError, also for what goes wrong while they are read."""
        with contextlib.ExitStack() as stack, _readable(self.name):
            if self.member is not None:
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                yield stack.enter_context(archive.open(self.member))
            else:
                unpack = _UNPACK.get(self.path.suffix.lower())
                opened: IO[bytes] = unpack(self.path) if unpack else self.path.open("rb")
                yield stack.enter_context(opened)


def find(given: Sequence[str]) -> list[Part]:
    """Return the files that the words name, in order; raises InputError."""
    paths = [path for word in given for path in _paths(word)]
    seen: dict[object, Path] = {}
    for path in paths:
        if path.stat().st_size == 0:
            raise InputError.of("nothing to read, zero bytes", path, "a file with a line of names, or rows")
        file = identity(str(path)) or str(path)
        if file in seen:
            allowed = f"every file once: its rows would count twice; it is {str(seen[file])!r}, too"
            raise InputError.of("a file is given twice", path, allowed)
        seen[file] = path
    parts = [part for path in paths for part in _parts(path)]
    if len({part.kind == "parquet" for part in parts}) > 1:
        raise InputError.of("Parquet beside other files", parts[0].name, "one kind of these at a time")
    return parts


def _paths(word: str) -> list[Path]:
    path = Path(word)
    if "://" in word:
        raise InputError.of("not a file of this machine", word, "local files; copy it here first")
    if path.is_dir():
        raise InputError.of("a folder", word, f"files, or a pattern in quotes, such as '{word.rstrip('/')}/*.csv'")
    if path.is_file():
        return [path]
    if path.exists():
        raise InputError.of("a device or a pipe", word, "a file: it is read more than once")
    found = sorted(Path(name) for name in glob.glob(word, recursive=True))  # noqa: PTH207 (absolute patterns, too)
    found = [file for file in found if file.is_file()]
    if not found:
        raise InputError.of("no such file", word, "an existing file, or a pattern that some files fit")
    return found


def _parts(path: Path) -> list[Part]:
    if path.suffix.lower() != ".zip":
        return [Part(str(path), _kind(path.name), path)]
    with _readable(str(path)), zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    names = [name for name in names if not name.startswith("__MACOSX/")]
    hidden = tuple(f"{path}/{name}" for name in names if Path(name).name.startswith("."))
    kept = [name for name in names if not Path(name).name.startswith(".")]
    if not kept:
        raise InputError.of("an empty zip", path, _ALLOWED)
    if twice := next((name for name in kept if kept.count(name) > 1), None):  # opened by name, the last would be read
        raise InputError.of("a zip with two members of one name", f"{path}/{twice}", "unpack it first")
    parts = [Part(f"{path}/{name}", _kind(name), path, name, () if i else hidden) for i, name in enumerate(kept)]
    for part in parts:
        if part.kind in ("excel", "parquet") or _packed(Path(part.name)):
            raise InputError.of("a packed file inside a zip", part.name, "text files in it; unpack it first")
    return parts


def _kind(name: str) -> str:
    path = Path(name)
    packed = _packed(path)
    ending = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if ending in _OLD:
        raise InputError.of("a spreadsheet of another kind", name, f"{_OLD[ending]}, or as CSV")
    kind = next((kind for kind, endings in _KINDS.items() if ending in endings), None)
    if kind is None or (packed and kind in ("excel", "parquet")):
        raise InputError.of("a file of an unknown kind", name, _ALLOWED)
    return kind


def _packed(path: Path) -> bool:
    return path.suffix.lower() in _UNPACK


@contextlib.contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what goes wrong in reading a file into one line."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError):
        raise InputError.of("a packed file that is broken or cut", name, "a whole file") from None
    except (RuntimeError, NotImplementedError) as error:  # zipfile's words for a password, and for other methods
        if isinstance(error, NotImplementedError) or "password" in str(error) or "encrypted" in str(error):
            raise InputError.of("a zip that is encrypted, or packed another way", name, "unpack it first") from None
        raise
    except OSError:
        raise InputError.of("a file that cannot be read", name, "a whole file that you may read") from None
