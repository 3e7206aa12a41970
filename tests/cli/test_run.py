"""`dpcloud run` as a user starts it: the table, the JSON, the same run again, and what the ledger says after."""

import csv
import json
import logging
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dpcloud.cli import main
from dpcloud.output import show_releases
from dpjobs import job
from dpjobs.bounds import FALLBACK
from dpjobs.draws import Draws
from dpjobs.engines.base import Noisy
from dpjobs.ledger import SQLiteLedger
from dpjobs.noise import RoundedLaplace
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.release import found_bounds, given_bounds, to_json
from dpjobs.statistics import STATISTICS
from library.plans import plan

pytestmark = pytest.mark.slow

ROWS = 3000
BOUNDS = ["--lower", "0", "--upper", "10000"]
MEAN = ["--query", "mean", "--column", "TotalPop", "--epsilon", "1", *BOUNDS]
BOTH = ["--engine", "opendp,pipelinedp", *MEAN, "--run-id", "first", "--dataset", "census"]
COUNT = ["--query", "COUNT", "--epsilon", "0.5", "--engine", "PipelineDP"]


def changed(words: list[str], **to: str) -> list[str]:
    """The words with other values for some options."""
    pairs = zip(words[::2], words[1::2], strict=True)
    return [word for name, value in pairs for word in (name, to.get(name.removeprefix("--"), value))]


NEW = (
    "the data set is new: it starts with a total epsilon of 10 (see `dpcloud budget`); a copy of the table, or "
    "another --dataset for it, would be another budget for the same rows"
)


@dataclass(frozen=True)
class Place:
    """A home and a table in it."""

    folder: Path

    @property
    def table(self) -> Path:
        return self.folder / "táblázat.csv"  # in the release as it is, not as \u00e1

    @property
    def copy(self) -> Path:
        """The same rows in another file: another table, with a budget of its own, named by its path."""
        return self.folder / "másolat.csv"

    @property
    def ledger(self) -> SQLiteLedger:
        return SQLiteLedger(self.folder / "home" / "ledger.sqlite")

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def spent(self, dataset: str = "census") -> Decimal:
        return self.ledger.balance(dataset).spent

    def dpcloud(self, *words: object, **env: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "dpcloud.cli", *map(str, words)]
        self.temporary.mkdir(exist_ok=True)
        home = {
            "DPCLOUD_HOME": str(self.folder / "home"),
            "TMPDIR": str(self.temporary),
            "COLUMNS": "200",
        }
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **home, **env}
        )

    def without_spark(self, *words: object) -> "subprocess.CompletedProcess[str]":
        """Where no Java can be found: what needs Spark fails."""
        return self.dpcloud(*words, JAVA_HOME="/nowhere")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("run"))
    draw = random.Random(7)
    with place.table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["TractId", "County", "TotalPop"])
        for i in range(ROWS):
            rows.writerow([i, "Washington, D.C." if i % 3 else "", round(draw.gauss(4000, 1500)) if i % 50 else ""])
    shutil.copy(place.table, place.copy)
    return place


def true_mean(place: Place) -> float:
    with place.table.open() as file:
        cells = [row["TotalPop"] for row in csv.DictReader(file)]
    return statistics.fmean(min(max(float(cell), 0), 10000) for cell in cells if cell)


@pytest.fixture(scope="module")
def both(place: Place) -> "subprocess.CompletedProcess[str]":
    """Two engines, as JSON."""
    return place.dpcloud("run", *BOTH, "--file", place.table, "--json")


@pytest.fixture(scope="module")
def counted(place: Place) -> "subprocess.CompletedProcess[str]":
    """One engine, as a table, with words on the way and a copy; the data set is the file.

    Under LC_ALL=C, where Java alone could not open it.
    """
    (place.folder / "copies").mkdir()
    copies = ["--output", place.folder / "copies", "--progress", "--run-id", "counted"]
    return place.dpcloud("run", *COUNT, *copies, "--file", place.copy, LC_ALL="C")


