"""Records as text in Parquet files of a private folder, each with the file and the line that it stood in.

So every decision is made over whole columns, and memory holds one batch at a time.
"""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from dpcloud.data.importing.cells import BLANKS
from dpcloud.data.importing.files import Part
from dpcloud.data.importing.options import Options

PREFIX = "c:"
"""Begins the spooled name of a column, beside `file` and `line`."""

BATCH_CELLS = 600_000
BATCH_CHARACTERS = 1 << 24

Cells = Sequence[str]
"""Of one record; an empty one is an empty text."""


@dataclass
class Records(ABC):
    """One file's records."""

    part: Part
    options: Options

    names: list[str] = field(default_factory=list)
    """Of its columns; where they are known only at the end, it grows."""

    said: list[str] = field(default_factory=list)
    """What was found out about the file, for the screen."""

    notes: dict[str, list[str]] = field(default_factory=dict)
    """What was found out about a column, by its name."""

    separator: str | None = None
    """What stands between cells; None where nothing tells, as in a sheet, or there is one cell a line."""

    unnamed: set[str] = field(default_factory=set)
    """The names that were made up for columns without one."""

    @abstractmethod
    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Give each record's first line (from 1) and its cells, in the order of `names`; raises InputError."""


@dataclass
class Spool:
    """Takes records and keeps them in `folder`."""

    folder: Path
    files: list[Path] = field(default_factory=list)

    def take(self, file: int, records: Records) -> None:
        """Store all records of the file with this number; raises InputError and OSError."""
        lines: list[int] = []
        rows: list[Cells] = []
        characters = 0
        for line, cells in records.rows():
            lines.append(line)
            rows.append(cells)
            characters += sum(map(len, cells))
            if len(rows) * len(cells) >= BATCH_CELLS or characters >= BATCH_CHARACTERS:
                self._write(file, records.names, lines, rows)
                lines, rows, characters = [], [], 0
        self._write(file, records.names, lines, rows)

    def _write(self, file: int, names: Sequence[str], lines: Sequence[int], rows: Sequence[Cells]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        width = len(names)
        whole = [row if len(row) == width else [*row, *[""] * (width - len(row))] for row in rows]
        columns = list(zip(*whole, strict=True)) if rows else [()] * width
        arrays = {
            "file": _numbers([file] * len(rows)),
            "line": _numbers(lines),
            **{PREFIX + name: _texts(cells) for name, cells in zip(names, columns, strict=True)},
        }
        path = self.folder / f"spool-{len(self.files):06}.parquet"
        pq.write_table(pa.table(arrays), path, compression="lz4")
        self.files.append(path)


def _numbers(numbers: Sequence[int]) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(array("q", numbers))])


def _texts(cells: Sequence[str]) -> Any:
    """An array of texts without the blanks around them. `pyarrow.array` would load pandas, which takes seconds."""
    import pyarrow as pa
    from pyarrow import compute

    text = "".join(cells)
    data = text.encode()
    lengths = map(len, cells) if len(data) == len(text) else (len(cell.encode()) for cell in cells)
    offsets = array("q", accumulate(lengths, initial=0))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return compute.utf8_trim(pa.Array.from_buffers(pa.large_string(), len(cells), buffers), characters=BLANKS)
