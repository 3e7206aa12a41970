"""The SQLite ledger: the contract, and every trouble that its file can be in told in one line."""

import contextlib
import functools
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, InputError, LedgerError
from dpjobs.ledger import Ledger, SQLiteLedger
from library.ledger.contract import DATASET, LedgerContract, reservation


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger ?#%.sqlite"  # what a URI would read as its own


@pytest.fixture
def used(path: Path) -> SQLiteLedger:
    """A ledger with one run of epsilon 1."""
    ledger = SQLiteLedger(path, busy_timeout_seconds=0.05)
    ledger.reserve([reservation()])
    return ledger


class TestSQLiteLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, path: Path) -> Ledger:
        return SQLiteLedger(path)

    @pytest.fixture
    def strict(self, path: Path) -> Ledger:
        return SQLiteLedger(path, default_total=None)


def refused(ledger: SQLiteLedger, words: str, reading: bool = True) -> None:
    """Every use of the ledger raises LedgerError, in one line with these words."""
    writing = [
        lambda: ledger.ready(),
        lambda: ledger.reserve([reservation("another", "1", "another")]),
        lambda: ledger.set_total(DATASET, Epsilon(20)),
        lambda: ledger.commit("run-1", "{}"),
        lambda: ledger.store_draws("run-1", "totals", "{}"),
    ]
    looking = [
        lambda: ledger.balance(DATASET),
        lambda: ledger.datasets(),
        lambda: ledger.history(DATASET),
        lambda: ledger.find("run-1"),
        lambda: ledger.check([reservation()]),
    ]
    for use in [*writing, *(looking if reading else [])]:
        with pytest.raises(LedgerError, match=words) as told:
            use()
        text = str(told.value)
        assert "\n" not in text
        assert "; allowed: " in text
        # SQLite's own text stays out of sight
        assert told.value.__suppress_context__ or told.value.__context__ is None


def unchanged(path: Path) -> None:
    ledger = SQLiteLedger(path)
    assert ledger.balance(DATASET).left == 9
    assert ledger.datasets() == [DATASET]
    assert ledger.find("run-1").release is None
    assert ledger.find("run-1").draws == {}


def test_a_file_that_another_process_writes_all_the_time(used: SQLiteLedger, path: Path) -> None:
    with held(path, "BEGIN EXCLUSIVE"):
        refused(used, "the ledger is locked")
    unchanged(path)


def test_a_file_that_another_process_is_about_to_write_can_be_read(used: SQLiteLedger, path: Path) -> None:
    with held(path, "BEGIN IMMEDIATE"):
        refused(used, "the ledger is locked", reading=False)
        assert used.balance(DATASET).left == 9
    unchanged(path)


def test_a_short_wait_is_not_an_error(used: SQLiteLedger, path: Path) -> None:
    patient = SQLiteLedger(path, busy_timeout_seconds=20)
    with held(path, "BEGIN EXCLUSIVE", seconds=0.5):
        patient.reserve([reservation("run-2")])
    assert patient.balance(DATASET).left == 8


def test_what_another_process_is_about_to_write_is_waited_for(used: SQLiteLedger, path: Path) -> None:
    """A charge takes its lock before it reads: else it has seen what the other changes, and is turned away."""
    patient = SQLiteLedger(path, busy_timeout_seconds=20)
    write = "UPDATE datasets SET spent = spent + 1000000000"
    with held(path, "BEGIN IMMEDIATE", seconds=0.5, then=f"db.execute({write!r}); db.execute('COMMIT')"):
        patient.reserve([reservation("run-2")])
    assert patient.balance(DATASET).left == 7


def test_a_corrupt_file(used: SQLiteLedger, path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:100] + b"\x5a" * (size - 100))
    refused(used, "the ledger is corrupt or no ledger")


def test_a_truncated_file(used: SQLiteLedger, path: Path) -> None:
    os.truncate(path, 4096 + 100)
    refused(used, "the ledger is corrupt or no ledger")


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("TractId,TotalPop\n1,2\n" * 100)
    before = path.read_bytes()
    refused(SQLiteLedger(path), "the ledger is corrupt or no ledger")
    assert path.read_bytes() == before


