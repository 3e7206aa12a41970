"""Times the whole command as a user starts it: `dpcloud run` on the demo's table, and what needs no Spark."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from dpcloud.data.schema import DEFAULT_ROWS
from dpjobs.engines import ENGINES

DPCLOUD = Path(sys.executable).parent / "dpcloud"
_BOUNDED = "--query MEAN --lower 0 --upper 20000 --epsilon 1"
RUNS = {engine: f"run --engine {engine} --column TotalPop {_BOUNDED} --file {{file}}" for engine in ENGINES}
QUICK = {"help": "--help", "plan": f"plan --rows 74001 {_BOUNDED}", "budget": "budget show"}


def measure(cache: Path, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Return the seconds of every command: two runs with each engine, five starts of the others.

    Each begins with one start that is not counted. A run finds an empty home, so that its ledger is new.
    """
    table = cache / f"{DEFAULT_ROWS}.csv"
    taken = {}
    with tempfile.TemporaryDirectory(prefix="dpcloud-bench-") as home:
        if not table.exists():
            say(f"writing {table.name}")
            _seconds(f"data generate --output {table}", home)
        for words in RUNS.values():
            taken[words] = [_run(words.format(file=table)) for _ in range(3)][1:]
            say(f"{median(taken[words]):8.2f} s  dpcloud {words}")
        _seconds(RUNS["pipelinedp"].format(file=table), home)  # something for `budget show` to tell
        for words in QUICK.values():
            taken[words] = [_seconds(words, home) for _ in range(6)][1:]
            say(f"{median(taken[words]):8.2f} s  dpcloud {words}")
    return taken


def _run(words: str) -> float:
    with tempfile.TemporaryDirectory(prefix="dpcloud-bench-") as home:
        return _seconds(words, home)


def _seconds(words: str, home: str) -> float:
    """Run `dpcloud` and drop what it prints; raises CalledProcessError when it fails."""
    environment = {**os.environ, "DPCLOUD_HOME": home}
    started = time.monotonic()
    subprocess.run(
        [DPCLOUD, *words.split()], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return time.monotonic() - started
