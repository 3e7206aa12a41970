"""The way from reservation to release, in real processes that are killed at each of its steps."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from dpjobs.ledger import SQLiteLedger

pytestmark = pytest.mark.slow

KILLED = -signal.SIGKILL
STEPS = {
    "before reserve": 0,
    "after reserve": 1,
    "after prepare": 1,
    "after measure": 1,
    "after estimate": 1,
    "before commit": 1,
    "in commit": 1,
    "after commit": 1,
}
"""Where a process dies, and what of its epsilon of 1 is counted then."""
SECRET = "7654321.125"


class Nursery:
    """Real processes, forked off one that has Spark running."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self.table = folder / "table.csv"
        self.table.write_text("TotalPop,County\n" + f"{SECRET},Zzyzx\n" * 5)

    def run(self, ledger: SQLiteLedger, *specs: dict[str, Any], **order: Any) -> tuple[int, dict[str, Any] | None]:
        """Do one run in a process of its own; return its exit code and what its user saw, None when nothing."""
        shows = ledger.path.with_name("shows.json")
        shows.unlink(missing_ok=True)
        full = [{"uri": str(self.table), **spec} for spec in specs]
        self._process.stdin.write(
            json.dumps({"ledger": str(ledger.path), "shows": str(shows), "specs": full, **order}) + "\n"
        )
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return code, json.loads(shows.read_text()) if shows.exists() else None

    def release(self, ledger: SQLiteLedger, **order: Any) -> str:
        code, shown = self.run(ledger, {"run_id": "run-1"}, **order)
        assert code == 0
        assert list(shown) == ["releases"], shown
        assert list(shown["releases"]) == ["run-1"]
        return shown["releases"]["run-1"]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    folder = tmp_path_factory.mktemp("nursery")
    errors = folder / "stderr"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("nursery.py"), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        assert process.stdout.readline() == "ready\n", errors.read_text()
        yield Nursery(process, folder)
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    assert "7654321" not in errors.read_text()
    assert "Zzyzx" not in errors.read_text()


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "ledger.sqlite", busy_timeout_seconds=1)


def spent(ledger: SQLiteLedger) -> Decimal:
    return Decimal(ledger.balance("census").spent) / 10**9


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(step: str, nursery: Nursery, ledger: SQLiteLedger) -> None:
    for _ in range(2):  # and again, when a retry dies as well
        code, shown = nursery.run(ledger, {"run_id": "run-1"}, die=step)
        if code == 0 and step == "after commit":
            break  # there is nothing left to commit: the second shows the first one's release
        assert (code, shown) == (KILLED, None)
        assert spent(ledger) == STEPS[step]
    stored = ledger.find("run-1").release if STEPS[step] else None
    assert (stored is not None) == (step == "after commit")

    release = nursery.release(ledger)
    assert spent(ledger) == 1
    assert release == ledger.find("run-1").release
    assert release == (stored or release)
    assert json.loads(release)["run_id"] == "run-1"
    assert len(ledger.history("census")) == 1

    for _ in range(2):  # a committed one needs neither Spark nor the table's rows
        assert nursery.release(ledger, spark=False) == release
    for other in ({"epsilon": "0.5"}, {"epsilon": "5"}, {"upper": 11.0}, {"column": "County"}):
        code, shown = nursery.run(ledger, {"run_id": "run-1", **other}, spark=False)
        assert code == 0
        assert shown["error"] == "BudgetError"
        assert "the run id belongs to another specification: given 'run-1'" in shown["text"]
    assert spent(ledger) == 1
    assert ledger.find("run-1").release == release


@pytest.mark.parametrize("step", ["after reserve", "after measure"])
def test_a_reserved_run_id_is_bound_although_nothing_was_shown(
    step: str, nursery: Nursery, ledger: SQLiteLedger
) -> None:
    nursery.run(ledger, {"run_id": "run-1", "epsilon": "0.1"}, die=step)
    _, shown = nursery.run(ledger, {"run_id": "run-1", "epsilon": "5"}, spark=False)
    assert shown["error"] == "BudgetError"
    assert spent(ledger) == Decimal("0.1")


