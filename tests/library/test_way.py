"""The way from reservation to release, in real processes that end, or meet an error, at each of its seams."""

import json
import os
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

from dpjobs.epsilon import Epsilon
from dpjobs.ledger import Ledger, SQLiteLedger
from library.counting import drawn
from library.ledger import dynamodb_local

pytestmark = pytest.mark.slow

SEAMS = {
    "before reserve": (0, ""),
    "after reserve": (1, ""),
    "after histogram": (1, ""),
    "before store of histogram": (1, ""),
    "in store of histogram": (1, ""),
    "after store of histogram": (1, "histogram"),
    "before totals": (1, "histogram"),
    "after totals": (1, "histogram"),
    "in store of totals": (1, "histogram"),
    "after store of totals": (1, "histogram totals"),
    "after estimate": (1, "histogram totals"),
    "before commit": (1, "histogram totals"),
    "in commit": (1, "histogram totals"),
    "after commit": (1, "histogram totals release"),
    "after copy": (1, "histogram totals release"),
}
"""Where a process ends; what of its epsilon of 1 is counted then, and what its row holds."""
ENDS = {"kill": -signal.SIGKILL, "exit": 9}
SECRET = "7654321.125"


class Nursery:
    """Real processes, forked off one that has Spark running."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._shows = folder / "shows.json"
        self.table = folder / "table.csv"
        self.table.write_text("TotalPop,County\n" + f"{SECRET},Zzyzx\n" * 5)

    def run(self, ledger: Ledger, *specs: dict[str, Any], **order: Any) -> tuple[int, dict[str, Any] | None]:
        """Do one run in a process of its own; return its exit code and what its user saw, None when nothing."""
        self._shows.unlink(missing_ok=True)
        full = [{"uri": str(self.table), **spec} for spec in specs]
        name = str(ledger.path) if isinstance(ledger, SQLiteLedger) else f"dynamodb:{ledger._table.name}"
        self._process.stdin.write(
            json.dumps({"ledger": name, "shows": str(self._shows), "specs": full, **order}) + "\n"
        )
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return code, json.loads(self._shows.read_text()) if self._shows.exists() else None

    def release(self, ledger: Ledger, spec: dict[str, Any] | None = None, **order: Any) -> str:
        code, shown = self.run(ledger, {"run_id": "run-1", **(spec or {})}, **order)
        assert code == 0
        assert list(shown) == ["releases", "notices"], shown
        assert list(shown["releases"]) == ["run-1"]
        return shown["releases"]["run-1"]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    folder = tmp_path_factory.mktemp("nursery")
    errors = folder / "stderr"
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("nursery.py"), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
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


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    from dpjobs.ledger.dynamodb import DynamoDBLedger

    for name, value in {**dynamodb_local.ENVIRONMENT, "AWS_ENDPOINT_URL": dynamodb_local.endpoint()}.items():
        monkeypatch.setenv(name, value)
    ledger = DynamoDBLedger(dynamodb_local.make_table())
    ledger.set_total("census", Epsilon(10))
    return ledger


def spent(ledger: Ledger) -> Decimal:
    return ledger.balance("census").spent


class Watch:
    """One run that ends at a seam and comes again, and all that anybody could see of what it drew."""

    def __init__(self, nursery: Nursery, ledger: Ledger, folder: Path) -> None:
        self._nursery, self._ledger = nursery, ledger
        self._log = folder / "draws"
        self._copies = folder / "copies"
        self._copies.mkdir()
        self._seen: dict[str, str] = {}
        env = {} if isinstance(ledger, SQLiteLedger) else dict(dynamodb_local.ENVIRONMENT)
        if env:
            env["AWS_ENDPOINT_URL"] = dynamodb_local.endpoint()
        self._order = {"log": str(self._log), "copies": str(self._copies), "env": env}

    def run(self, **order: Any) -> tuple[int, dict[str, Any] | None]:
        """Do it once; what was stored before must not have been drawn again, nor have changed."""
        before = {stage: len(drawn(self._log, stage)) for stage in ("histogram", "totals")}
        kept = dict(self._seen)
        told = {"run_id": "run-1", "query": "VARIANCE", "finds": True}
        code, shown = self._nursery.run(self._ledger, told, **self._order, **order)
        run = self._ledger.find("run-1")
        self._seen = {} if run is None else {**run.draws, **({"release": run.release} if run.release else {})}
        assert {what: self._seen.get(what) for what in kept} == kept
        for stage, count in before.items():
            assert len(drawn(self._log, stage)) - count <= (0 if stage in kept else 1)
        return code, shown

    @property
    def stored(self) -> str:
        return " ".join(self._seen)

    def check(self) -> None:
        """At most one draw of each is to be seen, anywhere: the one in the row."""
        [run] = self._ledger.history("census")
        histogram, totals = (json.loads(run.draws[stage]) for stage in ("histogram", "totals"))
        assert histogram["values"] in drawn(self._log, "histogram")
        values = totals["values"]
        assert values in drawn(self._log, "totals")
        release = json.loads(run.release)
        for value, said in zip(values, release["cells"], strict=True):
            assert said["value"] == value * said["step"]
        assert (self._copies / "run-1.json").read_text() == run.release + "\n"


def attempts(watch: Watch, ledger: Ledger, seam: str, how: str) -> None:
    """End at the seam, and again if the way still leads there; then finish, and come again."""
    charged, stored = SEAMS[seam]
    for attempt in range(2):
        code, shown = watch.run(seam=seam, how=how)
        if attempt and code == 0 and "releases" in shown:
            break  # what lies before the seam is stored, and is not done again
        if how in ENDS:
            assert (code, shown) == (ENDS[how], None)
        else:
            assert code == 0
            assert "7654321" not in shown["text"] or seam == "after copy"  # which is not the job's any more
            if seam not in ("before reserve", "after reserve", "after copy"):
                assert "the run 'run-1' " in shown["text"]
                assert "after its reservation, whose epsilon stays spent" in shown["text"]
        assert spent(ledger) == charged
        assert watch.stored == stored
    code, shown = watch.run()
    assert code == 0
    assert spent(ledger) == 1
    watch.check()
    release = ledger.find("run-1").release
    assert shown == {"releases": {"run-1": release}, "notices": []}
    for _ in range(2):  # a committed one needs neither Spark nor the table's rows
        assert watch.run(spark=False) == (0, shown)
    assert spent(ledger) == 1
    assert len(ledger.history("census")) == 1


@pytest.mark.parametrize("seam", SEAMS)
def test_killed_at_each_seam(seam: str, nursery: Nursery, ledger: SQLiteLedger, tmp_path: Path) -> None:
    attempts(Watch(nursery, ledger, tmp_path), ledger, seam, "kill")


@pytest.mark.parametrize("seam", [seam for seam in SEAMS if not seam.startswith("in ")])
def test_gone_at_each_seam_with_the_deployed_ledger(
    seam: str, nursery: Nursery, deployed: Ledger, tmp_path: Path
) -> None:
    attempts(Watch(nursery, deployed, tmp_path), deployed, seam, "exit")


AFTER = [seam for seam in SEAMS if seam not in ("before reserve", "after reserve")]
HOWS = [("error", seam) for seam in AFTER]
HOWS += [
    (how, seam) for how in ("interrupt", "ledger") for seam in ("after totals", "in store of totals", "in commit")
]


@pytest.mark.parametrize(("how", "seam"), HOWS)
def test_an_error_at_each_seam(seam: str, how: str, nursery: Nursery, ledger: SQLiteLedger, tmp_path: Path) -> None:
    attempts(Watch(nursery, ledger, tmp_path), ledger, seam, how)


@pytest.mark.parametrize("seam", ["after histogram", "after totals", "after store of totals", "before commit"])
def test_an_error_with_the_deployed_ledger(seam: str, nursery: Nursery, deployed: Ledger, tmp_path: Path) -> None:
    attempts(Watch(nursery, deployed, tmp_path), deployed, seam, "error")


def test_what_is_drawn_needs_neither_spark_nor_the_table(
    nursery: Nursery, ledger: SQLiteLedger, tmp_path: Path
) -> None:
    watch = Watch(nursery, ledger, tmp_path)
    watch.run(seam="after store of totals", how="kill")
    assert ledger.find("run-1").release is None
    code, shown = watch.run(spark=False)
    assert code == 0
    assert shown["releases"] == {"run-1": ledger.find("run-1").release}
    watch.check()


def test_a_run_id_is_bound_to_its_specification_at_each_seam(nursery: Nursery, ledger: SQLiteLedger) -> None:
    for step in ("after reserve", "after real totals", "after commit"):
        nursery.run(ledger, {"run_id": "run-1"}, seam=step, how="kill")
        for other in ({"epsilon": "0.5"}, {"epsilon": "5"}, {"upper": 11.0}, {"column": "County"}, {"finds": True}):
            code, shown = nursery.run(ledger, {"run_id": "run-1", **other}, spark=False)
            assert code == 0
            assert shown["error"] == "BudgetError"
            assert "the run id belongs to another specification: given 'run-1'" in shown["text"]
    assert spent(ledger) == 1
    assert nursery.release(ledger, spark=False) == ledger.find("run-1").release


def test_killed_between_two_runs_of_one_command(nursery: Nursery, ledger: SQLiteLedger, tmp_path: Path) -> None:
    two = ({"run_id": "run-1"}, {"run_id": "run-2", "epsilon": "2"})
    log = {"log": str(tmp_path / "draws")}
    code, shown = nursery.run(ledger, *two, seam="after second totals", how="kill", **log)
    assert (code, shown) == (ENDS["kill"], None)
    assert spent(ledger) == 3  # both are reserved before either runs
    first = ledger.find("run-1").release
    assert first is not None
    assert ledger.find("run-2").release is None
    code, shown = nursery.run(ledger, *two, **log)
    assert shown["releases"] == {"run-1": first, "run-2": ledger.find("run-2").release}
    assert spent(ledger) == 3


def test_of_two_runs_none_is_reserved_when_the_budget_is_short(nursery: Nursery, ledger: SQLiteLedger) -> None:
    two = ({"run_id": "run-1", "epsilon": "6"}, {"run_id": "run-2", "epsilon": "5"})
    _, shown = nursery.run(ledger, *two, spark=False)
    assert shown["error"] == "BudgetError"
    assert spent(ledger) == 0


def test_an_error_that_quotes_a_cell_is_not_repeated(nursery: Nursery, ledger: SQLiteLedger) -> None:
    code, shown = nursery.run(ledger, {"run_id": "run-1"}, hostile=True)
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

    then = path.stat()
    path.write_bytes(good)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("dpcloud: the table has changed since the run 'run-1' was reserved")

    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))  # as after a disk that could not be read for a while
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [json.dumps(release, ensure_ascii=False) for release in json.loads(done.stdout)] == [
        ledger.find("run-1").release
    ]
    assert spent(ledger) == 1
