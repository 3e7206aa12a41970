"""The deployed jobs, whole: script, library and arguments out of the deployed template, Spark on s3:// addresses.

What Glue does with a job is done here by spark-submit: the arguments it passes, the zip it puts on the path, the
settings in --conf, the packed environment that it unpacks and runs driver and workers with. Spark and Java are this
environment's, as on Glue they are Glue's; nothing else of it is within the job's reach.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyspark
import pytest

from deploy.conftest import ROOT, Deployment
from emr.node import runnable
from maven import s3_connector

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]
ROWS = 2000
STACK = "differential-privacy"
SPARK = Path(pyspark.__file__).parent


@pytest.fixture(scope="module")
def connector(deployment: Deployment) -> list[str]:
    """The settings by which a Spark of our own reads s3:// from the server, as EMR's and Glue's do from S3."""
    from dpcloud.java import use_java

    use_java()
    settings = {
        "spark.jars.packages": "org.apache.hadoop:hadoop-aws:3.3.4",
        "spark.jars.ivy": str(s3_connector()),
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": deployment.environment["AWS_ENDPOINT_URL"],
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
    }
    return [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]


@pytest.fixture(scope="module")
def table(deployment: Deployment) -> str:
    """A table under data/ in the deployed bucket, with a budget of 3; returns its address."""
    bucket = deployment.outputs("storage")["BucketName"]
    text = "TractId,TotalPop\n" + "".join(f"{i},{i % 100}\n" for i in range(ROWS))
    deployment.client("s3").put_object(Bucket=bucket, Key="data/census.csv", Body=text.encode())
    address = f"s3://{bucket}/data/census.csv"
    said = budget(deployment, "set", "--file", address, "--total", "3")
    assert said == f"{address}: total 3\n"
    return address


