"""The peak of memory of one way, in a process of its own: `memory.py WAY STATISTIC TABLE` prints it in MiB."""

import subprocess
import sys
from pathlib import Path

import meter
import ways

WAYS = {"duckdb": ways.duckdb, "dpcloud-duckdb": ways.on_duckdb, "dpcloud-2gb": ways.on_duckdb_in_2gb}


def peak(way: str, statistic: str, table: Path) -> int:
    """Start a process that goes the way once, and return its peak in MiB."""
    words = [sys.executable, __file__, way, statistic, str(table)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    WAYS[sys.argv[1]](Path(sys.argv[3]), ways.STATISTICS[sys.argv[2]])
    print(meter.peak_mib())
