"""How much of a table has been read, for whoever waits: of files in bytes, of Parquet's rows, which never falls.

That it never falls matters: where numbers lie far off, all is read once more (`totals`), and only time shows that.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from dpjobs.backends.duckdb.lines import Open

SECONDS = 0.5
"""Between two looks."""
_STEP = 5  # per cent that are said at once


class Progress:
    """Says what share of the table has been read, in steps of five per cent."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._scan: tuple[Any, float, float] | None = None
        self.restart()

    def restart(self) -> None:
        """Begin a new count."""
        self._share, self._said = 0.0, 0

    def tell(self) -> None:
        """Say how far it is, if that is further than what was said last; for the thread that waits."""
        with self._lock:  # the connection is not closed meanwhile
            if self._scan is not None:
                connection, start, part = self._scan
                self._share = start + part * max(connection.query_progress(), 0.0) / 100
        percent = int(self._share * 100) // _STEP * _STEP
        if percent > self._said:
            self._said = percent
            with contextlib.suppress(OSError):  # a terminal that is closed ends no count
                self._say(f"{percent} % of the table is read")

    @contextlib.contextmanager
    def scanning(self, connection: Any, start: float, part: float) -> Iterator[None]:
        """Ask DuckDB how far it is, while it reads a part of the table by itself; `start` is what was read before."""
        self._scan = connection, start, part
        try:
            yield
        finally:
            with self._lock:
                self._scan = None

    def of_files(self, open_: Open, count: int) -> Open:
        """Return what opens files as `open_` does, and sees how far each of so many is read."""
        done = 0

        @contextlib.contextmanager
        def watched(path: str) -> Iterator[Any]:
            nonlocal done
            with open_(path) as file:
                yield _Watched(file, lambda part: self._read((done + part) / count))
            done += 1

        return watched

    def of_batches(self, batches: Iterator[Any], rows: int) -> Iterator[Any]:
        """Give batches, which have so many rows together."""
        done = 0
        for batch in batches:
            yield batch
            done += len(batch)
            self._read(done / max(1, rows))

    def _read(self, share: float) -> None:
        self._share = share


class _Watched:
    """A file of pyarrow's, to be read from its beginning to its end."""

    def __init__(self, file: Any, reached: Callable[[float], None]) -> None:
        self._file, self._reached, self._size = file, reached, max(1, file.size())

    def read(self, size: int) -> bytes:
        """Read as many bytes, or as many as are left."""
        data: bytes = self._file.read(size)
        self._reached(self._file.tell() / self._size)
        return data
