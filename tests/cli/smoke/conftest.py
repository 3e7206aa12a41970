"""Smoke tests' parts against moto in this process, under AWS's own addresses: nothing is lacking, nothing costs."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from smoke import deployment as smoke_deployment
from smoke.account import Account
from smoke.checks import Seen
from smoke.deployment import Deployment
from smoke.progress import Progress
from smoke.table import CensusTable

PREFIX = "dp-smoke-0a1b2c"
REGION = "us-east-1"


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
    return Account(boto3.session.Session(region_name=REGION), REGION)


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