def budget(deployment: Deployment, *words: str) -> str:
    command = [sys.executable, "-m", "dpcloud.cli", "budget", words[0], "--stack", STACK, *words[1:]]
    done = subprocess.run(
        command, env=deployment.environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def job(deployment: Deployment, engine: str) -> dict[str, Any]:
    [found] = [j for j in deployment.resources("glue", "AWS::Glue::Job") if j["Name"] == f"{STACK}-{engine}"]
    return found


def fetched(deployment: Deployment, url: str) -> str:
    """Copy an object to this machine, as Glue does with script and library before it starts Spark."""
    bucket, key = url.removeprefix("s3://").split("/", 1)
    path = Path(deployment.environment["HOME"]) / key
    deployment.client("s3").download_file(bucket, key, str(path))
    return str(path)


@pytest.fixture(scope="module")
def python(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The interpreter of the deployed archive, unpacked as Glue does it, in a folder of its own."""
    place = tmp_path_factory.mktemp("unpacked")
    archive = Path(
        fetched(deployment, job(deployment, "pipelinedp")["NonOverridableArguments"]["--python-virtual-env"])
    )
    subprocess.run(["tar", "-xzf", runnable(archive, tmp_path_factory.mktemp("archive")), "-C", place], check=True)
    archive.unlink()
    yield place / "bin" / "python"
    shutil.rmtree(place)  # pytest would keep most of a gigabyte of each of the last three runs


def start(
    deployment: Deployment,
    connector: list[str],
    python: Path,
    engine: str,
    run_id: str,
    given: Mapping[str, str],
    script: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Start a job run as Glue would: defaults, the run's own arguments over them, and what is fixed over all."""
    properties = job(deployment, engine)
    fixed = properties["NonOverridableArguments"]
    arguments = {**properties["DefaultArguments"], **given, **fixed}
    words = [word for name, value in arguments.items() if name != "--scriptLocation" for word in (name, value)]
    conf = [word for setting in fixed["--conf"].split(" --conf ") for word in ("--conf", setting)]
    command = [
        *(str(SPARK / "bin" / "spark-submit"), "--master", "local[2]", *connector, *conf),
        *("--py-files", fetched(deployment, fixed["--extra-py-files"])),
        *(
            str(script or fetched(deployment, properties["Command"]["ScriptLocation"])),
            *words,
            "--JOB_RUN_ID",
            run_id,
            "--JOB_NAME",
            properties["Name"],
        ),
    ]
    environment = {
        **{k: v for k, v in deployment.environment.items() if k == "HOME" or k.startswith("AWS_")},
        "PATH": "/usr/bin:/bin",
        "SPARK_HOME": str(SPARK),
        "PYSPARK_PYTHON": str(python),
        "PYSPARK_DRIVER_PYTHON": str(python),
        "JAVA_HOME": os.environ["JAVA_HOME"],
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_CONF_DIR": str(ROOT / "src/dpjobs/conf"),
    }
    # not from the project's root, where the library could be found without the zip
    return subprocess.run(
        command,
        env=environment,
        cwd=deployment.environment["HOME"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


LOOK = """
import json, sys
from pyspark.sql import SparkSession
def modules(_):
    import boto3, dpjobs, numpy, pandas, pyarrow, pyspark
    return [[m.__name__, m.__file__] for m in (boto3, dpjobs, numpy, pandas, pyarrow, pyspark)] + [["", sys.prefix]]
with SparkSession.builder.getOrCreate() as spark:
    there = spark.sparkContext.parallelize([0], 1).flatMap(modules).collect()
    print(json.dumps([modules(0), there]))
"""


def test_driver_and_workers_have_their_libraries_from_the_archive_alone(
    deployment: Deployment, connector: list[str], python: Path, tmp_path: Path
) -> None:
    script = tmp_path / "look.py"
    script.write_text(LOOK)
    done = start(deployment, connector, python, "pipelinedp", "jr_look", {}, script)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    driver, worker = map(dict, json.loads(done.stdout.splitlines()[-1]))
    place = python.parents[1]
    for found in (driver, worker):
        assert found.pop("") == str(place)
        assert found.pop("pyspark").startswith(f"{SPARK}/python/lib/pyspark.zip/")
        assert Path(found.pop("dpjobs")).parents[1].name.endswith(".zip")
        assert len(found) == 4
        assert {Path(file).parents[1] for file in found.values()} == {place / "lib/python3.11/site-packages"}


@pytest.mark.parametrize(("engine", "title"), [("pipelinedp", "pipelinedp"), ("tumult-ana", "tumult")])
def test_a_run_leaves_its_release_in_table_and_bucket(
    deployment: Deployment, connector: list[str], python: Path, table: str, engine: str, title: str
) -> None:
    given = {"--s3_file": table, "--query": "COUNT", "--column_name": "TotalPop"}
    done = start(deployment, connector, python, engine, f"jr_{engine}", given)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    printed = json.loads(done.stdout[done.stdout.index("{") :])
    assert printed["engine"] == title
    assert abs(printed["value"] - ROWS) < 40

    bucket = deployment.outputs("storage")["BucketName"]
    copy = deployment.client("s3").get_object(Bucket=bucket, Key=f"releases/glue/jr_{engine}.json")["Body"].read()
    assert json.loads(copy) == printed
    left = deployment.client("s3").list_objects_v2(Bucket=bucket, Prefix="warehouse/").get("Contents", [])
    assert [o["Key"] for o in left if o["Size"]] == []  # but for the folder's own mark
    name = deployment.outputs("storage")["LedgerTableName"]
    key = {"pk": {"S": f"run#jr_{engine}"}, "sk": {"S": "run"}}
    row = deployment.client("dynamodb").get_item(TableName=name, Key=key)["Item"]
    assert json.loads(row["release"]["S"]) == printed
    assert row["epsilon"]["N"] == "1000000000"
    assert f"jr_{engine}" in budget(deployment, "history", "--file", table)


def test_the_table_has_the_spend_of_both_runs(deployment: Deployment, table: str) -> None:
    assert f"{table}: total 3, spent 2, left 1" in budget(deployment, "show", "--file", table)


def test_a_retry_of_glue_shows_the_same_release_and_spends_nothing(
    deployment: Deployment, connector: list[str], python: Path, table: str
) -> None:
    given = {"--s3_file": table, "--query": "COUNT", "--column_name": "TotalPop"}
    again = start(deployment, connector, python, "pipelinedp", "jr_pipelinedp_attempt_1", given)
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-3000:]
    bucket = deployment.outputs("storage")["BucketName"]
    copy = deployment.client("s3").get_object(Bucket=bucket, Key="releases/glue/jr_pipelinedp.json")["Body"].read()
    assert json.loads(again.stdout[again.stdout.index("{") :]) == json.loads(copy)
    assert "spent 2, left 1" in budget(deployment, "show", "--file", table)


def test_the_starter_of_a_run_cannot_charge_another_data_set_nor_another_ledger(
    deployment: Deployment, connector: list[str], python: Path, table: str
) -> None:
    """Names with "=" get past what Glue compares: the script takes every argument once."""
    given = {"--s3_file": table, "--query": "COUNT", "--ledger=/tmp/mine.sqlite": "x"}
    refused = start(deployment, connector, python, "pipelinedp", "jr_mine", given)
    assert refused.returncode != 0
    assert "given twice" in refused.stdout + refused.stderr
    given = {"--s3_file": table.replace("census.csv", ""), "--query": "COUNT"}
    refused = start(deployment, connector, python, "pipelinedp", "jr_folder", given)
    assert refused.returncode != 0
    assert "the data set has no budget" in refused.stdout + refused.stderr
    assert "spent 2, left 1" in budget(deployment, "show", "--file", table)
