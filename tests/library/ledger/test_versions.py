"""A ledger of the first version: read as it is, brought to the second in one step, its releases byte for byte."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from dpjobs import job
from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, LedgerError
from dpjobs.ledger import Reservation, SQLiteLedger
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from library.answering import NOWHERE

TABLE = "/tmp/dpcloud-v1/census.csv"  # which need not be there
_DUMP = Path(__file__).with_name("version_1.sql")


def spec(run_id: str, epsilon: str, engine: str = "pipelinedp", query: Query = Query.MEAN, **other) -> JobSpec:
    told = {"dataset": TABLE, "column": "TotalPop", "uri": TABLE, "format": "csv", "bounds": Bounds(0, 10000)}
    return JobSpec(
        run_id=run_id, engine=engine, query=query, budget=PrivacyBudget(Epsilon(epsilon)), **{**told, **other}
    )


COMMITTED = [
    spec("first-tumult", "1", "tumult"),
    spec("first-pipelinedp", "1"),
    spec("second", "2", query=Query.VARIANCE, dataset="census", bounds=None),
    spec("third", "0.1", "tumult", Query.COUNT, dataset="census", column=None, bounds=None),
]
RESERVED = [
    spec("reserved", "0.25", query=Query.SUM),
    spec(
        "remote",
        "0.25",
        query=Query.SUM,
        dataset="s3://bucket/census",
        uri="s3://bucket/census/",
        format="parquet",
        bounds=None,
    ),
]


def reservation(spec: JobSpec, place: Place | None = None) -> Reservation:
    return Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest(), place)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    db = sqlite3.connect(path)
    db.executescript(_DUMP.read_text())
    db.close()
    return path


def version(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def releases(path: Path) -> dict[str, str]:
    db = sqlite3.connect(path)
    try:
        return dict(db.execute("SELECT run_id, release FROM runs WHERE release IS NOT NULL").fetchall())
    finally:
        db.close()


def test_its_releases_are_given_again_byte_for_byte(path: Path) -> None:
    before = path.read_bytes()
    stored = releases(path)
    assert {s.run_id for s in COMMITTED} == stored.keys()
    for one in COMMITTED:
        outcome = job.run([one], SQLiteLedger(path), NOWHERE)
        assert (outcome.releases, outcome.notices) == ({one.run_id: stored[one.run_id]}, [])
        assert json.loads(stored[one.run_id])["format"] == 1
    assert path.read_bytes() == before  # reading alone changes nothing


def test_it_can_be_looked_at_as_it_is(path: Path) -> None:
    ledger = SQLiteLedger(path)
    assert [(run.run_id, run.draws, run.state) for run in ledger.history(TABLE)] == [
        ("first-tumult", {}, None),
        ("first-pipelinedp", {}, None),
        ("reserved", {}, None),
    ]
    assert ledger.balance("census").left == Epsilon("7.9")
    with pytest.raises(BudgetError, match=f"the table lies in one .* '{TABLE}'"):
        ledger.check([reservation(spec("new", "1", dataset=f"{TABLE}/x"), Place(f"{TABLE}/x"))])
    assert version(path) == 1


def test_the_first_transaction_that_writes_brings_it_to_the_second_version(path: Path) -> None:
    stored = releases(path)
    ledger = SQLiteLedger(path)
    assert ledger.reserve([reservation(s) for s in RESERVED]) == {}  # known: nothing is charged
    assert version(path) == 1
    ledger.reserve([reservation(spec("new", "0.5"), Place(TABLE, files=frozenset({"1@1"}), state="s"))])
    assert version(path) == 2
    assert ledger.balance(TABLE).left == Epsilon("7.25")
    assert releases(path) == stored
    new = ledger.find("new")
    assert (new.draws, new.state) == ({}, "s")
    for run_id in ("new", "reserved"):
        assert ledger.store_draws(run_id, "totals", "drawn") == "drawn"
        assert ledger.store_draws(run_id, "totals", "again") == "drawn"
        assert ledger.commit(run_id, "{}") == "{}"
    with pytest.raises(LedgerError, match="no reservation that waits for draws"):
        ledger.store_draws("second", "totals", "drawn")
    with pytest.raises(BudgetError, match=f"'{TABLE}'"):
        ledger.check([reservation(spec("moved", "1", dataset="/moved"), Place("/moved", files=frozenset({"1@1"})))])
    assert [s.run_id for s in COMMITTED if s.run_id not in ledger.check([reservation(s)])] == []


@pytest.mark.parametrize("statement", range(5))
def test_a_step_that_fails_leaves_the_first_version(
    path: Path, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    from dpjobs.ledger import sqlite

    before = path.read_bytes()
    broken = list(sqlite._SCHEMA[2])
    broken[statement] = "CREATE TABLE runs (x)"
    monkeypatch.setattr(sqlite, "_SCHEMA", {**sqlite._SCHEMA, 2: tuple(broken)})
    with pytest.raises(LedgerError):
        SQLiteLedger(path).reserve([reservation(spec("new", "0.5"))])
    assert path.read_bytes() == before
    monkeypatch.undo()
    SQLiteLedger(path).reserve([reservation(spec("new", "0.5"))])
    assert version(path) == 2


def test_a_process_that_dies_while_it_changes_the_tables_leaves_the_first_version(path: Path) -> None:
    from dpjobs.ledger import sqlite

    pid = os.fork()
    if pid == 0:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA cache_size = 1")  # pages reach the file before the end, as at a COMMIT
        db.execute("BEGIN IMMEDIATE")
        for statement in sqlite._SCHEMA[2]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 2")
        for _ in range(2):
            db.execute("UPDATE runs SET totals = ?", ("x" * 300_000,))
        os._exit(9)
    os.waitpid(pid, 0)
    assert Path(f"{path}-journal").stat().st_size > 0
    assert SQLiteLedger(path).find("reserved").draws == {}
    assert version(path) == 1


def test_two_overlapping_budgets_of_the_first_version_are_one_from_now_on(path: Path) -> None:
    """The outer one's; each still stands, and what is spent of it."""
    ledger = SQLiteLedger(path)
    inner, outer, odd = "s3://bucket/data/x.csv", "s3://bucket/data", "s3://bucket//odd"
    with pytest.raises(BudgetError, match=f"under another name: given '{inner}'.* '{outer}'"):
        ledger.reserve([reservation(spec("new", "1", dataset=inner), Place(inner))])
    ledger.reserve([reservation(spec("new", "1", dataset=outer), Place(inner))])
    ledger.reserve([reservation(spec("newer", "1", dataset=outer), Place(outer))])
    # a spelling that no address has any more is a name as any other, and owns the address that it spells
    with pytest.raises(BudgetError, match=f"under another name: .* '{odd}'"):
        ledger.reserve([reservation(spec("odd", "1", dataset="s3://bucket/odd"), Place("s3://bucket/odd"))])
    ledger.reserve([reservation(spec("odd", "1", dataset=odd), Place("s3://bucket/odd"))])
    assert ledger.balance(odd).left == 2


def test_a_new_file_has_the_same_tables(path: Path, tmp_path: Path) -> None:
    SQLiteLedger(path).ready()
    new = SQLiteLedger(tmp_path / "new.sqlite")
    new.ready()
    tables = []
    for file in (path, new.path):
        db = sqlite3.connect(file)
        tables.append(
            [db.execute(f"PRAGMA table_info({t})").fetchall() for t in ("datasets", "runs", "addresses", "files")]
        )
        db.close()
    assert tables[0] == tables[1]
    assert all(tables[0])
