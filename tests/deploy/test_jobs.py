"""The deployed jobs, whole: script, library and arguments out of the deployed template, Spark on s3:// addresses.

What Glue does with a job is done here by spark-submit: the arguments it passes, the zip it puts on the path, the
settings in --conf. What it installs is this environment's, from the same pins.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.conftest import ROOT, Deployment
from maven import s3_connector

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]
ROWS = 2000
STACK = "differential-privacy"


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
        command, env=deployment.environment, capture_output=True, text=True, timeout=60, check=False
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


def start(
    deployment: Deployment, connector: list[str], engine: str, run_id: str, given: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Start a job run as Glue would: defaults, the run's own arguments over them, and what is fixed over all."""
    properties = job(deployment, engine)
    fixed = properties["NonOverridableArguments"]
    arguments = {**properties["DefaultArguments"], **given, **fixed}
    words = [word for name, value in arguments.items() if name != "--scriptLocation" for word in (name, value)]
    conf = [word for setting in fixed["--conf"].split(" --conf ") for word in ("--conf", setting)]
    spark = Path(sys.executable).parent / "spark-submit"
    command = [
        *(str(spark), "--master", "local[2]", *connector, *conf),
        *("--py-files", fetched(deployment, fixed["--extra-py-files"])),
        *(
            fetched(deployment, properties["Command"]["ScriptLocation"]),
            *words,
            "--JOB_RUN_ID",
            run_id,
            "--JOB_NAME",
            properties["Name"],
        ),
    ]
    environment = {
        **{k: v for k, v in deployment.environment.items() if not k.startswith("PYTHON")},
        "PYSPARK_PYTHON": sys.executable,
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
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(("engine", "title"), [("pipelinedp", "pipelinedp"), ("tumult-ana", "tumult")])
def test_a_run_leaves_its_release_in_table_and_bucket(
    deployment: Deployment, connector: list[str], table: str, engine: str, title: str
) -> None:
    given = {"--s3_file": table, "--query": "COUNT", "--column_name": "TotalPop"}
    done = start(deployment, connector, engine, f"jr_{engine}", given)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    printed = json.loads(done.stdout[done.stdout.index("{") :])
    assert printed["engine"] == title
    assert abs(printed["value"] - ROWS) < 40

    bucket = deployment.outputs("storage")["BucketName"]
    copy = deployment.client("s3").get_object(Bucket=bucket, Key=f"releases/jr_{engine}.json")["Body"].read()
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
    deployment: Deployment, connector: list[str], table: str
) -> None:
    given = {"--s3_file": table, "--query": "COUNT", "--column_name": "TotalPop"}
    again = start(deployment, connector, "pipelinedp", "jr_pipelinedp_attempt_1", given)
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-3000:]
    bucket = deployment.outputs("storage")["BucketName"]
    copy = deployment.client("s3").get_object(Bucket=bucket, Key="releases/jr_pipelinedp.json")["Body"].read()
    assert json.loads(again.stdout[again.stdout.index("{") :]) == json.loads(copy)
    assert "spent 2, left 1" in budget(deployment, "show", "--file", table)


def test_the_starter_of_a_run_cannot_charge_another_data_set_nor_another_ledger(
    deployment: Deployment, connector: list[str], table: str
) -> None:
    """Names with "=" get past what Glue compares: the script takes every argument once."""
    given = {"--s3_file": table, "--query": "COUNT", "--ledger=/tmp/mine.sqlite": "x"}
    refused = start(deployment, connector, "pipelinedp", "jr_mine", given)
    assert refused.returncode != 0
    assert "given twice" in refused.stdout + refused.stderr
    given = {"--s3_file": table.replace("census.csv", ""), "--query": "COUNT"}
    refused = start(deployment, connector, "pipelinedp", "jr_folder", given)
    assert refused.returncode != 0
    assert "the data set has no budget" in refused.stdout + refused.stderr
    assert "spent 2, left 1" in budget(deployment, "show", "--file", table)
