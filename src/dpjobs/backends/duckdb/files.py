"""Files of this machine and objects in S3, opened as Arrow reads them; what is listed is what Hadoop would show.

S3 through pyarrow, which brings its own client: DuckDB's needs an extension that no package registry has.
"""

import os
import posixpath
from typing import Any, Protocol

from dpjobs.addresses import dataset_of, is_local
from dpjobs.errors import InputError
from dpjobs.source import Entry, Files, LocalFiles

_SCHEME = "s3://"
_SECONDS = 20.0  # of silence, until a request is tried again


class Opened(Files, Protocol):
    """Files that can be read as a whole."""

    piece: int
    """How many bytes are best asked for at once."""

    def open(self, path: str) -> Any:
        """Return pyarrow's file, a context manager, to read from its beginning or from anywhere."""


class Local(LocalFiles):
    """Files of this machine."""

    piece = 1 << 22  # about what a core's cache holds

    def open(self, path: str) -> Any:
        """Open a file."""
        import pyarrow

        return pyarrow.OSFile(path)


class S3:
    """Objects of a bucket; raises InputError when one cannot be reached.

    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, and whatever else gives credentials to an AWS tool are
    honoured. Without a region the bucket is asked for its own.
    """

    piece = 1 << 24  # every request takes its time

    def __init__(self, uri: str) -> None:
        from pyarrow import fs

        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        self._fs = fs
        try:
            if not region and not endpoint:
                region = fs.resolve_s3_region(_key(uri).split("/")[0])
            how = {"connect_timeout": _SECONDS, "request_timeout": _SECONDS}
            self._system = fs.S3FileSystem(region=region, endpoint_override=endpoint, **how)
        except Exception:  # the library's text may name credentials
            raise _unreachable(uri) from None

    def look(self, uri: str) -> Entry | None:
        """Return what is at the address, None when nothing is."""
        try:
            info = self._system.get_file_info(_key(uri))
        except OSError:
            raise _unreachable(uri) from None
        return None if info.type == self._fs.FileType.NotFound else self._entry(info)

    def children(self, uri: str) -> list[Entry]:
        """Return what a folder holds; for a file, the file itself.

        A key with an empty name in it (`//`) is not shown, as Hadoop cannot name it either.
        """
        key = _key(uri)
        try:
            found = self._system.get_file_info(self._fs.FileSelector(key, allow_not_found=True))
        except OSError:
            raise _unreachable(uri) from None
        entries = [entry for entry in map(self._entry, found) if entry.path != _SCHEME + key]
        itself = self.look(uri) if not entries else None
        return [itself] if itself and not itself.is_folder else entries

    def read(self, path: str, start: int, size: int) -> bytes:
        """Return an object's bytes from `start` on, `size` of them or as many as there are."""
        try:
            with self.open(path) as file:
                return bytes(file.read_at(max(0, min(size, file.size() - start)), start))
        except OSError:
            raise _unreachable(path) from None

    def open(self, path: str) -> Any:
        """Open an object."""
        return self._system.open_input_file(_key(path))

    def _entry(self, info: Any) -> Entry:
        # a key with . or .. in it is another object's name to Hadoop: whoever lists sees that it lies elsewhere
        path = _SCHEME + posixpath.normpath(info.path)
        return Entry(path, int(info.size or 0), info.type == self._fs.FileType.Directory)


def files_of(uri: str) -> Opened:
    """Return the files that an address leads to; raises InputError for one that is neither a path nor in S3."""
    return Local() if is_local(uri) else S3(uri)


def _key(uri: str) -> str:
    """The bucket and the key, spelled as Hadoop reads them."""
    return dataset_of(uri).removeprefix(_SCHEME)


def _unreachable(uri: str) -> InputError:
    return InputError.of("cannot be reached", uri, "an address that this user may read")