def test_killed_between_two_runs_of_one_command(nursery: Nursery, ledger: SQLiteLedger) -> None:
    two = ({"run_id": "run-1"}, {"run_id": "run-2", "epsilon": "2"})
    code, shown = nursery.run(ledger, *two, die="after the second measure")
    assert (code, shown) == (KILLED, None)
    assert spent(ledger) == 3  # both are reserved before either runs
    first = ledger.find("run-1").release
    assert first is not None
    assert ledger.find("run-2").release is None
    code, shown = nursery.run(ledger, *two)
    assert shown["releases"] == {"run-1": first, "run-2": ledger.find("run-2").release}
    assert spent(ledger) == 3


def test_of_two_runs_none_is_reserved_when_the_budget_is_short(nursery: Nursery, ledger: SQLiteLedger) -> None:
    two = ({"run_id": "run-1", "epsilon": "6"}, {"run_id": "run-2", "epsilon": "5"})
    _, shown = nursery.run(ledger, *two, spark=False)
    assert shown["error"] == "BudgetError"
    assert spent(ledger) == 0


def test_an_error_that_quotes_a_cell_is_not_repeated(nursery: Nursery, ledger: SQLiteLedger) -> None:
    code, shown = nursery.run(ledger, {"run_id": "run-1"}, die="hostile")
    assert code == 0
    assert any(SECRET in text for text in shown["raw"])  # Spark said it, to the engine
    assert shown["error"] == "RunError"
    assert "\n" not in shown["text"]
    for said in (shown["text"], shown["traceback"]):
        assert "7654321" not in said
        assert "Py4J" not in said
        assert "Caused by" not in said
    assert "the run 'run-1' failed" in shown["text"]
    assert "stays spent" in shown["text"]
    assert spent(ledger) == 1
    assert ledger.find("run-1").release is None
    nursery.release(ledger)
    assert spent(ledger) == 1


def test_an_interrupted_run_stays_reserved(nursery: Nursery, ledger: SQLiteLedger) -> None:
    _, shown = nursery.run(ledger, {"run_id": "run-1"}, die="interrupted")
    assert shown["error"] == "InterruptError"
    assert "the run 'run-1' was interrupted after its reservation" in shown["text"]
    assert spent(ledger) == 1
    nursery.release(ledger)
    assert spent(ledger) == 1


def test_corrupt_pages(tmp_path: Path) -> None:
    """A Parquet file whose footer is in order and whose pages are not: found after the reservation only."""
    path = tmp_path / "table.parquet"
    table = pa.table({"TotalPop": [7654321] * 1000})
    pyarrow.parquet.write_table(table, path, compression="none", use_dictionary=False)
    good = path.read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    path.write_bytes(good[:4] + b"\xfe" * (footer - 4) + good[footer:])
    ledger = SQLiteLedger(tmp_path / "home" / "ledger.sqlite")
    command = [sys.executable, "-m", "dpcloud.cli", "run", "--file", path, "--dataset", "census", "--run-id", "run-1"]
    command += ["--query", "SUM", "--column", "TotalPop", "--epsilon", "1", "--lower", "0", "--upper", "10", "--json"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr == (
        "dpcloud: the run 'run-1' failed (the files could not be read to their end, Java stopped, or the disk is "
        "full) after its reservation, whose epsilon stays spent; the same command with that run id may finish it "
        "at no further cost\n"
    )
    assert spent(ledger) == 1
    assert ledger.find("run-1").release is None

    path.write_bytes(good)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [json.dumps(release, ensure_ascii=False) for release in json.loads(done.stdout)] == [
        ledger.find("run-1").release
    ]
    assert spent(ledger) == 1
