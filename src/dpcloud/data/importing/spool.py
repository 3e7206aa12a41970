"""Records as text in Parquet files of a private folder, each with the file and the line that it stood in.

So every decision is made over whole columns, and memory holds one batch at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

NATIVE = "\x01"
"""Begins a cell that was a number already (JSON, Excel): its point is a decimal point, whatever others are."""

PREFIX = "c:"
"""Begins the spooled name of a column, beside `file` and `line`."""

BATCH_CELLS = 600_000
BATCH_CHARACTERS = 1 << 24

Cells = Sequence[str | None]


class Records(Protocol):
    """One file's records."""

    names: list[str]
    """Of its columns; where they are known only at the end, it grows."""

    said: list[str]
    """What was found out about the file, for the screen."""

    notes: dict[str, list[str]]
    """What was found out about a column, by its name."""

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
            characters += sum(len(cell) for cell in cells if cell)
            if len(rows) * len(cells) >= BATCH_CELLS or characters >= BATCH_CHARACTERS:
                self._write(file, records.names, lines, rows)
                lines, rows, characters = [], [], 0
        self._write(file, records.names, lines, rows)

    def _write(self, file: int, names: Sequence[str], lines: Sequence[int], rows: Sequence[Cells]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        width = len(names)
        whole = [row if len(row) == width else [*row, *[None] * (width - len(row))] for row in rows]
        columns = list(zip(*whole, strict=True)) if rows else [()] * width
        arrays: Mapping[str, object] = {
            "file": pa.array([file] * len(rows), pa.int32()),
            "line": pa.array(lines, pa.int64()),
            **{PREFIX + name: pa.array(cells, pa.string()) for name, cells in zip(names, columns, strict=True)},
        }
        path = self.folder / f"spool-{len(self.files):06}.parquet"
        pq.write_table(pa.table(arrays), path, compression="lz4")
        self.files.append(path)
