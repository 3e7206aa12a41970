"""Downloads the real census table once, checks it, and keeps it in the cache."""

import hashlib
import os
import queue
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dpjobs.errors import InputError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.util import Retry

FILE_NAME = "acs2017_census_tract_data.csv"
PUBLIC_URL = (
    "https://raw.githubusercontent.com/dsaidgovsg/benchmarking-differential-privacy-tools/main/"
    f"data/real_world_data/{FILE_NAME}"
)
BLOB_ID = "4619106d234b0caaf4bb3314c8cba650ed05640b"
"""The git blob id of the file: SHA-1 over `blob`, its size in bytes, a zero byte and its content."""

Progress = Callable[[int, int | None], None]
"""Told now and then the bytes that have come and the bytes to come in all, None where the server does not say."""

_CONNECT_SECONDS, _READ_SECONDS, _ANSWER_SECONDS = 4.0, 5.0, 12.0
_MAX_BYTES = 2**27
_CHUNK_BYTES = 2**16
_TRANSIENT = (429, 500, 502, 503, 504)


def fetch(folder: Path, *, url: str = PUBLIC_URL, blob_id: str = BLOB_ID, progress: Progress | None = None) -> Path:
    """Return the path of the real census table in `folder` (made if need be), downloaded unless it is there.

    A file that is there and has the git blob id `blob_id` is returned without using the network. A download
    is tried again a few times, gives up within some 20 seconds when nothing answers, and replaces the file
    only when its id is right. Proxies are taken from the environment, as curl does.

    Raises InputError, saying what to do instead, when there is no network, the server refuses, the content
    is another one or the folder cannot be written; nothing is kept then.
    """
    target = folder / FILE_NAME
    try:
        if target.is_file() and git_blob_id(target) == blob_id:
            return target
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=folder)
    except OSError:
        raise _unwritable(folder) from None
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            _download(url, file, progress, target)
        if git_blob_id(partial) != blob_id:
            raise InputError(f"what {url} sends is not the expected file, so it was not kept; {_instead(target)}")
        partial.replace(target)
    except OSError:
        raise _unwritable(folder) from None
    finally:
        partial.unlink(missing_ok=True)
    return target


def git_blob_id(path: Path) -> str:
    """Return the id git gives to the file's content, as 40 hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.sha1(f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _download(url: str, file: IO[bytes], progress: Progress | None, target: Path) -> None:
    """Write what the address sends into the file. Raises InputError for the network, OSError for the disk."""
    from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError
    from urllib3.util import Retry

    retries = Retry(
        total=3,
        connect=1,
        read=2,
        status_forcelist=_TRANSIENT,
        backoff_factor=0.2,
        raise_on_status=False,
        respect_retry_after_header=False,  # a server may ask for hours
    )
    try:
        while True:
            response = _answer(url, retries)
            try:
                if response.status != 200:
                    raise InputError(f"{url} answered with HTTP status {response.status}; {_instead(target)}")
                return _receive(response, file, progress)
            except (ProtocolError, ReadTimeoutError) as error:  # broken off in the middle: once more from the start
                retries = retries.increment("GET", url, error=error)
                retries.sleep()
            finally:
                response.close()
    except (HTTPError, TimeoutError):
        raise InputError(f"{url} cannot be reached, or broke off; {_instead(target)}") from None


def _answer(url: str, retries: "Retry") -> "BaseHTTPResponse":
    """Return the response as soon as its header is there. Raises TimeoutError when it takes too long in all.

    Waits outside the connecting thread: a name server, or an address with many dead machines behind it, takes
    its time regardless of the limits per connection.
    """
    answers: queue.SimpleQueue[BaseHTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        from urllib3 import Timeout

        try:
            timeout = Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
            answers.put(_pool(url).request("GET", url, retries=retries, timeout=timeout, preload_content=False))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_ANSWER_SECONDS)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _pool(url: str) -> "PoolManager":
    """A pool of connections, through the environment's proxy where one is named for the address."""
    from urllib.request import getproxies, proxy_bypass

    from urllib3 import PoolManager, ProxyManager
    from urllib3.util import parse_url

    parts = parse_url(url)
    proxy = getproxies().get(parts.scheme or "")
    return ProxyManager(proxy) if proxy and not proxy_bypass(parts.host or "") else PoolManager()


def _receive(response: "BaseHTTPResponse", file: IO[bytes], progress: Progress | None) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    file.seek(0)
    file.truncate()
    done = 0
    for chunk in response.stream(_CHUNK_BYTES):
        file.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, total)
        if done > _MAX_BYTES:  # many times the file: the id is wrong whatever follows
            return


def _instead(target: Path) -> str:
    return (
        f"put the file there by hand as {target} and run this again, "
        "or make a synthetic one with `dpcloud data generate --output PATH`"
    )


def _unwritable(folder: Path) -> InputError:
    return InputError.of(
        "the download cannot be kept", folder, "a writable folder with 20 MB free (see DPCLOUD_HOME)"
    )
