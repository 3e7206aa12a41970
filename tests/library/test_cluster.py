"""Which ledger a cluster script takes, and that a bad one is one line before Spark starts."""

import contextlib
import os
import re
import socket
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from dpjobs import cluster, job
from dpjobs.arguments import parse_emr, parse_glue
from dpjobs.ledger import SQLiteLedger
from dpjobs.ledger.dynamodb import DynamoDBLedger
from library.ledger import dynamodb_local

WORDS = ["--s3_file", "s3://bucket/census.csv", "--query", "COUNT", "--epsilon", "1", "--format", "csv"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.logging, "disable", lambda _: None)
    for name, value in dynamodb_local.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_local.endpoint())
    return dynamodb_local.make_table()


@pytest.fixture
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    def started() -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(cluster, "_spark", started)


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
        assert cluster.main([*WORDS, "--ledger", ledger], "pipelinedp", parse) == 2
        shown = capfd.readouterr()
        assert shown.out == ""
        assert re.fullmatch(f"{re.escape(said)}.*; allowed: [^\n]+\n", shown.err)


@pytest.mark.usefixtures("no_spark")
def test_a_table_out_of_reach(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert cluster.main([*WORDS, "--ledger", "dynamodb:ledger"], "pipelinedp", parse_glue) == 2
    assert "the ledger cannot be reached: given 'ledger'" in capfd.readouterr().err


def test_a_table_serves_on_every_platform(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the door of the run, with a Spark that only says where it runs."""
    seen: list[Any] = []
    DynamoDBLedger(table).set_total("s3://bucket/census.csv", Decimal(1))
    monkeypatch.setattr(job, "run", lambda specs, ledger, _: seen.append((specs[0], ledger)) or 1 / 0)
    monkeypatch.setattr(cluster, "HadoopFiles", lambda _: None)
    context = SimpleNamespace(applicationId="application_1_0001", master="yarn")
    for parse, words, run_id in (
        (parse_glue, ["--JOB_RUN_ID", "jr_1", "--dataset", "by-address"], "jr_1"),
        (parse_emr, [], "application_1_0001"),
    ):
        monkeypatch.setattr(cluster, "_spark", lambda: contextlib.nullcontext(SimpleNamespace(sparkContext=context)))
        cluster.main([*WORDS, "--ledger", f"dynamodb:{table}", *words], "pipelinedp", parse)
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
    DynamoDBLedger(table).set_total("s3://bucket/census", Decimal(1))
    lies_in = [word.replace("census.csv", "census/x.csv") for word in WORDS]
    assert cluster.main([*lies_in, "--ledger", f"dynamodb:{table}", *words], "pipelinedp", parse_glue) == 2
    assert "lies in one that has a budget: given 's3://bucket/census/x.csv'" in capfd.readouterr().err
    for parse in (parse_glue, parse_emr):
        asked = [*[w for w in WORDS if w not in ("--format", "csv")], "--ledger", f"dynamodb:{table}", *words]
        assert cluster.main(asked, "pipelinedp", parse) == 2
        assert re.fullmatch(r"the data set has no budget: given '[^\n]+\n", capfd.readouterr().err)


def test_the_region_of_an_arn_is_known_to_all(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{table}"
    monkeypatch.setattr(DynamoDBLedger, "ready", lambda _: None)
    cluster._ledger(arn)
    assert os.environ["AWS_DEFAULT_REGION"] == "us-east-1"  # the user's word stays
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    cluster._ledger(arn)
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"


@pytest.mark.parametrize("given", ["ledger.sqlite", "sqlite:ledger.sqlite"])
def test_a_file_grants_no_budget_by_itself(given: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = cluster._ledger(given)
    assert isinstance(ledger, SQLiteLedger)
    assert ledger.default_total is None


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize("words", [[], ["--ledger="]])
def test_no_ledger_is_refused(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    for parse in (parse_glue, parse_emr):
        assert cluster.main([*WORDS, *words], "pipelinedp", parse) == 2
        assert capfd.readouterr().err.startswith("no ledger; allowed: --ledger")
