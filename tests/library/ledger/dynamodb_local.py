"""DynamoDB Local, Amazon's own server of the real protocol: fetched once, started once in a test process.

Its files come from Maven Central and are kept in build/; dynamodb_local.txt pins the ones it needs.
"""

import atexit
import functools
import os
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import boto3

from maven import pinned

_MAIN = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""What a client needs besides AWS_ENDPOINT_URL, and nothing of the user's own."""


@functools.cache
def endpoint() -> str:
    """The address of this test process's server; skips where its files cannot be had."""
    from dpcloud.java import use_java

    kept = fetched()
    use_java()
    port = _free_port()
    java = Path(os.environ["JAVA_HOME"]) / "bin" / "java"
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]  # it lives for a minute
    options = [*quick, f"-Djava.library.path={kept}", "-Xmx256m", "-cp", f"{kept}/*", _MAIN]
    server = subprocess.Popen(
        [java, *options, "-inMemory", "-disableTelemetry", "-port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(server.kill)
    for _ in range(300):
        assert server.poll() is None, f"DynamoDB Local ended with {server.returncode}"
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return f"http://127.0.0.1:{port}"
        time.sleep(0.1)
    raise AssertionError("DynamoDB Local does not answer")


@functools.cache
def client() -> Any:
    """A client of the server, as its administrator."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    return boto3.client("dynamodb", endpoint_url=endpoint(), **keys)


def make_table(**changed: Any) -> str:
    """Make an empty ledger table and return its name."""
    name = f"ledger-{uuid.uuid4().hex}"
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    types = [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")]
    table = {"KeySchema": keys, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST", **changed}
    client().create_table(TableName=name, **table)
    return name


def fetched() -> Path:
    """The folder with the server's files, fetched if need be; skips where Maven Central is out of reach."""
    return pinned(Path(__file__).with_suffix(".txt"), "DynamoDB Local")


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
