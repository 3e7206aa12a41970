"""Which ledger a cluster script takes, and that a bad one is one line before Spark starts."""

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dpjobs import job
from dpjobs.epsilon import Epsilon
from dpjobs.errors import CopyError, DoubtError, DpError, InputError, InterruptError, LedgerError, RunError
from dpjobs.ledger import SQLiteLedger
from dpjobs.ledger.dynamodb import DynamoDBLedger
from dpjobs.platforms import spark_submit
from dpjobs.platforms.emr import parse as parse_emr
from dpjobs.platforms.glue import parse as parse_glue
from library.answering import Told
from library.ledger import dynamodb_local

WORDS = ["--s3_file", "s3://bucket/census.csv", "--query", "COUNT", "--epsilon", "1", "--format", "csv"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in dynamodb_local.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    yield
    logging.disable(logging.NOTSET)  # a job ends with its process, and so leaves it off


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_local.endpoint())
    return dynamodb_local.make_table()


@pytest.fixture
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    def started() -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(spark_submit, "_spark", started)


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        ("dynamodb:", "no name of a DynamoDB table: given ''"),
        ("dynamodb:a table", "no name of a DynamoDB table: given 'a table'"),
        ("arn:aws:s3:::bucket", "no name of a DynamoDB table: given 'arn:aws:s3:::bucket'"),
        ("dynamodb:missing", "no such ledger table: given 'missing'"),
        ("dynamodb:arn:aws:dynamodb:us-east-1:123456789012:table/missing", "no such ledger table: given 'arn:aws:"),
    ],
)
def test_a_bad_table_is_one_line_before_spark_starts(
    table: str, capfd: pytest.CaptureFixture[str], ledger: str, said: str
) -> None:
    for parse in (parse_glue, parse_emr):
        assert spark_submit.main([*WORDS, "--ledger", ledger], "pipelinedp", parse) == 2
        shown = capfd.readouterr()
        assert shown.out == ""
        assert re.fullmatch(f"{re.escape(said)}.*; allowed: [^\n]+\n", shown.err)


