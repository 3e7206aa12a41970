"""s3:// addresses on a laptop: pyarrow's own client against a real S3 protocol server (moto)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpjobs.answers import plan_for
from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.query import Bounds, Query
from dpjobs.source import Source, inspect

SECRET = "never-to-be-shown"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://localhost:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    import boto3

    names = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="census")
    yield client
    for found in client.list_objects_v2(Bucket="census").get("Contents", []):
        client.delete_object(Bucket="census", Key=found["Key"])
    client.delete_bucket(Bucket="census")


def put(s3, **bodies: bytes) -> None:
    for key, body in bodies.items():
        s3.put_object(Bucket="census", Key=key, Body=body)


def parquet(*values: int) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": values}), sink)
    return sink.getvalue().to_pybytes()


def total(table: Source, column: str = "x") -> float:
    plan = plan_for("tumult", Query.SUM, column, Bounds(0, 4096), Epsilon(1))
    assert plan.grid is not None
    with DuckDBBackend.open() as backend:
        backend.check(table, column)
        return backend.totals(table, plan)[0] * plan.grid.step


def seen(uri: str, format_: str = "csv") -> Source:
    with DuckDBBackend.open() as backend:
        return inspect(uri, format_, backend.files(uri))


def test_folders_partitions_and_what_is_empty(s3) -> None:
    csv = b"a,x\nz,1\nz,2\n"
    keys = {
        "t/year=2020/a b.csv": csv,
        "t/year=2021/%3D.csv": csv,
        "t/year=2021/empty.csv": b"",
        "t/_SUCCESS": b"",
        "t/": b"",
    }
    put(s3, **keys)
    table = seen("s3a://census//t/")
    assert table.paths == ("s3://census/t/year=2020/a b.csv", "s3://census/t/year=2021/%3D.csv")
    assert (table.root, table.partitions, table.size) == ("s3://census/t", ("year",), 2 * len(csv))
    assert (total(table), total(table, "year")) == (6, 2 * 2020 + 2 * 2021)
    assert total(seen("s3://census/t/year=2020/a b.csv")) == 3


def test_parquet(s3) -> None:
    put(s3, **{"p/a.parquet": parquet(1, 2), "p/b/c.parquet": parquet(*range(10_000))})
    assert total(seen("s3://census/p", "parquet")) == 3 + sum(min(n, 4096) for n in range(10_000))


def test_keys_that_hadoop_cannot_name(s3) -> None:
    put(s3, **{"t/a.csv": b"a,x\nz,1\n", "t//b.csv": b"a,x\nz,2\n", "t/./c.csv": b"a,x\nz,4\n"})
    assert total(seen("s3://census/t")) == 1
    put(s3, **{"u/a.parquet": parquet(1), "u/../b.parquet": parquet(2)})
    with pytest.raises(InputError, match=r"an object in it whose key has '\.\.': given 's3://census/u'"):
        seen("s3://census/u", "parquet")


def test_an_object_that_is_a_folder_too(s3) -> None:
    put(s3, **{"t/p.parquet": parquet(1), "t/p.parquet/q.parquet": parquet(2)})
    for uri in ("s3://census/t", "s3://census/t/p.parquet"):
        with pytest.raises(InputError, match=r"a file that is a folder, too: given 's3://census/t/p.parquet'"):
            seen(uri, "parquet")
    assert total(seen("s3://census/t/p.parquet/q.parquet", "parquet")) == 2


@pytest.mark.parametrize("uri", ["s3://census/nothing", "s3://no-such-bucket/t", "s3://no-such-bucket"])
def test_what_is_not_there(s3, uri: str) -> None:
    with pytest.raises(InputError, match=r"no such file or folder|cannot be reached"):
        seen(uri)


def test_a_server_that_does_not_answer_is_one_line_without_credentials(s3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    with pytest.raises(InputError, match=r"^cannot be reached: given 's3://census/t'; allowed: an address") as error:
        seen("s3://census/t")
    assert SECRET not in str(error.value)


@pytest.mark.slow
def test_a_command_starts_no_java(s3, tmp_path: Path) -> None:
    for part in range(2):
        text = "name,x\n" + "".join(f'"a, {i}",{i % 100}\n' for i in range(2000))
        put(s3, **{f"data/part-{part}.csv": text.encode()})
    words = [
        "run",
        "--format",
        "csv",
        "--query",
        "MEAN",
        "--column",
        "x",
        "--epsilon",
        "9",
        "--lower",
        "0",
        "--upper",
        "100",
    ]
    environment = {**os.environ, "PATH": "", "JAVA_HOME": "/nothing", "DPCLOUD_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "dpcloud", *words, "--file", "s3://census/data/", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    [release] = json.loads(done.stdout)
    assert abs(release["value"] - 49.5) < 1
    assert release["dataset"] == "s3://census/data"
