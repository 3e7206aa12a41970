"""A table larger than what `dpcloud run --memory` allows is counted within it: the whole command, in a process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MIB = 1 << 20
LIMIT = 256
"""MiB that `--memory` gives to DuckDB here: the least that it takes."""
PROCESS = 192
"""MiB for all else: Python with DuckDB, Arrow and the engine (150 MiB), and what of the file is on its way."""
SIZE = 640
"""MiB of the table: two and a half times the limit, and more than both together."""

_COMMAND = """
import re, sys
from pathlib import Path
from dpcloud.cli import main
main(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def _csv(path: Path) -> None:
    block = b"".join(b"%d,%d,%s\n" % (i, i % 100, b"some more text" * 64) for i in range(5_000))
    with path.open("wb") as file:
        file.write(b"id,x,text\n")
        while file.tell() < SIZE * MIB:
            file.write(block)


def _parquet(path: Path) -> None:
    values = pa.table({"x": np.random.default_rng(1).uniform(0, 100, MIB)})
    how = {"use_dictionary": False, "compression": "none"}
    with pq.ParquetWriter(path, values.schema, **how) as writer:
        for _ in range(SIZE * MIB // values.nbytes):
            writer.write_table(values)


@pytest.mark.slow
@pytest.mark.parametrize("write", [_csv, _parquet])
def test_a_table_larger_than_the_memory(tmp_path: Path, write) -> None:
    """Who held the file would need its size, which is half as much again as what is allowed in all."""
    table = tmp_path / f"t.{write.__name__.removeprefix('_')}"
    write(table)
    assert table.stat().st_size >= SIZE * MIB > 1.4 * (LIMIT + PROCESS) * MIB
    words = (
        f"run --memory {LIMIT}MiB --query VARIANCE --column x --epsilon 1 --lower 0 --upper 100 --json --file {table}"
    )
    home = {**os.environ, "DPCLOUD_HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, *words.split()], env=home, capture_output=True, text=True, check=True
    )
    table.unlink()
    peak = int(done.stderr.split()[-1]) // 1024
    assert peak < LIMIT + PROCESS, peak