def test_another_programs_database(path: Path) -> None:
    with connected(path) as db:
        db.execute("CREATE TABLE datasets (name, total, spent)")
        db.execute("CREATE TABLE runs (run_id, dataset, epsilon, digest, reserved_at, committed_at, release)")
    before = path.read_bytes()
    refused(SQLiteLedger(path), "another program's file")
    with connected(path) as db:
        db.execute("PRAGMA application_id = 7")
    refused(SQLiteLedger(path), "another program's file")
    assert len(path.read_bytes()) == len(before)


def test_a_ledger_of_a_later_version(used: SQLiteLedger, path: Path) -> None:
    with connected(path) as db:
        db.execute("PRAGMA user_version = 3")
    refused(used, r"a ledger of version 3: .* allowed: one of version 1 or 2")
    with connected(path) as db:
        db.execute("PRAGMA user_version = 2")
    unchanged(path)


def test_a_table_that_is_missing(used: SQLiteLedger, path: Path) -> None:
    with connected(path) as db:
        db.execute("DROP TABLE runs")
    with pytest.raises(LedgerError, match="corrupt or no ledger"):
        used.reserve([reservation("run-2")])
    assert used.balance(DATASET).left == 9


def test_a_file_that_must_not_be_changed(used: SQLiteLedger, path: Path) -> None:
    """Root writes whatever the mode says, so the file is made immutable: reading works, writing says why not."""
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        path.chmod(0o400)
        if os.access(path, os.W_OK):
            pytest.skip("root, on a file system without chattr: nothing here is read-only")
    try:
        refused(used, "the ledger is read-only", reading=False)
        unchanged(path)
    finally:
        subprocess.run(["chattr", "-i", path], capture_output=True, check=False)


def test_a_connection_that_cannot_write(used: SQLiteLedger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where there is no chattr: SQLite falls back to reading, and begins transactions all the same."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda to, **kw: connect(re.sub("=rwc?$", "=ro", to), **kw))
    refused(used, "the ledger is read-only", reading=False)
    monkeypatch.undo()
    unchanged(path)


def test_a_folder_in_its_place(path: Path) -> None:
    path.mkdir()
    refused(SQLiteLedger(path), "the ledger cannot be opened")


def test_a_folder_that_is_not_there(path: Path) -> None:
    refused(SQLiteLedger(path / "ledger.sqlite"), "the ledger cannot be opened", reading=False)
    assert not path.exists()


def test_a_file_in_the_place_of_its_folder(path: Path) -> None:
    path.touch()
    refused(SQLiteLedger(path / "ledger.sqlite"), "the ledger cannot be opened", reading=False)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if subprocess.run(["chattr", "+i", folder], capture_output=True, check=False).returncode:
        folder.chmod(0o500)
        if os.access(folder, os.W_OK):
            pytest.skip("root, on a file system without chattr: nothing here is read-only")
    try:
        refused(SQLiteLedger(folder / "ledger.sqlite"), "the ledger cannot be opened", reading=False)
    finally:
        subprocess.run(["chattr", "-i", folder], capture_output=True, check=False)


def test_a_path_that_no_file_can_have(tmp_path: Path) -> None:
    refused(SQLiteLedger(tmp_path / ("x" * 300)), "the ledger cannot be opened")


# -- files, which this machine's ledger alone can know


def test_a_file_is_charged_to_one_data_set_wherever_it_lies(used: SQLiteLedger) -> None:
    here = Place("/data/x.csv", files=frozenset({"1@1"}), above=frozenset({"7@7"}))
    used.reserve([reservation("run-2", place=here)])
    for there in (
        Place("/link.csv", files=frozenset({"1@1"})),  # moved, or a hard link
        Place("/folder", files=frozenset({"2@2", "1@1", "3@3"})),
    ):
        for attempt in (used.check, used.reserve):
            with pytest.raises(BudgetError, match=r"by which a file of it, or its folder, is known: .* set 'census'"):
                attempt([reservation("run-3", dataset=there.address, place=there)])
        with pytest.raises(BudgetError, match="'census'"):
            used.set_total(there.address, Epsilon(5), there)
    assert used.datasets() == [DATASET]
    # the folder that it lies in is nobody's, and its next content keeps the name
    used.reserve([reservation("run-3", dataset="other", place=Place("/y", files=frozenset({"4@4", "7@7"})))])
    used.reserve([reservation("run-4", place=Place("/data/x.csv", files=frozenset({"5@5"})))])
    with pytest.raises(BudgetError, match="'census'"):
        used.check([reservation("run-5", dataset="z", place=Place("/z", files=frozenset({"5@5"})))])


def test_a_folder_that_is_mounted_elsewhere_is_known_by_itself(used: SQLiteLedger) -> None:
    used.reserve([reservation("run-2", place=Place("/data", files=frozenset({"7@7", "1@1"})))])
    new_file = Place("/mnt/new.csv", files=frozenset({"2@2"}), above=frozenset({"7@7", "8@8"}))
    with pytest.raises(BudgetError, match="'census'"):
        used.reserve([reservation("run-3", dataset="/mnt/new.csv", place=new_file)])


def test_a_total_that_is_refused_claims_nothing(used: SQLiteLedger) -> None:
    with pytest.raises(InputError, match="the total is below what is spent"):
        used.set_total(DATASET, Epsilon("0.5"), Place("/data", files=frozenset({"1@1"})))
    used.reserve([reservation("run-2", dataset="other", place=Place("/data", files=frozenset({"1@1"})))])


# -- what the file itself refuses, whoever writes it


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE datasets SET spent = total + 1",
        "UPDATE datasets SET spent = -1",
        "UPDATE datasets SET total = -1",
        "UPDATE datasets SET total = NULL",
        "UPDATE datasets SET spent = 'many'",
        "UPDATE runs SET epsilon = 0",
        "UPDATE runs SET digest = NULL",
        "INSERT INTO runs SELECT * FROM runs",
        "INSERT INTO addresses VALUES ('/x', NULL)",
        "INSERT INTO files VALUES ('1@1', 'census'), ('1@1', 'other')",
    ],
)
def test_a_row_that_cannot_be(used: SQLiteLedger, path: Path, statement: str) -> None:
    with connected(path) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute(statement)
    unchanged(path)