@pytest.fixture(scope="module")
def releases(both: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    assert both.returncode == 0, both.stderr
    return json.loads(both.stdout, parse_float=Decimal)


def test_json_is_all_of_standard_output_and_has_every_field(place: Place, releases: list[dict[str, Any]]) -> None:
    assert [release["engine"] for release in releases] == ["opendp", "pipelinedp"]
    for release in releases:
        said = {name: release[name] for name in ("format", "dataset", "query", "column", "epsilon", "delta", "unit")}
        assert said == {
            "format": 3,
            "dataset": "census",  # its name, as it was given
            "query": "MEAN",
            "column": "TotalPop",
            "epsilon": 1,
            "delta": 0,
            "unit": {"kind": "row"},
        }
        assert release["run_id"] == f"first-{release['engine']}"
        assert release["confidence"] == Decimal("0.95")
        assert {name: release["bounds"][name] for name in ("lower", "upper", "source")} == {
            "lower": 0,
            "upper": 10000,
            "source": "given",
        }
        low, high = release["interval"]
        assert 0 <= low <= release["value"] <= high <= 10000
        assert "one row" in release["protects"]
        assert "k times" in release["protects"]
        assert release["interval_is"] == "95 % noise interval, of the values as clamped"


def test_the_noise_and_scale_of_each_measurement(releases: list[dict[str, Any]]) -> None:
    names = {"opendp": "two-sided geometric", "pipelinedp": "rounded Laplace"}
    for release in releases:
        assert (release["backend"], release["recipe"]) == ("duckdb", "tokens")
        left_out, sides = ["no_number", "empty", "broken_line"], ["below", "within", "above"]
        assert [cell["name"] for cell in release["cells"]] == ["high", "low", *left_out, *sides]
        for cell in release["cells"]:
            assert cell["noise"] == names[release["engine"]]
            checks = cell["vector"] == "check"
            assert checks == (cell["name"] in sides)
            # spent once on all of a vector: a row moves the answer's by 10,000 in all, or by one row that is left out
            assert cell["epsilon"] == (Decimal("0.05") if checks else Decimal("0.95"))
            assert cell["sensitivity"] == (10_000 if cell["name"] in ("high", "low") else 1)
            scale = float(cell["sensitivity"]) / float(cell["epsilon"])
            assert float(cell["scale"]) == pytest.approx(scale, rel=1e-6)
        assert 0 < release["rounding_per_row"] < 0.001


def test_both_engines_answer_the_same_question(place: Place, releases: list[dict[str, Any]]) -> None:
    truth = true_mean(place)
    for release in releases:
        low, high = map(float, release["interval"])
        # sum's noise has scale 10,000 over 2,940 rows; twelve half widths off has probability e^-36
        assert abs(float(release["value"]) - truth) < 12 * (high - low) / 2
        assert 10 < high - low < 100


def test_the_interval_is_the_one_that_was_planned(place: Place, releases: list[dict[str, Any]]) -> None:
    done = place.dpcloud("plan", *BOTH[:2], *MEAN[:2], *MEAN[4:], "--rows", "2940", "--json")
    for planned, release in zip(json.loads(done.stdout), releases, strict=True):
        low, high = map(float, release["interval"])
        assert planned["typical"] * 0.8 < (high - low) / 2 < planned["worst"] * 1.2


def test_nothing_else_is_said(place: Place, both: "subprocess.CompletedProcess[str]") -> None:
    assert both.stderr == NEW + "\n"
    # to so many digits no noisy number agrees with it by chance (below 1e-7); fewer would, now and then
    assert f"{true_mean(place):.8f}" not in both.stdout


def test_the_same_run_again_is_byte_identical_free_and_needs_no_spark(
    place: Place, both: "subprocess.CompletedProcess[str]"
) -> None:
    spent = place.spent()
    for _ in range(2):
        again = place.without_spark("run", *BOTH, "--file", place.table, "--json")
        assert (again.returncode, again.stdout, again.stderr) == (0, both.stdout, "")
    assert place.spent() == spent
    # the ids of both engines' runs can be used by themselves
    for number, engine in enumerate(("opendp", "pipelinedp")):
        words = ["run", "--engine", engine, *MEAN, "--run-id", f"first-{engine}", "--dataset", "census"]
        one = place.without_spark(*words, "--file", place.table, "--json")
        assert one.returncode == 0, one.stderr
        assert json.loads(one.stdout) == [json.loads(both.stdout)[number]]
    assert place.spent() == spent


def test_another_specification_under_that_id_is_refused(
    place: Place, both: "subprocess.CompletedProcess[str]"
) -> None:
    spent = place.spent()
    for change in ({"epsilon": "5"}, {"upper": "9999"}):
        done = place.without_spark("run", *changed(BOTH, **change), "--file", place.table)
        assert (done.returncode, done.stdout) == (2, "")
        assert "the run id belongs to another specification: given 'first-opendp'" in done.stderr
    assert place.spent() == spent


def test_both_spend_once_for_each_and_the_table_says_so(
    place: Place, both: "subprocess.CompletedProcess[str]"
) -> None:
    assert both.returncode == 0
    runs = place.ledger.history("census")
    assert [(run.run_id, run.epsilon) for run in runs][:2] == [("first-opendp", 1), ("first-pipelinedp", 1)]
    done = place.without_spark("run", *BOTH, "--file", place.table)
    assert done.returncode == 0
    assert "95 % noise interval" in done.stdout
    assert done.stdout.count("0 (stored before)") == 2
    assert "2 engines: epsilon is spent once for each, 0 in all." in done.stdout
    assert "Protects one row: someone with k rows in the table is protected k times less (make a table" in done.stdout
    assert (
        "The noise interval holds the MEAN of the values as clamped (the numbers that were read, cut" in done.stdout
    )
    assert re.search(
        r"Left out or clamped, with noise, by \w+: \d+ ± 3 are no numbers, \d+ ± 3 are empty", done.stdout
    )
    for engine in ("OpenDP", "PipelineDP"):
        assert f"{engine}: values clamped to 0 to 10,000, as given; run id first-" in done.stdout


def test_both_are_reserved_or_neither(place: Place, both: "subprocess.CompletedProcess[str]") -> None:
    spent = place.spent()
    words = [
        "--engine",
        "opendp,pipelinedp",
        *changed(MEAN, epsilon="4.1"),
        "--run-id",
        "second",
        "--dataset",
        "census",
    ]
    done = place.without_spark("run", *words, "--file", place.table)
    assert done.returncode == 2
    assert "not enough budget for 'census': given '8.2'; allowed: at most 8, which is left of 10" in done.stderr
    assert place.spent() == spent
    assert place.ledger.find("second-opendp") is None


def test_the_table_of_a_count_without_a_column(place: Place, counted: "subprocess.CompletedProcess[str]") -> None:
    assert counted.returncode == 0, counted.stderr
    for words in ("COUNT of rows", "95 % noise interval", "epsilon spent", "epsilon left", "seconds", "PipelineDP"):
        assert words in counted.stdout
    row = next(line for line in counted.stdout.splitlines() if "PipelineDP" in line and "│" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    release = json.loads(place.ledger.find("counted").release)
    low, high = release["interval"]
    assert cells[:5] == ["PipelineDP", f"{release['value']:,}", f"{low:,} to {high:,}", "0.5", "9.5"]
    assert float(cells[5]) < 300
    assert "Protects one row" in counted.stdout
    assert "PipelineDP: run id counted." in counted.stdout
    assert release["column"] is None
    assert release["bounds"] is None
    assert release["dataset"] == place.copy.name  # the ledger alone knows the folder, which tells of its user
    assert str(place.folder) not in counted.stdout + place.ledger.find("counted").release
    assert abs(release["value"] - ROWS) < 2 * 36  # scale 2
    assert place.ledger.find("counted").dataset == str(place.copy.resolve())


def test_what_is_said_on_the_way(counted: "subprocess.CompletedProcess[str]") -> None:
    # how much is read is said where it takes long, as on a loaded machine
    assert [line for line in counted.stderr.splitlines() if "of the table is read" not in line] == [
        "… starting duckdb",
        "… COUNT of rows by PipelineDP",
        NEW,
    ]


def test_the_copy_is_the_release(place: Place, counted: "subprocess.CompletedProcess[str]") -> None:
    assert counted.returncode == 0
    copies = place.folder / "copies"
    assert [path.name for path in copies.iterdir()] == ["counted.json"]
    stored = place.ledger.find("counted").release
    assert (copies / "counted.json").read_text() == stored + "\n"
    words = ["run", *COUNT, "--run-id", "counted", "--file", place.copy, "--json"]
    # there again, elsewhere, and over another file
    for output in (copies, place.folder / "one.json"):
        done = place.without_spark(*words, "--output", output)
        assert (done.returncode, done.stdout) == (0, f"[{stored}]\n")
    assert (place.folder / "one.json").read_text() == f"[{stored}]\n"
    (place.folder / "mine.json").write_text("mine")
    done = place.without_spark(*words, "--output", place.folder / "mine.json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the copy could not be created (the release itself is safe in the ledger)" in done.stderr
    assert "the same command with the run id 'counted' gives the release again, at no further cost" in done.stderr
    assert (place.folder / "mine.json").read_text() == "mine"


def test_a_table_that_changed_since_is_noticed_on_standard_error(
    place: Place, counted: "subprocess.CompletedProcess[str]"
) -> None:
    assert counted.returncode == 0
    assert "note:" not in counted.stderr
    whole = place.copy.read_bytes()
    status = place.copy.stat()
    words = ["run", *COUNT, "--run-id", "counted", "--file", place.copy, "--json"]
    try:
        place.copy.write_bytes(whole + b"3000,,1\n")
        done = place.without_spark(*words)
    finally:
        place.copy.write_bytes(whole)
        os.utime(place.copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (done.returncode, done.stdout) == (0, f"[{place.ledger.find('counted').release}]\n")
    assert done.stderr == (
        "note: the table has changed since the run 'counted' was reserved: its release is of the rows of then; "
        "a new run id asks those of now\n"
    )
    assert place.without_spark(*words).stderr == ""


def test_a_name_that_is_misspelt_or_left_out_opens_no_second_budget(
    place: Place, both: "subprocess.CompletedProcess[str]"
) -> None:
    assert both.returncode == 0
    before = place.ledger.datasets()
    for words in ([], ["--dataset", "sensus"], ["--dataset", str(place.table)]):
        done = place.without_spark("run", *COUNT, *words, "--file", place.table)
        assert (done.returncode, done.stdout) == (2, "")
        assert "the table has its budget under another name: given " in done.stderr
        assert "allowed: the data set 'census' (--dataset), to which these rows are charged" in done.stderr
    absent = place.dpcloud("budget", "set", "--file", "absent.csv", "--total", "5")
    assert absent.returncode == 2
    assert "no such file or folder, whose path would name the budget: given 'absent.csv'" in absent.stderr
    done = place.dpcloud("budget", "set", "--file", place.table, "--total", "5")
    assert done.returncode == 2
    assert "the data set 'census'" in done.stderr
    assert place.ledger.datasets() == before


def test_the_budget_commands(
    place: Place, both: "subprocess.CompletedProcess[str]", counted: "subprocess.CompletedProcess[str]"
) -> None:
    assert both.returncode == counted.returncode == 0
    shown = place.dpcloud("budget", "show").stdout.splitlines()
    assert shown == [
        f"{place.copy.resolve()}: total 10, spent 0.5, left 9.5",
        "census: total 10, spent 2, left 8",
    ]
    by_file = place.dpcloud("budget", "show", "--file", place.copy)
    assert by_file.stdout.splitlines() == shown[:1]
    link = place.folder / "link.csv"
    link.hardlink_to(place.copy)
    for words in (["show"], ["history"], ["set", "--total", "11"]):
        refused = place.dpcloud("budget", *words, "--file", link)
        assert refused.returncode == 2
        assert f"the data set {str(place.copy.resolve())!r} (--dataset)" in refused.stderr
    link.unlink()
    history = place.dpcloud("budget", "history", "--dataset", "census").stdout.splitlines()
    assert [line.split()[1:4] for line in history] == [
        ["epsilon", "1", "first-opendp"],
        ["epsilon", "1", "first-pipelinedp"],
    ]
    assert all("committed 20" in line for line in history)
    told = place.dpcloud("budget", "set", "--dataset", "other", "--total", "2.50").stdout
    assert told == "other: total 2.5, spent 0, left 2.5\n"
    told = place.dpcloud("budget", "set", "--dataset", "census", "--total", "12").stdout
    assert told == "census: total 12, spent 2, left 10\n"
    place.dpcloud("budget", "set", "--dataset", "census", "--total", "10")
    assert place.dpcloud("budget", "show", "--dataset", "other").stdout == "other: total 2.5, spent 0, left 2.5\n"
    unknown = place.dpcloud("budget", "show", "--dataset", "unknown").stdout
    assert unknown == "unknown: total 10, spent 0, left 10  (not used yet)\n"
    misspelt = place.dpcloud("budget", "show", "--dataset", "censsus").stdout
    assert misspelt == "censsus: total 10, spent 0, left 10  (not used yet; did you mean 'census'?)\n"
    assert place.dpcloud("budget", "history", "--dataset", "other").stdout == "no runs yet\n"


def test_nothing_of_spark_stays(
    place: Place, both: "subprocess.CompletedProcess[str]", counted: "subprocess.CompletedProcess[str]"
) -> None:
    """Temporary tables hold sums of the raw table."""
    assert both.returncode == counted.returncode == 0
    left = [path for path in place.temporary.iterdir() if path.name.startswith("dpcloud")]
    assert left == []


@pytest.mark.parametrize("as_json", [True, False])
def test_nobody_reads_the_answer(place: Place, both: "subprocess.CompletedProcess[str]", as_json: bool) -> None:
    """The release is stored by then: the exit code must not be that of a run that cost nothing."""
    assert both.returncode == 0
    words = [sys.executable, "-m", "dpcloud", "run", *BOTH, "--file", place.table, *(["--json"] if as_json else [])]
    read, write = os.pipe()
    os.close(read)
    home = {"DPCLOUD_HOME": str(place.folder / "home"), "JAVA_HOME": "/nowhere"}
    done = subprocess.run(
        words, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, check=False, env={**os.environ, **home}
    )
    os.close(write)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "the release is stored but could not be shown (the output was closed)" in done.stderr
    assert "for all engines, is 'first'" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--lower", "-1.5", "--upper", "5", "--confidence", "0.9"], {"bounds": Bounds(-1.5, 5), "confidence": 0.9}),
        (["--bounds-share", "0.25"], {"bounds_share": Decimal("0.25")}),
        (["--check-share", "0"], {"check_share": Decimal(0)}),
        ([], {}),
    ],
)
def test_the_job_is_asked_what_the_command_says(
    words: list[str],
    told: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And what a library logs on the way is not shown: py4j writes Java's texts, which can quote cells."""
    seen: list[JobSpec] = []

    def run(specs: list[JobSpec], *_: object) -> job.Outcome:
        seen.extend(specs)
        logging.getLogger("py4j").error("a cell: 918273")
        return job.Outcome({spec.run_id: "{}" for spec in specs})

    monkeypatch.setattr(job, "run", run)
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("x\n1\n")
    asked = ["--engine", "tumult", "--query", "variance", "--column", "x", "--epsilon", "0.7", "--dataset", "d"]
    try:
        main(["run", "--file", "t.csv", *asked, "--run-id", "mine", "--json", *words])
    finally:
        logging.disable(logging.NOTSET)  # `dpcloud run` ends with its process, and so leaves it off
    budget, path = PrivacyBudget(Decimal("0.7")), str(tmp_path.resolve() / "t.csv")
    assert seen == [JobSpec("mine", "d", "tumult", Query.VARIANCE, "x", budget, path, "csv", **told)]
    assert caplog.records == []


FOUND = (Decimal("0.07"), 0.01, 131.06, RoundedLaplace(1 / Fraction("0.07")))


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (given_bounds(-4, 8), "values clamped to -4 to 8, as given; "),
        (
            found_bounds(-4, 8, "private", *FOUND),
            "values clamped to -4 to 8, found privately for epsilon 0.07 (part of what was spent); ",
        ),
        (
            found_bounds(FALLBACK.lower, FALLBACK.upper, "fallback", *FOUND),
            "NO BOUNDS FOUND for epsilon 0.07 (too few numbers in the column): clamped to -1,048,576 to 1,048,576, "
            "a fixed range that has nothing to do with the data; give --lower and --upper; ",
        ),
    ],
    ids=["given", "private", "fallback"],
)
def test_where_bounds_are_from_is_said(bounds: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    budget = PrivacyBudget(Decimal("0.7"))
    spec = JobSpec("mine", "d", "pipelinedp", Query.MEAN, "x", budget, "/t.csv", "csv", Bounds(-4, 8))
    of = plan(spec.query, spec.bounds, budget.epsilon)
    noisy = [Noisy(c, 1000, RoundedLaplace(c.scale)) for c in of.cells]
    draws = Draws(tuple(noisy), "1", "duckdb", "DuckDB 2")
    text = to_json(spec, of, draws, STATISTICS[spec.query].estimate(of, noisy, 0.95), "1", bounds)
    show_releases(job.Outcome({"mine": text}, {"mine": 1.0}), None)
    assert f"PipelineDP: {said}run id mine.\n" in capsys.readouterr().out
