"""The way in one process: what is asked of an engine in all, who wins a race, what is pure, what is noticed."""

import gzip
import json
import os
import random
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dpjobs import answers, engines, job
from dpjobs.addresses import place_of
from dpjobs.backends.base import Backend
from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.backends.spark import rows
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.bounds import BINS
from dpjobs.engines.base import Engine, Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, InputError, LedgerError, RunError
from dpjobs.ledger import Reservation, SQLiteLedger
from dpjobs.plan import SEPARATE, Cell, Plan
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.source import Source
from dpjobs.statistics import STATISTICS
from library.answering import NOWHERE, Told, through
from library.counting import CountingEngine, drawn

HERE = through(Told())


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "ledger.sqlite", default_total=Epsilon(10_000))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "5,a\n" * 9)
    return path


def spec(table: Path, **changed: Any) -> JobSpec:
    told = {
        "run_id": "run-1",
        "dataset": str(table),
        "engine": "pipelinedp",
        "query": Query.SUM,
        "column": "x",
        "budget": PrivacyBudget(Decimal(1)),
        "uri": str(table),
        "format": "csv",
        "bounds": Bounds(0, 10),
    }
    return JobSpec(**{**told, **changed})


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The counting engine in the place of all others; returns its log."""
    use(monkeypatch, CountingEngine(tmp_path / "log"))
    return tmp_path / "log"


def use(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """Take this engine for every name; the real ones' libraries need not be imported, which takes seconds."""
    monkeypatch.setattr(job, "_load_in_background", lambda _: lambda _: engine)


# -- epsilon


class Recorder(Engine):
    """Notes all that it is asked for, and draws what is easily read."""

    version = "0"

    def __init__(self, name: str, finds: bool) -> None:
        self.name = name  # type: ignore[misc]
        self.recipe = engines.ENGINES[name].recipe  # type: ignore[misc]
        self.finds = finds  # bounds; else they are the fallback, which costs as much
        self.asked: list[Plan] = []

    def _measure(self, backend: Backend, table: Source, plan: Plan) -> list[Noisy]:
        self.asked.append(plan)
        return [Noisy(cell, self._value(cell), engines.ENGINES[self.name].noise(cell.scale)) for cell in plan.live]

    def _value(self, cell: Cell) -> int:
        return 100 if cell.bin is None else 10**9 if cell.bin == 40 and self.finds else 0


SHARES = {"0.00003": "0.45", "0.333333333": "0.1", "7.000000001": "0.123456789", "1000": "0.9"}
"""Epsilon, and the share of it for finding bounds."""
ASKED = [(query, bounds) for query in Query for bounds in (Bounds(-3, 10), Bounds(5, 5), Bounds(0, 0), None)]
ASKED = [(query, bounds) for query, bounds in ASKED if query is not Query.COUNT or bounds is None]


@pytest.mark.parametrize("engine", engines.ENGINES)
@pytest.mark.parametrize(("query", "bounds"), ASKED, ids=str)
def test_an_engine_is_asked_for_no_more_than_epsilon_and_the_release_says_all_of_it(
    table: Path,
    ledger: SQLiteLedger,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    query: Query,
    bounds: Bounds,
) -> None:
    for i, (epsilon, share) in enumerate((Decimal(epsilon), Decimal(share)) for epsilon, share in SHARES.items()):
        recorder = Recorder(engine, finds=i % 2 == 0)
        use(monkeypatch, recorder)
        asked = {"engine": engine, "query": query, "bounds": bounds, "bounds_share": share, "run_id": f"run-{i}"}
        one = spec(table, **asked, budget=PrivacyBudget(epsilon))
        outcome = job.run([one], ledger, HERE)
        assert not any(cell.constant for plan in recorder.asked for cell in plan.live)
        parts = [plan.epsilon for plan in recorder.asked]
        # each part is rounded down to billionths, so that as many of them at most are left over
        rest = epsilon - sum(parts, Decimal(0))
        assert rest >= 0
        if bounds in (Bounds(-3, 10), None) or engines.ENGINES[engine].recipe != SEPARATE:
            assert rest < Decimal(4) / 10**9
        release = json.loads(outcome.releases[one.run_id], parse_float=Decimal)
        assert release["epsilon"] == epsilon
        said = [(c["vector"], Decimal(c["epsilon"])) for c in release["cells"] if c["epsilon"]]
        plan = recorder.asked[-1]
        assert said == [(cell.vector, cell.epsilon) for cell in plan.live]
        vectors = dict(said)
        assert all(vectors[vector] == share for vector, share in said)
        assert sum(vectors.values()) == plan.epsilon
        assert Decimal(vectors.pop("check", 0)) == one.check_budget()
        assert len(set(vectors.values())) <= 1  # equal shares, or one that all share
        assert query is Query.COUNT or one.check_budget() == Decimal(release["checks"]["epsilon"]) > 0
        if one.finds_bounds:
            assert parts[0] == Decimal(release["bounds"]["epsilon"])
            assert parts[0] == (epsilon * share).quantize(Decimal("1e-9"), rounding="ROUND_FLOOR")
        # and the noise is that of epsilon, for what a row moves all of them by
        for c in release["cells"]:
            scale = float(c["sensitivity"]) / float(c["epsilon"]) if c["epsilon"] else 0
            assert float(c["scale"]) == pytest.approx(scale, rel=1e-9)


