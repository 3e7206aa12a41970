"""A table in a deployment's bucket has its budget in AWS: this machine's ledger gives it no second one by a typo."""

import pytest

from dpcloud.aws import deployment_of
from dpcloud.cli import main
from dpjobs.home import ledger_path

BUCKET = "differential-privacy-storage-bucket83908e77-d7qm6xjloxu5"
TABLE = f"s3://{BUCKET}/data/census.csv"


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        (TABLE, "differential-privacy"),
        (f"s3a://{BUCKET}//data/", "differential-privacy"),
        ("s3://dp-storage-bucket0a1b2c3d-abc/data", "dp"),
        (f"s3://{BUCKET}/releases/glue/x.json", None),
        (f"s3://{BUCKET}/database/census.csv", None),
        ("s3://my-bucket/data/census.csv", None),
        ("/data/census.csv", None),
    ],
)
def test_which_tables_lie_in_a_deployment(address: str, prefix: str | None) -> None:
    assert deployment_of(address) == prefix


def line(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as left:
        main([*words])
    assert left.value.code == 2
    assert not ledger_path().exists()
    return capfd.readouterr().err


@pytest.mark.parametrize("on", [(), ("--on", "spark")])
def test_a_run_on_this_machine_is_refused(capfd: pytest.CaptureFixture[str], on: tuple[str, ...]) -> None:
    said = line(capfd, "run", "--file", TABLE, "--query", "COUNT", "--epsilon", "1", *on)
    assert said.startswith("dpcloud: a table of a deployment, whose budget is in AWS: given 's3://")
    assert "allowed: --on glue or emr, with --stack differential-privacy; or --dataset NAME" in said


@pytest.mark.parametrize("words", [("set", "--total", "5"), ("show",), ("history",)])
def test_its_budget_is_not_this_machines(capfd: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    command, *rest = words
    said = line(capfd, "budget", command, "--file", TABLE, *rest)
    assert "a table of a deployment, whose budget is not on this machine: given 's3://" in said
    assert "allowed: --stack differential-privacy, or --dataset NAME" in said
