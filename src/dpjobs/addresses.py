"""Addresses of tables: the one spelling of each, which contain which, and whose local files are the same.

A budget belongs to rows, and a ledger knows rows by where they lie. So whatever leads to the same file must end in
one name: other spellings here, as Hadoop's own `Path` reads them; links, moves and mounts by `identity`.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dpjobs.errors import InputError
from dpjobs.identity import identity

_S3 = ("s3", "s3a", "s3n")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ADDRESS = re.compile(r"/|(?i:s3[an]?|file):")
# No user, no port, no capitals: Java takes the bucket out of all of them, so that each would be another name for it
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]", re.ASCII)
_ALIASES = ("-s3alias", "--ol-s3", ".mrap")
_READABLE = "an existing CSV or Parquet file, a folder of them, or an s3:// address"


def normalized(uri: str) -> str:
    """Return the address with its scheme in small letters, and a local one, `file:…` or not, as a plain path.

    Raises InputError for a file address that names a host or no full path, neither of which Spark reads.
    """
    if uri[:5].lower() == "file:":
        path = re.sub("^//localhost(?=/)", "", uri[5:])
        if re.match(r"/(?!/)|//+(?=/)", path) is None:
            raise InputError.of("a file address without a full path", uri, "file:///path, or the path alone")
        return re.sub("^/+", "/", path)
    return _SCHEME.sub(lambda found: found[0].lower(), uri, count=1) if _SCHEME.match(uri) else uri


def is_local(uri: str) -> bool:
    """Whether the address, normalized, is a path of this machine."""
    return "://" not in uri


def dataset_of(uri: str) -> str:
    """Return a normalized address in its one spelling: the name that a table's budget goes by when none is given.

    A local one is its path without links. Others are read through Hadoop, which knows `//`, `/./`, `/../` and a slash
    at the end for nothing of their own; percent signs and capitals are kept. Raises InputError for what is no address
    of a table, or only another name of one.
    """
    if is_local(uri):
        try:
            return str(Path(uri).expanduser().resolve())
        except (OSError, RuntimeError, ValueError):  # no such user, a loop of links
            raise InputError.of("no such file or folder", uri, _READABLE) from None
    scheme, rest = uri.split("://", 1)
    if scheme not in _S3:
        raise InputError.of("unknown kind of address", uri, "a path, or s3://bucket/key")
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket) or bucket.endswith(_ALIASES):
        raise InputError.of("no bucket's own name in the address", uri, "s3://bucket/key, no alias of a bucket")
    return "/".join([f"s3://{bucket}", *_parts(uri, key)])


def _parts(uri: str, key: str) -> list[str]:
    parts: list[str] = []
    for part in key.split("/"):
        if part == "..":
            if not parts:
                raise InputError.of("an address above its bucket", uri, "s3://bucket/key")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def is_address(name: str) -> bool:
    """Whether a data set's name is an address, and not a free name."""
    return _ADDRESS.match(name) is not None


def spelled(name: str) -> str:
    """Return an address that serves as a data set's name in its one spelling, whatever the machine holds.

    Raises InputError for what `normalized` and `dataset_of` refuse.
    """
    plain = normalized(name)
    return re.sub("^/+", "/", os.path.normpath(plain)) if is_local(plain) else dataset_of(plain)


def within(inner: str, outer: str) -> bool:
    """Whether an address in its one spelling is another one, or lies below it."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


@dataclass(frozen=True)
class Place:
    """Where a table lies, as far as a ledger must know it to find it again.

    `address` is in its one spelling, `links` are the full paths outside of it to which links in a local folder lead.
    `files` are the identities of a local table's files and of the folder itself, `above` those of the folders that it
    lies in. `state` is a digest of the files' names, sizes and times; None where the address is not local.
    """

    address: str
    links: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    above: frozenset[str] = frozenset()
    state: str | None = None

    @property
    def addresses(self) -> list[str]:
        """All paths, or the address, under which its rows lie."""
        return [self.address, *sorted(self.links)]


def place_of(uri: str) -> Place:
    """Return where a table lies by its normalized address; a local one is looked at, and need not be there."""
    address = dataset_of(uri)
    if not is_local(address):
        return Place(address)
    path = Path(address)
    is_folder = path.is_dir()
    links: set[str] = set()
    identities = {identity(address)}  # of a folder, too: it may be mounted elsewhere, and files be added to it
    states: list[tuple[str, int, int]] = []
    for found, is_link in _below(address, set()) if is_folder else [(address, False)]:
        if is_link and not within(real := os.path.realpath(found), address):
            links.add(real)
        with contextlib.suppress(OSError):  # what cannot be seen is refused where it is to be read
            status = os.stat(found)  # noqa: PTH116 (there may be very many)
            if stat.S_ISREG(status.st_mode) and status.st_size:
                identities.add(identity(found))
                states.append((os.path.relpath(found, address), status.st_size, status.st_mtime_ns))
    above = (identity(str(folder)) for folder in path.parents)
    digest = hashlib.sha256(json.dumps(sorted(states)).encode(errors="surrogatepass")).hexdigest()
    return Place(address, frozenset(links), _there(identities), _there(above), digest)


def _there(identities: Iterable[str | None]) -> frozenset[str]:
    return frozenset(i for i in identities if i is not None)


def _below(folder: str, seen: set[str]) -> Iterator[tuple[str, bool]]:
    """What a folder holds that Spark would not skip for its name, and whether it is a link; each folder once."""
    try:
        real = os.path.realpath(folder)
        entries = [] if real in seen else list(os.scandir(folder))
    except OSError:
        return
    seen.add(real)
    for entry in entries:
        if entry.name.startswith(".") or (entry.name.startswith("_") and "=" not in entry.name):
            continue  # but `_year=2020` is a partition
        yield entry.path, entry.is_symlink()
        if os.path.isdir(entry.path):  # noqa: PTH112 (of a loop of links it says no)
            yield from _below(entry.path, seen)
