"""The embedded ledger: one SQLite file, safe for any number of processes on one machine.

A file of the first version is read as it is, and brought to the second by the first transaction that writes.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import LedgerError
from dpjobs.ledger.base import Balance, Ledger, Reservation, Run, _asked, _tables
from dpjobs.ledger.claims import Asked, Claims

_APPLICATION = 0x44504C47  # "DPLG": tells our file from any other SQLite file
_VERSION = 2
_SCHEMA = {
    1: (
        """CREATE TABLE datasets (
            name TEXT PRIMARY KEY,
            total INTEGER NOT NULL CHECK (total >= 0),
            spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0 AND spent <= total)
        ) STRICT""",
        """CREATE TABLE runs (
            run_id TEXT PRIMARY KEY,
            dataset TEXT NOT NULL REFERENCES datasets (name),
            epsilon INTEGER NOT NULL CHECK (epsilon > 0),
            digest TEXT NOT NULL,
            reserved_at TEXT NOT NULL,
            committed_at TEXT,
            release TEXT
        ) STRICT""",
    ),
    2: (
        "ALTER TABLE runs ADD COLUMN histogram TEXT",
        "ALTER TABLE runs ADD COLUMN totals TEXT",
        "ALTER TABLE runs ADD COLUMN state TEXT",
        "CREATE TABLE addresses (address TEXT PRIMARY KEY, dataset TEXT NOT NULL REFERENCES datasets (name)) STRICT",
        "CREATE TABLE files (identity TEXT PRIMARY KEY, dataset TEXT NOT NULL REFERENCES datasets (name)) STRICT",
    ),
}
"""What each version added. A new file goes through all of them, so that there is one way to the tables."""
_OF_VERSION_1 = (
    "CREATE TEMP VIEW runs AS SELECT *, NULL AS histogram, NULL AS totals, NULL AS state FROM main.runs",
    "CREATE TEMP VIEW addresses AS SELECT NULL AS address, NULL AS dataset WHERE FALSE",
    "CREATE TEMP VIEW files AS SELECT NULL AS identity, NULL AS dataset WHERE FALSE",
)
"""What stands before the tables of a first version while it is only read, which may be all that is allowed."""
_RUN = "run_id, dataset, epsilon, digest, reserved_at, committed_at, release, histogram, totals, state"
_OF_A_NEW_DATA_SET = Epsilon(10)
_ALLOWED = "a ledger file that this user can write, not in use by a stuck process"


class SQLiteLedger(Ledger):
    """A ledger in the file `path`, made at the first reservation or total.

    Every data set starts with `default_total`. Any trouble with the file raises LedgerError in one line.
    """

    def __init__(
        self, path: Path, default_total: Epsilon | None = _OF_A_NEW_DATA_SET, busy_timeout_seconds: float = 10.0
    ) -> None:
        self.path = path
        self.default_total = default_total
        self._timeout = busy_timeout_seconds

    def balance(self, dataset: str) -> Balance | None:
        """Return a data set's balance, or that of a new one."""
        with self._reading() as db:
            row = db and db.execute("SELECT total, spent FROM datasets WHERE name = ?", (dataset,)).fetchone()
        if row:
            return _balance(row)
        return None if self.default_total is None else Balance(self.default_total, Epsilon(0))

    def knows(self, dataset: str) -> bool:
        """Whether the data set has ever been charged or given a total."""
        return dataset in self.datasets()

    def datasets(self) -> list[str]:
        """Return the names of all data sets, sorted."""
        with self._reading() as db:
            rows = db.execute("SELECT name FROM datasets ORDER BY name").fetchall() if db else []
        return [row[0] for row in rows]

    def history(self, dataset: str) -> list[Run]:
        """Return a data set's runs, oldest first."""
        query = f"SELECT {_RUN} FROM runs WHERE dataset = ? ORDER BY reserved_at, rowid"  # noqa: S608 (constant)
        with self._reading() as db:
            rows = db.execute(query, (dataset,)).fetchall() if db else []
        return [_run(row) for row in rows]

    def find(self, run_id: str) -> Run | None:
        """Return a run's row, None when the id is unused."""
        with self._reading() as db:
            row = db and self._find(db, run_id)
        return _run(row) if row else None

    def ready(self) -> None:
        """Raise LedgerError unless the ledger can be written; changes nothing."""
        with self._writing() as db:
            # SQLite begins a transaction on a read-only file, too: only a write tells
            db.execute(f"PRAGMA user_version = {_VERSION}")

    def _charge(self, reservations: Sequence[Reservation]) -> bool:
        with self._writing() as db:
            if any(self._find(db, r.run_id) for r in reservations):
                return False
            tables = _tables(reservations)
            _claim(db, tables, _claims(db, tables).admit(tables))
            for dataset, asked in _asked(reservations).items():
                self._charge_one(db, dataset, asked)
            now = _now()
            rows = [
                (r.run_id, r.dataset, r.budget.epsilon.billionths, r.digest, now, r.place.state if r.place else None)
                for r in reservations
            ]
            columns = "run_id, dataset, epsilon, digest, reserved_at, state"
            db.executemany(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 (constant)
            return True

    def _claims(self, asked: Sequence[Asked]) -> Claims:
        with self._reading() as db:
            return _claims(db, asked) if db else Claims.of([], {})

    def _charge_one(self, db: sqlite3.Connection, dataset: str, asked: Epsilon) -> None:
        if self.default_total is not None:
            new = dataset, self.default_total.billionths
            db.execute("INSERT OR IGNORE INTO datasets (name, total) VALUES (?, ?)", new)
        row = db.execute("SELECT total, spent FROM datasets WHERE name = ?", (dataset,)).fetchone()
        self._refuse_unless(dataset, asked, _balance(row) if row else None)
        db.execute("UPDATE datasets SET spent = spent + ? WHERE name = ?", (asked.billionths, dataset))

    def _store(self, run_id: str, release: str) -> str | None:
        with self._writing() as db:
            update = "UPDATE runs SET release = ?, committed_at = ? WHERE run_id = ? AND release IS NULL"
            db.execute(update, (release, _now(), run_id))
            row = self._find(db, run_id)
            return _run(row).release if row else None

    def _store_draws(self, run_id: str, stage: str, text: str) -> str | None:
        with self._writing() as db:
            update = f"UPDATE runs SET {stage} = ? WHERE run_id = ? AND {stage} IS NULL AND release IS NULL"  # noqa: S608 (constants)
            db.execute(update, (text, run_id))
            row = self._find(db, run_id)
            return _run(row).draws.get(stage) if row else None

    def _set_total(self, dataset: str, total: Epsilon, place: Place | None) -> bool:
        with self._writing() as db:
            new = _claims(db, [(dataset, place)]).admit([(dataset, place)])
            upsert = """INSERT INTO datasets (name, total) VALUES (?, ?)
                        ON CONFLICT (name) DO UPDATE SET total = excluded.total WHERE spent <= excluded.total"""
            if db.execute(upsert, (dataset, total.billionths)).rowcount != 1:
                return False
            _claim(db, [(dataset, place)], new)
            return True

    @staticmethod
    def _find(db: sqlite3.Connection, run_id: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = db.execute(
            f"SELECT {_RUN} FROM runs WHERE run_id = ?",  # noqa: S608 (constant)
            (run_id,),
        ).fetchone()
        return row

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open the file for reading; gives None when there is none yet.

        Not in SQLite's mode "ro": a reader, too, must undo what a process left that died while it wrote.
        """
        if not self._exists():
            yield None
            return
        with self._open("rw") as db:
            db.execute("BEGIN")  # one state of the file for all that is read: it may be made right now
            version = self._version(db)
            for statement in _OF_VERSION_1 if version == 1 else ():
                db.execute(statement)
            yield db if version else None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One exclusive transaction: committed at the end, rolled back when anything is raised."""
        with self._open("rwc") as db:
            db.execute("PRAGMA synchronous = EXTRA")  # a committed row survives a power cut
            db.execute("BEGIN IMMEDIATE")
            try:
                self._prepare(db)
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Make the tables in a new file, and what a file of an earlier version lacks; refuse any other file."""
        version = self._version(db)
        if version == _VERSION:
            return
        for added in range(version + 1, _VERSION + 1):
            for statement in _SCHEMA[added]:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {_VERSION}")

    def _version(self, db: sqlite3.Connection) -> int:
        """The file's version, 0 for a new one; raises LedgerError when it is another's or of a later version."""
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if application == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            return 0
        if application != _APPLICATION:
            raise LedgerError.of("not a ledger but another program's file", self.path, _ALLOWED)
        if version not in _SCHEMA:
            raise LedgerError.of(f"a ledger of version {version}", self.path, f"one of version 1 or {_VERSION}")
        return version

    def _exists(self) -> bool:
        try:
            return self.path.exists()
        except OSError:
            raise LedgerError.of("the ledger cannot be opened", self.path, _ALLOWED) from None

    @contextlib.contextmanager
    def _open(self, mode: str) -> Iterator[sqlite3.Connection]:
        db = None
        try:
            uri = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
            db = sqlite3.connect(uri, timeout=self._timeout, isolation_level=None, uri=True)
            yield db
        except sqlite3.Error as error:
            raise LedgerError.of(_trouble(error), self.path, _ALLOWED) from None
        finally:
            if db is not None:
                db.close()


def _balance(row: tuple[int, int]) -> Balance:
    total, spent = row
    return Balance(Epsilon.of_billionths(total), Epsilon.of_billionths(spent))


def _run(row: tuple[Any, ...]) -> Run:
    run_id, dataset, billionths, *rest = row
    return Run(run_id, dataset, Epsilon.of_billionths(billionths), *rest)


def _claims(db: sqlite3.Connection, asked: Sequence[Asked]) -> Claims:
    """All names and addresses, and the files among those that are asked for."""
    names = [row[0] for row in db.execute("SELECT name FROM datasets")]
    addresses = dict(db.execute("SELECT address, dataset FROM addresses").fetchall())
    files = {}
    for identity in {identity for _, place in asked if place for identity in place.files | place.above}:
        row = db.execute("SELECT dataset FROM files WHERE identity = ?", (identity,)).fetchone()
        if row:
            files[identity] = row[0]
    return Claims.of(names, addresses, files)


def _claim(db: sqlite3.Connection, asked: Sequence[Asked], new: Mapping[str, str]) -> None:
    """Write what is not claimed yet, in the transaction that charges the data sets or sets a total."""
    db.executemany("INSERT INTO addresses (address, dataset) VALUES (?, ?)", new.items())
    files = [(identity, dataset) for dataset, place in asked if place for identity in place.files]
    db.executemany("INSERT OR IGNORE INTO files (identity, dataset) VALUES (?, ?)", files)


def _trouble(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "the ledger is locked"
    if name.startswith("SQLITE_READONLY"):
        return "the ledger is read-only"
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT", "SQLITE_ERROR")):
        return "the ledger is corrupt or no ledger"
    if name.startswith("SQLITE_FULL"):
        return "the disk under the ledger is full"
    return "the ledger cannot be opened"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