# -- races


def test_a_run_shows_the_release_that_is_stored_and_not_its_own(
    table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process with this run id, of a version that words its releases otherwise, commits first."""
    commit = ledger.commit

    def late(run_id: str, release: str) -> str:
        assert commit(run_id, '{"of": "another"}') == '{"of": "another"}'
        return commit(run_id, release)

    monkeypatch.setattr(ledger, "commit", late)
    outcome = job.run([spec(table)], ledger, HERE)
    assert outcome.releases == {"run-1": '{"of": "another"}'}
    assert outcome.seconds == {}


def test_so_does_one_that_only_had_to_finish(
    table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ledger.commit
    monkeypatch.setattr(ledger, "commit", lambda *_: 1 / 0)
    with pytest.raises(RunError):
        job.run([spec(table)], ledger, HERE)
    monkeypatch.setattr(ledger, "commit", lambda run_id, release: [commit(run_id, "{}"), commit(run_id, release)][1])
    assert job.run([spec(table)], ledger, NOWHERE).releases == {"run-1": "{}"}
    assert len(drawn(counting, "totals")) == 1


def test_a_run_goes_on_from_the_draws_that_are_stored_and_not_from_its_own(
    table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process with this run id stores first, each stage."""
    store = ledger.store_draws
    stages: list[str] = []

    def late(run_id: str, stage: str, text: str) -> str:
        stages.append(stage)
        record = json.loads(text)
        record["engine_version"] = f"the other's {stage}"
        record["values"] = (
            [777] * len(record["values"])
            if stage == "totals"
            else [10**6 if bin_ == BINS[120] else 0 for bin_ in BINS]
        )
        first = json.dumps(record)
        assert store(run_id, stage, first) == first
        return store(run_id, stage, text)

    monkeypatch.setattr(ledger, "store_draws", late)
    outcome = job.run([spec(table, bounds=None)], ledger, HERE)
    assert stages == ["histogram", "totals"]
    release = json.loads(outcome.releases["run-1"])
    said = release["cells"][0]
    assert said["value"] == 777 * said["step"]
    # the bin's edges, and no others: the totals were measured between the other's bounds
    low, high = release["bounds"]["lower"], release["bounds"]["upper"]
    assert (low, high) == (2.0 ** (BINS[120] - 32), 2.0 ** (BINS[120] - 31))
    assert said["sensitivity"] == high
    assert release["engine_version"] == "the other's totals (bounds: the other's histogram)"


# -- what is stored is all that counts


def test_a_release_follows_from_the_stored_draws_alone_whatever_is_installed_by_then(
    table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spec(table, query=Query.VARIANCE, bounds=None)
    release = job.run([one], ledger, HERE).releases["run-1"]
    table.unlink()
    monkeypatch.setattr(CountingEngine, "version", "counting 2")
    assert answers.release_of(one, ledger.find("run-1").draws) == release
    assert json.loads(release)["engine_version"] == "counting 1"


def test_stored_draws_of_another_hand_are_one_line_and_what_is_spent(
    table: Path, ledger: SQLiteLedger, counting: Path
) -> None:
    one = spec(table)
    ledger.reserve([Reservation("run-1", one.dataset, one.budget, one.digest(), place_of(str(table)))])
    ledger.store_draws("run-1", "totals", '{"totals": [{"value": 7654321}]}')
    with pytest.raises(RunError) as told:
        job.run([one], ledger, NOWHERE)
    text = str(told.value)
    assert "the stored draws of the run cannot be read: malformed, or drawn for another plan" in text
    assert "the run 'run-1' could not go on after its reservation, whose epsilon stays spent" in text
    assert "7654321" not in text
    assert "\n" not in text
    assert told.value.__suppress_context__
    assert ledger.find("run-1").release is None
    assert drawn(counting, "totals") == []


def test_an_estimate_that_fails_is_one_draw_however_often_it_is_tried(
    table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """22 draws for 4 charges is what this was."""
    monkeypatch.setattr(type(STATISTICS[Query.SUM]), "estimate", lambda *_: 1 / 0)
    for _ in range(5):
        with pytest.raises(RunError, match="after its reservation, whose epsilon stays spent"):
            job.run([spec(table)], ledger, HERE)
    assert len(drawn(counting, "totals")) == 1
    assert ledger.balance(str(table)).spent == 1


def test_a_commit_that_fails_says_what_stays_spent(
    table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise LedgerError("the ledger is locked: given 'it'; allowed: one that is not")

    monkeypatch.setattr(ledger, "commit", fail)
    with pytest.raises(RunError, match=r"^the ledger is locked: .*; the run 'run-1' .* whose epsilon stays spent; "):
        job.run([spec(table)], ledger, HERE)


# -- who may ask


def test_a_table_is_not_looked_at_before_the_ledger_knows_of_its_budget(tmp_path: Path) -> None:
    strict = SQLiteLedger(tmp_path / "ledger.sqlite", default_total=None)
    there, missing = tmp_path / "t.csv", tmp_path / "missing.csv"
    there.write_text("x\n1\n")
    texts = []
    for path in (there, missing):
        with pytest.raises(BudgetError, match="the data set has no budget") as told:
            job.run([spec(path)], strict, NOWHERE)
        texts.append(str(told.value).replace(path.name, ""))
    assert texts[0] == texts[1]


def test_a_linked_file_is_refused_before_spark_starts(table: Path, ledger: SQLiteLedger, tmp_path: Path) -> None:
    ledger.reserve([Reservation("run-0", "census", PrivacyBudget(Decimal(1)), "d", place_of(str(table)))])
    link = tmp_path / "link.csv"
    link.hardlink_to(table)
    with pytest.raises(BudgetError, match="the data set 'census'"):
        job.run([spec(link)], ledger, NOWHERE)
    assert ledger.datasets() == ["census"]


def test_no_row_is_read_but_by_the_engine(spark, ledger: SQLiteLedger, counting: Path, tmp_path: Path) -> None:
    """Whether a file can be read to its end is told of its rows: before the reservation it would cost nothing."""
    path = tmp_path / "t.csv.gz"
    chance = random.Random(1)
    lines = b"x,y\n" + b"".join(b"%d,a\n" % chance.randrange(10**9) for _ in range(30_000))
    path.write_bytes(gzip.compress(lines)[:-1000])
    with DuckDBBackend.open(None) as duckdb:
        for n, backend in enumerate((SparkBackend(spark), duckdb)):
            outcome = job.run([spec(path, run_id=f"run-{n}")], ledger, through(backend))
            assert list(outcome.releases) == [f"run-{n}"]  # the counting engine reads none


def test_what_spark_cannot_begin_to_read_costs_nothing(
    spark, table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("cell 918273")

    monkeypatch.setattr(rows, "read", refuse)
    with pytest.raises(InputError, match=r"^Spark cannot read this table: given ") as told:
        job.run([spec(table)], ledger, through(SparkBackend(spark)))
    assert "918273" not in str(told.value)
    assert ledger.datasets() == []


# -- what is noticed


def test_a_table_that_changed_since_is_noticed(
    table: Path, ledger: SQLiteLedger, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> list[str]:
        outcome = job.run([spec(table)], ledger, NOWHERE)
        assert outcome.releases == first.releases
        return outcome.notices

    first = job.run([spec(table)], ledger, HERE)
    assert (first.notices, again()) == ([], [])
    status = table.stat()
    os.utime(table, ns=(0, status.st_mtime_ns + 1))
    [notice] = again()
    assert notice.startswith("the table has changed since the run 'run-1' was reserved")
    os.utime(table, ns=(0, status.st_mtime_ns))
    assert again() == []
    table.write_text(table.read_text() + "6,b\n")
    os.utime(table, ns=(0, status.st_mtime_ns))
    assert len(again()) == 1
    table.unlink()
    assert len(again()) == 1


# -- what a run id is bound to


def test_the_digest_covers_all_of_a_specification_but_its_name(table: Path) -> None:
    one = spec(table, bounds=None)
    other: dict[str, Any] = {
        "dataset": "other",
        "engine": "tumult",
        "query": Query.MEAN,
        "column": "y",
        "budget": PrivacyBudget(Decimal("1.000000001")),
        "uri": "/other",
        "format": "parquet",
        "bounds": Bounds(0, 1),
        "bounds_share": Decimal("0.100000001"),
        "check_share": Decimal("0.050000001"),
        "confidence": 0.9500000000000001,
    }
    with pytest.raises(InputError):  # there is one unit only, and one delta
        replace(one.unit, kind="person")
    assert {f.name for f in fields(JobSpec)} == {*other, "run_id", "unit"}
    digests = [one.digest(), *(replace(one, **{name: value}).digest() for name, value in other.items())]
    assert len(set(digests)) == len(digests)
    assert replace(one, run_id="other").digest() == one.digest()
    given = replace(one, bounds=Bounds(0, 1))
    assert replace(given, bounds=Bounds(5e-324, 1)).digest() != given.digest()


# -- an unfinished run is no ticket for other rows


@pytest.mark.parametrize("bounds", [Bounds(0, 10), None])
def test_a_run_that_was_reserved_for_other_rows_reads_none(
    table: Path, ledger: SQLiteLedger, counting: Path, bounds: Bounds | None
) -> None:
    one = spec(table, bounds=bounds)
    ledger.reserve([Reservation("run-1", one.dataset, one.budget, one.digest(), place_of(str(table)))])
    table.write_text("x,y\n" + "5,a\n" * 10)
    with pytest.raises(
        RunError, match=r"^the table has changed since the run 'run-1' was reserved, whose epsilon stays"
    ):
        job.run([one], ledger, NOWHERE)
    assert drawn(counting, "totals") == []


def test_a_run_that_was_reserved_reads_no_table_that_has_its_budget_elsewhere(
    table: Path, ledger: SQLiteLedger, counting: Path
) -> None:
    """A table of the same size and time in its place: the claim tells them apart."""
    one, other = spec(table), table.with_name("other.csv")
    ledger.reserve([Reservation("run-1", one.dataset, one.budget, one.digest(), place_of(str(table)))])
    other.write_text(table.read_text().replace("5", "6"))
    of_other = spec(other, run_id="run-2")
    ledger.reserve([Reservation("run-2", of_other.dataset, of_other.budget, of_other.digest(), place_of(str(other)))])
    times = table.stat()
    other.rename(table)
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert place_of(str(table)).state == ledger.find("run-1").state
    with pytest.raises(BudgetError, match="the table has its budget under another name"):
        job.run([one], ledger, NOWHERE)
    with pytest.raises(BudgetError, match="the table has its budget under another name"):
        ledger.reserve([Reservation("run-1", one.dataset, one.budget, one.digest(), place_of(str(table)))])


def test_an_engine_that_does_not_load_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, table: Path, ledger: SQLiteLedger
) -> None:
    def load(name: str) -> Engine:
        raise ImportError("/opt/secret/place/libengine.so")

    monkeypatch.setattr(job, "_load_in_background", lambda _: load)
    with pytest.raises(InputError, match=r"the engine does not load \(ImportError\): given 'pipelinedp'") as e:
        job.run([spec(table)], ledger, HERE)
    assert "secret" not in str(e.value)
    assert ledger.find("run-1") is None


@pytest.mark.parametrize("bounds", [Bounds(0, 10), None], ids=["bounds given", "bounds to find"])
def test_a_plan_that_does_not_fit_an_engine_costs_nothing(
    table: Path, ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch, bounds: Bounds | None
) -> None:
    """Its noise would need more than 64 bits; the engine is asked by then, and no row read."""
    seen: list[Plan] = []

    class Small(Recorder):
        def check(self, plan: Plan) -> None:
            seen.append(plan)
            raise InputError("too much noise")

    engine = Small("pipelinedp", finds=False)
    use(monkeypatch, engine)
    with pytest.raises(InputError, match="too much noise"):
        job.run([spec(table, bounds=bounds)], ledger, HERE)
    assert [plan.bins for plan in seen] == [bounds is None]
    assert engine.asked == []
    assert ledger.find("run-1") is None


def test_nor_does_one_that_does_not_fit_the_last_of_several_engines(
    table: Path, ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either all are reserved or none: each is asked before the first is."""

    class Small(Recorder):
        def check(self, plan: Plan) -> None:
            raise InputError("too much noise")

    first, last = Recorder("pipelinedp", finds=False), Small("opendp", finds=False)
    taken = {"pipelinedp": first, "opendp": last}
    monkeypatch.setattr(job, "_load_in_background", lambda _: taken.__getitem__)
    asked = [spec(table, run_id=name, engine=name, bounds=Bounds(0, 10)) for name in taken]
    with pytest.raises(InputError, match="too much noise"):
        job.run(asked, ledger, HERE)
    assert first.asked == last.asked == []
    assert [ledger.find(name) for name in taken] == [None, None]


def test_an_engine_that_needs_spark_gets_it(table: Path) -> None:
    """Elsewhere it would fail after its charge."""
    both = {**through(Told(), "duckdb"), **through(Told(), "spark")}
    assert [job._backend_for(spec(table, engine=e), both) for e in ("pipelinedp", "tumult")] == ["duckdb", "spark"]
    with pytest.raises(InputError, match="the engine does not run here: given 'tumult'"):
        job._backend_for(spec(table, engine="tumult"), through(Told(), "duckdb"))
