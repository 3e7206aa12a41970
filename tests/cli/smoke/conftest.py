"""Smoke tests' parts against moto in this process, under AWS's own addresses: nothing is lacking, nothing costs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto import mock_aws
from smoke import deployment as smoke_deployment
from smoke.account import Account
from smoke.checks import Run, Seen
from smoke.deployment import Deployment
from smoke.progress import Progress
from smoke.settings import ENGINES
from smoke.table import CensusTable

from cli.smoke.asking import REGION, charge, client, session
from dpjobs.epsilon import Epsilon
from dpjobs.ledger.dynamodb import DynamoDBLedger

PREFIX = "dp-smoke-0a1b2c"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Credentials of a user, and no other setting of this machine's."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(smoke_deployment, "FOLDER", tmp_path / "smoke")
    with mock_aws():
        yield


@pytest.fixture
def account() -> Account:
    return Account(session(), REGION)


@pytest.fixture
def table(tmp_path: Path) -> CensusTable:
    path = tmp_path / "census.csv"
    path.write_text("County,TotalPop\nSomewhere County,19123456\nElsewhere County,55036\nNowhere County,\n")
    return CensusTable(path, "a table of this test")


@pytest.fixture
def seen(account: Account, table: CensusTable) -> Seen:
    deployment = Deployment(account, PREFIX)
    deployment.write()
    return Seen(account, deployment, Progress(every=0.01), table)


@pytest.fixture
def bucket(seen: Seen) -> str:
    name = f"{seen.deployment.prefix}-storage-bucket1"
    client("s3").create_bucket(Bucket=name)
    arn = f"arn:aws:dynamodb:{REGION}:123456789012:table/{seen.deployment.prefix}-storage-Ledger"
    client("dynamodb").create_table(
        TableName=arn.rpartition("/")[2],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    seen.deployment.outputs = {
        "BucketName": name, "LedgerTableArn": arn, "LedgerTableName": arn.rpartition("/")[2], "ClusterId": "j-1",
    }  # fmt: skip
    seen.address = f"s3://{name}/data/census.csv"
    return name


@pytest.fixture
def two_runs(seen: Seen, bucket: str) -> Callable[..., None]:
    """Two Glue runs that have succeeded, with their releases in ledger and bucket."""

    def make(value: float = 10_000.0, half: float = 50.0, commit: bool = True) -> None:
        DynamoDBLedger(seen.deployment.outputs["LedgerTableArn"]).set_total(seen.address, Epsilon(4))
        for engine in ENGINES:
            run = Run(f"Glue run {engine}", f"jr_{engine}", f"s3://{bucket}/releases/glue/", "SUCCEEDED")
            text = json.dumps({"value": value, "interval": [value - half, value + half]})
            charge(seen, run.run_id, text if commit else None)
            client("s3").put_object(Bucket=bucket, Key=f"releases/glue/{run.run_id}.json", Body=text.encode())
            seen.glue_runs[engine] = run

    return make
