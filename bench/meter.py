"""Seconds, CPU seconds and memory of what runs here: of this process and of all that it started, Java included."""

import re
import time
from collections import defaultdict
from collections.abc import Callable
from os import getpid, sysconf
from pathlib import Path

_TICKS = sysconf("SC_CLK_TCK")


def measured(call: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds that a call takes."""
    cpu, started = _cpu(), time.monotonic()
    call()
    return time.monotonic() - started, _cpu() - cpu


def peak_mib() -> int:
    """Return the most memory that this process has had, in MiB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise OSError("this system does not tell a process's peak of memory")
    return int(found[1]) // 1024


def _cpu() -> float:
    """CPU seconds of this process and its descendants; of one that ended as soon as it was waited for."""
    children, used = defaultdict(list), {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        process = int(path.parent.name)
        children[int(fields[1])].append(process)
        used[process] = sum(map(int, fields[11:15]))
    total, left = 0, [getpid()]
    while left:
        process = left.pop()
        total += used.get(process, 0)
        left += children[process]
    return total / _TICKS
