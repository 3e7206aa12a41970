"""Real processes race for one ledger file: for the last of a budget, for one run id, and to make the file."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dpjobs.epsilon import Epsilon
from dpjobs.ledger import SQLiteLedger
from library.ledger.contract import DATASET, reservation

_RACER = Path(__file__).with_name("racer.py")


def race(argument_lists: Sequence[Sequence[object]], *stops: str) -> list[str]:
    """Start one racer per argument list and return what each printed.

    Where they start, and wherever else they stop, all are let go at the same moment.
    """
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen([sys.executable, _RACER, *map(str, arguments)], stdin=pipe, stdout=pipe, text=True)
        for arguments in argument_lists
    ]
    try:
        for stop in ("ready", *stops):
            for racer in racers:
                assert racer.stdout.readline() == f"{stop}\n"
            for racer in racers:
                racer.stdin.write("go\n")
                racer.stdin.flush()
        return [racer.communicate(timeout=90)[0].rstrip("\n") for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


@pytest.mark.slow
def test_of_sixteen_processes_exactly_five_get_what_is_left_for_five(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"  # not there: making it is part of the race
    told = race([("reserve", path, f"run-{i}", "2", "") for i in range(16)])
    assert sorted(told) == ["refused"] * 11 + ["won"] * 5
    ledger = SQLiteLedger(path)
    assert ledger.balance(DATASET).left == 0
    runs = ledger.history(DATASET)
    assert {run.run_id for run in runs} == {f"run-{i}" for i, came in enumerate(told) if came == "won"}
    assert [run.epsilon for run in runs] == [Epsilon(2)] * 5


@pytest.mark.slow
def test_the_last_billionths_go_to_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SQLiteLedger(path)
    ledger.reserve([reservation("before", "9.999998999")])
    told = race([("reserve", path, f"run-{i}", "0.000001001", "") for i in range(4)])
    assert sorted(told) == ["refused"] * 3 + ["won"]
    assert ledger.balance(DATASET).left == 0


@pytest.mark.slow
def test_eight_processes_with_one_run_id_show_one_release_and_pay_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    told = race([("answer", path, "one-run", "2", i) for i in range(8)], "reserved")
    ledger = SQLiteLedger(path)
    stored = ledger.find("one-run").release
    assert json.loads(stored)["drawn"] in {str(i) for i in range(8)}
    assert told == [stored] * 8
    assert ledger.balance(DATASET).left == 8
    assert len(ledger.history(DATASET)) == 1
