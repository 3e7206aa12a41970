"""Where a deployed job's libraries come from. That the jobs answer is in test_smoke.py, which runs them all."""

import json
from pathlib import Path

import pytest

from deploy.conftest import Deployment
from deploy.runner import SPARK, Runner

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]
LOOK = """
import json, sys
from pyspark.sql import SparkSession
def modules(_):
    import boto3, dpjobs, numpy, pandas, pyarrow, pyspark
    return [[m.__name__, m.__file__] for m in (boto3, dpjobs, numpy, pandas, pyarrow, pyspark)] + [["", sys.prefix]]
with SparkSession.builder.getOrCreate() as spark:
    here = modules(0)  # Spark takes the library away when it stops
    there = spark.sparkContext.parallelize([0], 1).flatMap(modules).collect()
    print(json.dumps([here, there]))
"""


def test_driver_and_workers_have_their_libraries_from_the_archive_alone(
    deployment: Deployment, runner: Runner, tmp_path: Path
) -> None:
    script = tmp_path / "look.py"
    script.write_text(LOOK)
    jobs = deployment.resources("glue", "AWS::Glue::Job")
    [job] = [one for one in jobs if one["Name"] == "differential-privacy-pipelinedp"]
    arguments = {**job["DefaultArguments"], **job["NonOverridableArguments"]}
    done = runner.glue_run("jr_look", job["Name"], str(script), arguments)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    driver, worker = map(dict, json.loads(done.stdout.splitlines()[-1]))
    place = runner.python(arguments["--python-virtual-env"]).parents[1]
    for found in (driver, worker):
        assert found.pop("") == str(place)
        assert found.pop("pyspark").startswith(f"{SPARK}/python/lib/pyspark.zip/")
        assert Path(found.pop("dpjobs")).parents[1].name.endswith(".zip")
        assert len(found) == 4
        assert {Path(file).parents[1] for file in found.values()} == {place / "lib/python3.11/site-packages"}