def test_what_is_written_survives_a_power_cut(used: SQLiteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writing connection waits for the disk at its end, the journal's folder included."""
    found: list[int] = []

    class Looking(sqlite3.Connection):
        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            if statement == "COMMIT":
                found.append(super().execute("PRAGMA synchronous").fetchone()[0])
            return super().execute(statement, *arguments)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Looking))
    used.store_draws("run-1", "totals", "{}")
    used.commit("run-1", "{}")
    used.reserve([reservation("run-2")])
    used.set_total(DATASET, Epsilon(20))
    assert found == [3, 3, 3, 3]  # EXTRA


def test_an_empty_file_is_a_new_ledger(path: Path) -> None:
    path.touch()
    ledger = SQLiteLedger(path)
    assert ledger.datasets() == []
    ledger.reserve([reservation()])
    unchanged(path)


def test_a_file_that_becomes_a_ledger_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(sqlite3.Connection):
        """Another makes the ledger just after the first look at the file."""

        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            if statement == "PRAGMA user_version":
                monkeypatch.undo()
                with contextlib.suppress(LedgerError):  # it has to wait, here for ever
                    SQLiteLedger(path, busy_timeout_seconds=0).reserve([reservation()])
            return super().execute(statement, *arguments)

    path.touch()
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Slow))
    assert SQLiteLedger(path).datasets() == []


def test_a_process_that_died_while_it_wrote_is_undone_by_the_next_reader(used: SQLiteLedger, path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA cache_size = 1")  # pages reach the file before the end, as at a COMMIT
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE datasets SET spent = 0")
        for _ in range(2):
            db.execute("UPDATE runs SET release = ?", ("x" * 300_000,))
        os._exit(9)
    os.waitpid(pid, 0)
    assert path.stat().st_size > 300_000  # half of it is in the file, and the journal beside it
    assert Path(f"{path}-journal").stat().st_size > 0
    assert used.check([reservation()]) == {}
    unchanged(path)
    assert used.commit("run-1", "{}") == "{}"


@contextlib.contextmanager
def held(path: Path, statement: str, seconds: float = 60, then: str = "") -> Iterator[None]:
    """Another process holds a lock on the file, for some seconds or to the end of the block, then does `then`."""
    code = (
        "import sqlite3, time\n"
        f"db = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        f"db.execute({statement!r}); print('held', flush=True); time.sleep({seconds}); {then}"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield
        process.kill()


@contextlib.contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection whose changes are in the file at the end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db
