"""Times the whole command as a user starts it: `dpcloud run` on the demo's table, and what needs no table."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from dpcloud.data.schema import DEFAULT_ROWS
from results import Timed

DPCLOUD = Path(sys.executable).parent / "dpcloud"
TURNS = 3
_BOUNDED = "--query MEAN --lower 0 --upper 20000 --epsilon 1"
_RUN = f"--column TotalPop {_BOUNDED} --file {{file}}"
RUNS = {
    "pipelinedp": f"run --engine pipelinedp {_RUN}",
    "opendp": f"run --engine opendp {_RUN}",
    "tumult-core": f"run --engine tumult-core {_RUN}",
    "diffprivlib": f"run --engine diffprivlib --unhardened {_RUN}",
    "tumult": f"run --engine tumult --on spark {_RUN}",
}
QUICK = {"help": "--help", "plan": f"plan --rows {DEFAULT_ROWS} {_BOUNDED}", "budget": "budget show"}


def measure(cache: Path, say: Callable[[str], None]) -> dict[str, Timed]:
    """Return the seconds and the CPU seconds of every command.

    They take turns, after one that is not counted. A run finds an empty home, so that its ledger is new.
    """
    table = cache / f"{DEFAULT_ROWS}.csv"
    taken = {name: Timed(words) for name, words in (RUNS | QUICK).items()}
    with tempfile.TemporaryDirectory(prefix="dpcloud-bench-") as home:
        if not table.exists():
            say(f"writing {table.name}")
            _taken(f"data generate --output {table}", home)
        _taken(RUNS["pipelinedp"].format(file=table), home)  # something for `budget show` to tell
        for turn in range(TURNS + 1):
            for name, timed in taken.items():
                with tempfile.TemporaryDirectory(prefix="dpcloud-bench-") as new:
                    seconds, cpu = _taken(timed.words.format(file=table), new if name in RUNS else home)
                if turn:
                    timed.seconds.append(round(seconds, 4))
                    timed.cpu.append(round(cpu, 4))
    for timed in taken.values():
        say(f"{median(timed.seconds):8.2f} s {median(timed.cpu):8.2f} s of CPU  dpcloud {timed.words}")
    return taken


def _taken(words: str, home: str) -> tuple[float, float]:
    """Run `dpcloud`, drop what it prints, and return what it took; raises CalledProcessError when it fails."""
    environment = {**os.environ, "DPCLOUD_HOME": home}
    started = time.monotonic()
    process = subprocess.Popen(
        [DPCLOUD, *words.split()], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return seconds, used.ru_utime + used.ru_stime
