"""`dpcloud run` on s3:// addresses: the real connector S3A against a real S3 protocol server (moto)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maven import s3_connector

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://localhost:{port}"
    server.stop()


@pytest.fixture(scope="module")
def aws(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user whose credentials are those of the server; the connector's cache is kept."""
    home = tmp_path_factory.mktemp("home")
    (home / "ivy").symlink_to(s3_connector())
    return {
        **os.environ,
        "DPCLOUD_HOME": str(home),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="module")
def s3(aws: dict[str, str]):
    import boto3

    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=aws["AWS_ENDPOINT_URL"], **keys)
    client.create_bucket(Bucket="census")
    for part in range(2):
        text = "name,x\n" + "".join(f'"a, {i}",{i % 100}\n' for i in range(2000))
        client.put_object(Bucket="census", Key=f"data/part-{part}.csv", Body=text.encode())
    client.put_object(Bucket="census", Key="data/_SUCCESS", Body=b"")
    return client


def dpcloud(aws: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dpcloud.cli", "run", "--format", "csv", "--query", "COUNT", "--epsilon", "1"]
    return subprocess.run([*command, *words], env=aws, capture_output=True, text=True, timeout=300, check=False)


def test_a_folder_in_s3_with_a_copy_in_s3(aws, s3) -> None:
    words = ["--file", "s3://census/data/", "--run-id", "first", "--output", "s3://census/releases", "--json"]
    done = dpcloud(aws, *words)
    assert done.returncode == 0, done.stderr
    [release] = json.loads(done.stdout)
    assert abs(release["value"] - 4000) <= 30
    assert release["dataset"] == "s3://census/data"
    copy = s3.get_object(Bucket="census", Key="releases/first.json")["Body"].read()
    assert json.loads(copy) == release

    # a copy is never written over: another object of that name is an error, the same one is not
    assert dpcloud(aws, *words).stdout == done.stdout
    s3.put_object(Bucket="census", Key="releases/first.json", Body=b"{}")
    refused = dpcloud(aws, *words)
    assert refused.returncode == 3
    assert "the copy could not be created" in refused.stderr
    assert s3.get_object(Bucket="census", Key="releases/first.json")["Body"].read() == b"{}"


@pytest.mark.parametrize("place", ["s3://census/nothing", "s3://no-such-bucket/data"])
def test_what_is_not_there_is_one_line_and_costs_nothing(aws, s3, place: str) -> None:
    done = dpcloud(aws, "--file", place)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    from dpjobs.ledger import SQLiteLedger

    assert place not in SQLiteLedger(Path(aws["DPCLOUD_HOME"]) / "ledger.sqlite").datasets()
