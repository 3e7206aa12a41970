"""A private folder for what a backend spills, in the system's temporary one: it holds cells and sums of the table."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "dpcloud-scratch-"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A private folder that is removed at the end, locked so that no other process sweeps it away before.

    A lock is known to every container that shares the folder, where a process's number means nothing, and ends
    with its process, however that ends.
    """
    sweep()
    while True:
        made = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # a file system without locks: there nobody else's sweep gets one, either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            break
        os.close(lock)  # swept away between the two calls
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def sweep() -> None:
    """Remove what a killed process left of its temporary files: they hold sums of the raw table."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where its process lives
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