@pytest.mark.usefixtures("no_spark")
def test_a_table_out_of_reach(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert spark_submit.main([*WORDS, "--ledger", "dynamodb:ledger"], "pipelinedp", parse_glue) == 2
    assert "the ledger cannot be reached: given 'ledger'" in capfd.readouterr().err


def test_a_table_serves_on_every_platform(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the door of the run, with a Spark that only says where it runs."""
    seen: list[Any] = []
    DynamoDBLedger(table).set_total("s3://bucket/census.csv", Epsilon(1))
    monkeypatch.setattr(job, "run", lambda specs, ledger, _: seen.append((specs[0], ledger)) or 1 / 0)
    monkeypatch.setattr(spark_submit, "SparkBackend", lambda _: Told())
    context = SimpleNamespace(applicationId="application_1_0001", master="yarn")
    for parse, words, run_id in (
        (parse_glue, ["--JOB_RUN_ID", "jr_1", "--dataset", "by-address"], "jr_1"),
        (parse_emr, [], "application_1_0001"),
    ):
        monkeypatch.setattr(
            spark_submit, "_spark", lambda: contextlib.nullcontext(SimpleNamespace(sparkContext=context))
        )
        spark_submit.main([*WORDS, "--ledger", f"dynamodb:{table}", *words], "pipelinedp", parse)
        spec, ledger = seen.pop()
        assert isinstance(ledger, DynamoDBLedger)
        assert ledger.default_total is None
        assert (spec.dataset, spec.run_id) == ("s3://bucket/census.csv", run_id)


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize("words", [[], ["--dataset", "by-address"], ["--dataset", "a-name-without-a-total"]])
def test_an_address_without_a_budget_is_not_looked_at(
    table: str, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Whether there is anything at it is nobody's to know: not even Spark, which alone could look, is started."""
    DynamoDBLedger(table).set_total("s3://bucket/census", Epsilon(1))
    lies_in = [word.replace("census.csv", "census/x.csv") for word in WORDS]
    assert spark_submit.main([*lies_in, "--ledger", f"dynamodb:{table}", *words], "pipelinedp", parse_glue) == 2
    said = "the data set has no budget" if "by-address" in words else "the table lies in one that has a budget"
    assert f"{said}: given 's3://bucket/census/x.csv'" in capfd.readouterr().err
    for parse in (parse_glue, parse_emr):
        asked = [*[w for w in WORDS if w not in ("--format", "csv")], "--ledger", f"dynamodb:{table}", *words]
        assert spark_submit.main(asked, "pipelinedp", parse) == 2
        assert re.fullmatch(r"the data set has no budget: given '[^\n]+\n", capfd.readouterr().err)


def test_the_region_of_an_arn_is_known_to_all(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{table}"
    monkeypatch.setattr(DynamoDBLedger, "ready", lambda _: None)
    spark_submit._ledger(arn)
    assert os.environ["AWS_DEFAULT_REGION"] == "us-east-1"  # the user's word stays
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    spark_submit._ledger(arn)
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"


@pytest.mark.parametrize("given", ["ledger.sqlite", "sqlite:ledger.sqlite"])
def test_a_file_grants_no_budget_by_itself(given: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = spark_submit._ledger(given)
    assert isinstance(ledger, SQLiteLedger)
    assert ledger.default_total is None


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize("words", [[], ["--ledger="]])
def test_no_ledger_is_refused(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    for parse in (parse_glue, parse_emr):
        assert spark_submit.main([*WORDS, *words], "pipelinedp", parse) == 2
        assert capfd.readouterr().err.startswith("no ledger; allowed: --ledger")


# -- what is said when something goes wrong, and what is not


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite", default_total=None)
    ledger.set_total("s3://bucket/census.csv", Epsilon(5))
    return ledger


def raising(error: BaseException) -> Any:
    def run(*_: object) -> None:
        logging.getLogger("py4j").error("a cell: 918273")
        raise error

    return run


@pytest.fixture
def spark_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the door of the run, with a Spark that only says where it runs."""
    running = SimpleNamespace(sparkContext=SimpleNamespace(applicationId="application_1_0001", master="yarn"))
    monkeypatch.setattr(spark_submit, "_spark", lambda: contextlib.nullcontext(running))
    monkeypatch.setattr(spark_submit, "SparkBackend", lambda _: Told())


@pytest.mark.usefixtures("spark_at_hand")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("a line"), 2),
        (LedgerError("a line"), 2),
        (DoubtError("a line"), 3),
        (RunError("a line"), 3),
        (CopyError("a line"), 3),
        (InterruptError("a line"), 130),
    ],
)
def test_the_exit_code_says_what_is_spent(
    error: DpError,
    code: int,
    ledger: SQLiteLedger,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(job, "run", raising(error))
    assert spark_submit.main([*WORDS, "--ledger", str(ledger.path)], "pipelinedp", parse_glue) == code
    assert capfd.readouterr() == ("", "a line\n")


@pytest.mark.usefixtures("spark_at_hand")
def test_an_error_that_nobody_expected_is_not_quoted(
    ledger: SQLiteLedger,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nor what a library logs on the way: py4j writes Java's texts, which can quote cells."""
    for error, name in ((ValueError("cell 918273"), "ValueError"), (KeyError("918273"), "KeyError")):
        monkeypatch.setattr(job, "run", raising(error))
        assert spark_submit.main([*WORDS, "--ledger", str(ledger.path)], "pipelinedp", parse_emr) == 3
        shown = capfd.readouterr()
        assert shown.out == ""
        doubt = "whether its epsilon is spent is in doubt: the same run id pays once"
        assert shown.err == f"the job failed: unexpected {name}; {doubt}\n"
    assert caplog.records == []


@pytest.mark.usefixtures("spark_at_hand")
def test_an_interruption(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job, "run", raising(KeyboardInterrupt()))
    assert spark_submit.main([*WORDS, "--ledger", str(ledger.path)], "pipelinedp", parse_emr) == 130
    assert "was interrupted" in capfd.readouterr().err


@pytest.mark.usefixtures("spark_at_hand")
def test_an_interruption_while_the_release_is_printed(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A pipe that nobody reads can hold the last line for as long as it likes."""
    monkeypatch.setattr(job, "run", lambda specs, *_: job.Outcome({specs[0].run_id: "{}"}))
    printing = print

    def interrupted(*words: object, **how: object) -> None:
        if words == ("{}",):
            raise KeyboardInterrupt
        printing(*words, **how)

    monkeypatch.setattr("builtins.print", interrupted)
    assert spark_submit.main([*WORDS, "--ledger", str(ledger.path)], "pipelinedp", parse_emr) == 130
    shown = capfd.readouterr().err
    assert "the release is stored, and its epsilon stays spent" in shown
    assert "nothing is spent" not in shown


@pytest.mark.usefixtures("spark_at_hand")
def test_an_interruption_once_the_release_is_stored(
    ledger: SQLiteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While it is copied, or while Spark stops: the epsilon is spent, and whoever believes otherwise pays twice."""
    monkeypatch.setattr(job, "run", lambda specs, *_: job.Outcome({specs[0].run_id: "{}"}))
    monkeypatch.setattr(spark_submit.Copies, "write", raising(KeyboardInterrupt()))
    words = [*WORDS, "--ledger", str(ledger.path), "--releases", str(tmp_path)]
    assert spark_submit.main(words, "pipelinedp", parse_emr) == 130
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "the release is stored, and its epsilon stays spent" in shown.err
    assert "the run id 'application_1_0001' gives it again" in shown.err
    assert "nothing is spent" not in shown.err


class Context:
    """What `_spark` looks at and says to a Spark that runs already."""

    def __init__(self, page: str | None, event_log: str) -> None:
        self.uiWebUrl = page
        self.said: list[str] = []
        self._event_log = event_log

    def getConf(self) -> dict[str, str]:
        return {"spark.eventLog.enabled": self._event_log}

    def setLogLevel(self, level: str) -> None:
        self.said.append(level)


class Session:
    """A Spark session of a platform that keeps its own settings, whatever a script asks of it."""

    def __init__(self, context: Context) -> None:
        self.sparkContext = context
        self.asked: dict[str, str] = {}
        self.stopped = False
        self.builder = self

    def config(self, key: str, value: str) -> "Session":
        self.asked[key] = value
        return self

    def getOrCreate(self) -> "Session":
        return self

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize(
    ("page", "event_log", "said"),
    [("http://10.0.0.1:4040", "false", "Spark's UI is on"), (None, "true", "Spark's event log is on")],
)
def test_a_spark_that_shows_exact_counts_is_not_taken(
    page: str | None, event_log: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(Context(page, event_log))
    monkeypatch.setattr(spark_submit, "SparkSession", session)
    with (
        pytest.raises(InputError, match=f"{said}, and (shows|holds) exact counts; allowed: spark"),
        spark_submit._spark(),
    ):
        raise AssertionError("it was taken")
    assert session.stopped


def test_spark_is_asked_to_be_silent_and_private(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(Context(None, "false"))
    monkeypatch.setattr(spark_submit, "SparkSession", session)
    with spark_submit._spark() as spark:
        assert spark is session
        assert session.sparkContext.said == ["OFF"]
        assert session.asked["spark.ui.enabled"] == session.asked["spark.eventLog.enabled"] == "false"
        assert not session.stopped
    assert session.stopped


@pytest.mark.usefixtures("spark_at_hand")
def test_a_copy_that_fails_costs_nothing_to_repeat(
    ledger: SQLiteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """After the commit it is no bad input any more: the epsilon is spent, and the release is safe."""
    monkeypatch.setattr(job, "run", lambda specs, *_: job.Outcome({specs[0].run_id: "{}"}))
    (tmp_path / "application_1_0001.json").write_text("another's")
    words = [*WORDS, "--ledger", str(ledger.path), "--releases", str(tmp_path)]
    assert spark_submit.main(words, "pipelinedp", parse_emr) == 3
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "the copy could not be created (the release itself is safe in the ledger): given " in shown.err
    assert "the same command with the run id 'application_1_0001' gives the release again" in shown.err
    assert (tmp_path / "application_1_0001.json").read_text() == "another's"


@pytest.mark.usefixtures("no_spark")
def test_a_refusal_by_address_names_no_other_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Who starts the deployed job cannot choose the data set: which tables lie in a folder is not theirs to learn."""
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite")
    ledger.set_total("s3://bucket/data/patients.csv", Epsilon(1))
    words = [*WORDS[2:], "--ledger", str(tmp_path / "ledger.sqlite"), "--dataset"]
    for address in ("s3://bucket/data", "s3://bucket/data/patients.csv/x", "s3://bucket/elsewhere"):
        assert spark_submit.main([*words, "by-address", "--s3_file", address], "pipelinedp", parse_glue) == 2
        assert capfd.readouterr().err.startswith(
            f"the data set has no budget: given '{address}'; allowed: a data set"
        )
    # the table's owner, who may, is told
    assert spark_submit.main([*words, "free", "--s3_file", "s3://bucket/data"], "pipelinedp", parse_glue) == 2
    assert "the data set 's3://bucket/data/patients.csv' (--dataset)" in capfd.readouterr().err


def test_a_place_for_copies_that_is_not_there_costs_nothing(
    ledger: SQLiteLedger, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is looked at before Spark starts; after the commit it would be a copy that failed."""
    words = [*WORDS, "--ledger", str(ledger.path), "--releases", str(tmp_path / "missing")]
    for parse in (parse_glue, parse_emr):
        assert spark_submit.main(words, "pipelinedp", parse) == 2
        assert "the output folder is not there: given " in capfd.readouterr().err


@pytest.mark.usefixtures("spark_at_hand")
def test_a_release_its_copy_and_what_is_to_be_known_of_it(
    ledger: SQLiteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    changed = ["the table has changed"]
    monkeypatch.setattr(job, "run", lambda specs, *_: job.Outcome({specs[0].run_id: "{}"}, {}, changed))
    words = [*WORDS, "--ledger", str(ledger.path), "--releases", str(tmp_path)]
    assert spark_submit.main(words, "pipelinedp", parse_emr) == 0
    assert capfd.readouterr() == ("{}\n", "note: the table has changed\n")
    assert (tmp_path / "application_1_0001.json").read_text() == "{}\n"


@pytest.mark.parametrize("parse", [parse_glue, parse_emr])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--engine", "tumult"],
            "an engine that this script does not run: given 'tumult'; allowed: pipeline",
        ),
        (["--engine", "all"], "an engine that this script does not run: given 'all'"),
        (["--engine", "diffprivlib"], "an engine that is not hardened: given 'diffprivlib'"),
        (["--engine", "diffprivlib", "--unhardened", "no"], "an engine that is not hardened: given 'diffprivlib'"),
    ],
)
def test_a_script_runs_its_engines_only(
    parse: Any, words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And nothing is looked at before that is known: the ledger that is named is not made."""
    ledger = tmp_path / "ledger.sqlite"
    asked = [*WORDS, "--ledger", str(ledger), *words]
    assert spark_submit.main(asked, "pipelinedp", parse, ["opendp", "diffprivlib"]) == 2
    assert capsys.readouterr().err.startswith(told)
    assert not ledger.exists()


@pytest.mark.parametrize(
    ("words", "engine"),
    [([], "pipelinedp"), (["--engine", "OpenDP"], "opendp"),
     (["--engine", "diffprivlib", "--unhardened", "yes"], "diffprivlib")],
)  # fmt: skip
def test_the_engine_that_a_script_runs(words: list[str], engine: str) -> None:
    asked = parse_emr([*WORDS, *words])
    assert spark_submit._engine(asked, "pipelinedp", ["opendp", "diffprivlib"]) == engine


@pytest.mark.parametrize(("code", "line"), [(2, "no such column: given 'x'; allowed: …"), (3, "the job failed")])
def test_a_glue_run_ends_with_its_line_for_the_text_of_its_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, line: str
) -> None:
    """Glue shows an error's text, and of `sys.exit(2)` that is a number; the exit code stays what it was."""
    from dpjobs.platforms import glue

    def failing(*words: object) -> int:
        *_, say = words
        say(line)
        return code

    monkeypatch.setattr(spark_submit, "main", failing)
    with pytest.raises(SystemExit) as ended:
        glue.main([], "pipelinedp")
    assert (str(ended.value), ended.value.code) == (line, code)
    assert capsys.readouterr().err == f"{line}\n"
    monkeypatch.setattr(spark_submit, "main", lambda *_: 0)
    glue.main([], "pipelinedp")


def test_a_process_ends_with_the_code_of_its_error() -> None:
    program = "from dpjobs.platforms.glue import Ended\nraise Ended('a line', 3)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
