"""Ctrl-C: what is said of the budget is true, whenever it comes."""

import gzip
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from dpcloud.cli import main
from dpjobs import job
from dpjobs.errors import DoubtError, InterruptError, LedgerError, RunError
from dpjobs.ledger import Reservation, SQLiteLedger
from dpjobs.query import PrivacyBudget


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "home" / "ledger.sqlite")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A table of two billion rows in four megabytes: minutes of work."""
    path = tmp_path / "endless.csv.gz"
    member = gzip.compress(b"7\n" * (1 << 22))
    path.write_bytes(gzip.compress(b"x\n" + b"1\n" * 100_000) + member * 500)
    return path


@pytest.mark.slow
def test_a_run_that_is_interrupted_while_spark_works(endless: Path, ledger: SQLiteLedger, tmp_path: Path) -> None:
    """A real process and a real signal, to all of its processes, as a terminal sends it."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    words = ["--file", endless, "--query", "SUM", "--column", "x", "--epsilon", "1", "--lower", "0", "--upper", "9"]
    with subprocess.Popen(
        [sys.executable, "-m", "dpcloud", "run", *words, "--dataset", "endless", "--run-id", "mine", "--json"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # what is started in the background of a script ignores Ctrl-C, and so would this
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        deadline = time.monotonic() + 120
        while not ledger.find("mine") and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(2)  # Spark reads by now
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err == (
        "dpcloud: the run 'mine' was interrupted after its reservation, whose epsilon stays spent; the same command "
        "with that run id may finish it at no further cost\n"
    )
    assert ledger.balance("endless").left == 9
    assert ledger.find("mine").release is None
    assert [path for path in temporary.iterdir() if path.name.startswith("dpcloud")] == []


@pytest.fixture
def interrupted(
    tmp_path: Path, ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Run with a job that ends in this way; return the line."""
    table = tmp_path / "table.csv"
    table.write_text("x\n1\n")

    def run(ends: Callable[..., job.Outcome], *words: str, code: int = 130) -> str:
        monkeypatch.setattr(job, "run", ends)
        with pytest.raises(SystemExit) as left:
            main(["run", "--file", str(table), "--query", "COUNT", "--epsilon", "1", "--run-id", "mine", *words])
        assert left.value.code == code
        shown = capfd.readouterr()
        assert shown.out == ""
        return shown.err.strip().removeprefix("dpcloud: ")

    yield run
    logging.disable(logging.NOTSET)


def at_once(*_: object) -> job.Outcome:
    raise KeyboardInterrupt


def reserved(specs: list, ledger: SQLiteLedger, *_: object) -> job.Outcome:
    ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest()) for spec in specs])
    raise KeyboardInterrupt


def test_before_the_reservation(interrupted: Callable[..., str], ledger: SQLiteLedger) -> None:
    assert interrupted(at_once) == "was interrupted; nothing is spent"
    assert ledger.datasets() == []


def test_where_the_job_itself_did_not_tell(interrupted: Callable[..., str]) -> None:
    assert interrupted(reserved).startswith("was interrupted; its epsilon stays spent; the same command with its run")
    line = interrupted(reserved, "--engine", "opendp,pipelinedp")
    assert line.endswith("(the run id of this command, for all engines, is 'mine')")


def test_while_the_release_is_shown(interrupted: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    import dpcloud.running

    monkeypatch.setattr(dpcloud.running, "array", at_once)
    line = interrupted(lambda specs, *_: job.Outcome({spec.run_id: "{}" for spec in specs}), "--json")
    assert line == (
        "was interrupted; the release is stored, and its epsilon stays spent; the same command with the run id "
        "'mine' gives it again at no further cost"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_the_process_from_outside_lets_it_clear_up(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed terminal, a container that stops: what Spark has on the disk holds sums of the raw table."""
    cleared: list[signal.Signals] = []

    def run(*_: object) -> job.Outcome:
        try:
            assert callable(signal.getsignal(number))  # else it would end the tests
            signal.raise_signal(number)
        finally:
            cleared.append(number)
        return job.Outcome()

    monkeypatch.setattr(job, "run", run)
    (tmp_path / "table.csv").write_text("x\n1\n")
    before = {one: signal.signal(one, signal.SIG_DFL) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as left:
            main(["run", "--file", str(tmp_path / "table.csv"), "--query", "COUNT", "--epsilon", "1"])
    finally:
        logging.disable(logging.NOTSET)
        for one, handler in before.items():
            signal.signal(one, handler)
    assert (left.value.code, cleared) == (128 + number, [number])


def test_other_commands(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    import dpcloud.budget

    monkeypatch.setattr(dpcloud.budget, "ledger_path", at_once)
    with pytest.raises(SystemExit) as left:
        main(["budget", "show"])
    assert left.value.code == 130
    assert capfd.readouterr().err.strip() == "dpcloud: was interrupted; nothing is spent"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_ends_the_process_says_what_is_spent(
    interrupted: Callable[..., str], number: signal.Signals, code: int
) -> None:
    """What a scheduler sends is told as Ctrl-C is, under the exit code that shells give it."""
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}

    def ended(specs: list, ledger: SQLiteLedger, *_: object) -> job.Outcome:
        ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest()) for spec in specs])
        os.kill(os.getpid(), number)
        time.sleep(5)
        raise AssertionError

    try:
        assert interrupted(ended, code=code).startswith("was interrupted; its epsilon stays spent; the same command")
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)


def test_while_the_command_is_still_imported() -> None:
    """In the first tenth of a second, too, there is no traceback."""
    code = (
        "import sys\n"
        "class Ctrl_C:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Ctrl_C())\n"
        "from dpcloud.__main__ import main\n"
        "main(['budget', 'show'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "dpcloud: was interrupted; nothing is spent\n"


# -- in the job: what became of the reservation


@pytest.mark.parametrize(
    ("met", "told", "code"),
    [(LedgerError("no answer"), DoubtError, 3), (KeyboardInterrupt(), InterruptError, 130)],
)
def test_a_reservation_whose_answer_is_lost_is_in_doubt(
    met: BaseException, told: type, code: int, tmp_path: Path
) -> None:
    """It must not claim that nothing is spent: here it is."""
    asked = [Reservation("mine", "census", PrivacyBudget(Decimal(1)), "digest")]

    class Silent(SQLiteLedger):
        def reserve(self, reservations: Sequence[Reservation]) -> dict[str, str]:
            super().reserve(reservations)
            raise met

    ledger = Silent(tmp_path / "ledger.sqlite")
    with pytest.raises(
        told, match="the run 'mine' is spent is in doubt: the same command with that run id pays once"
    ) as e:
        job._reserve(ledger, asked)
    assert e.value.exit_code == code
    assert ledger.balance("census").left == 9


@pytest.mark.parametrize(
    ("met", "told", "code", "said"),
    [
        (
            LedgerError("the disk is full"),
            RunError,
            3,
            "the disk is full; the run 'mine' could not go on",
        ),
        (KeyboardInterrupt(), InterruptError, 130, "the run 'mine' was interrupted"),
        (ValueError("cell 918273"), RunError, 3, "the run 'mine' failed ("),
    ],
)
def test_after_the_reservation(met: BaseException, told: type, code: int, said: str) -> None:
    with pytest.raises(told) as e, job._failing_safely("mine"):
        raise met
    assert e.value.exit_code == code
    assert str(e.value).startswith(said)
    assert "after its reservation, whose epsilon stays spent" in str(e.value)
    assert "918273" not in str(e.value)
