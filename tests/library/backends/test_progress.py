"""What is said of a long count: shares of files' bytes or of rows, which never fall, and nothing else of them."""

import bz2
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.backends.duckdb import backend as module
from dpjobs.backends.duckdb.progress import Progress
from library.backends import contract
from library.tables import source_of


class Scan:
    """A connection that is so far with its query, in per cent; DuckDB says -1 before it knows."""

    def __init__(self) -> None:
        self.at = -1.0

    def query_progress(self) -> float:
        return self.at


def test_a_share_never_falls_and_is_said_in_steps() -> None:
    said: list[str] = []
    progress, scan = Progress(said.append), Scan()
    with progress.scanning(scan, 0.5, 0.5):
        for scan.at in (-1.0, 0.0, 4.0, 12.0, 60.0, 0.0, 30.0):  # all is read once more
            progress.tell()
    with progress.scanning(scan, 0.9, 0.1):
        scan.at = 100.0
        progress.tell()
    assert said == [f"{percent} % of the table is read" for percent in (50, 55, 80, 100)]
    progress.restart()
    progress.tell()
    assert len(said) == 4


def test_a_closed_terminal_ends_no_count() -> None:
    def say(_: str) -> None:
        raise BrokenPipeError

    progress, scan = Progress(say), Scan()
    scan.at = 50.0
    with progress.scanning(scan, 0, 1):
        progress.tell()


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.bz2", ".parquet"])
def test_every_way_of_reading_comes_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """A file without a row comes first."""
    monkeypatch.setattr(module, "SECONDS", 1e-6)
    write = {".csv": bytes, ".csv.gz": gzip.compress, ".csv.bz2": bz2.compress}
    for name, cells in (("a", []), ("b", ["1", "2"]), ("c", ["3"] * 50_000)):
        if ending == ".parquet":
            pq.write_table(pa.table({"x": pa.array(cells, pa.string())}), tmp_path / f"{name}.parquet")
        else:
            lines = "x\n" + "".join(f"{cell}\n" for cell in cells)
            (tmp_path / f"{name}{ending}").write_bytes(write[ending](lines.encode()))
    said: list[str] = []
    with DuckDBBackend.open(say=said.append) as backend:
        for _ in range(2):
            assert (
                contract.total(backend, source_of(tmp_path, "parquet" if ending == ".parquet" else "csv"))
                == 3 + 150_000
            )
            assert backend._progress._share == 1.0
        assert all(line.endswith(" % of the table is read") for line in said)
        shares = dict(backend._batches.execute("select name, value from duckdb_settings()").fetchall())
        assert (shares["enable_progress_bar"], shares["enable_progress_bar_print"]) == ("true", "false")
