"""An entry script under a real spark-submit, on a standalone cluster of a master and two workers.

The others run in deploy/test_smoke.py, as deployed, and in e2e/ on a Spark cluster and on YARN.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.standalone import standalone
from dpjobs.epsilon import Epsilon
from dpjobs.ledger import SQLiteLedger

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SCRIPT, ENGINE = "emr_assets/run_pipelinedp_spark.py", "tumult-core"  # which is named by --engine


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the daemons and of spark-submit: our Java and Python, and silent logs as EMR and Glue will have."""
    import pyspark

    from dpcloud.java import use_java

    use_java()
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_", "PYTHONPATH"))},
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_CONF_DIR": str(tmp_path_factory.mktemp("conf")),
        "SPARK_DAEMON_JAVA_OPTS": java_options(),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }


def java_options() -> str:
    """Silent, and quick to start: these JVMs live for seconds."""
    from dpjobs.backends.spark import session

    return " ".join(session._java_options(small=True, s3=False))


@pytest.fixture(scope="module")
def master(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A master and two worker processes; stopped at the end."""
    with standalone(tmp_path_factory.mktemp("work"), environment) as url:
        yield url


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip that travels: src/ without dpcloud."""
    folder = tmp_path_factory.mktemp("library")
    shutil.copytree(ROOT / "src/dpjobs", folder / "src/dpjobs", ignore=shutil.ignore_patterns("__pycache__"))
    return Path(shutil.make_archive(str(folder / "dpjobs"), "zip", folder / "src"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("name,x\n" + "".join(f'"a, {i}",{i % 100}\n' for i in range(5000)))
    return path


def submit(script: str, words: list[str], master: str, library: Path, environment: dict[str, str], **conf: str):
    settings = {
        "spark.executor.memory": "700m",
        "spark.driver.memory": "900m",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.cores.max": "2",
        "spark.driver.extraJavaOptions": java_options(),
        "spark.executor.extraJavaOptions": java_options(),
        **conf,
    }
    command = [sys.executable, str(Path(environment["SPARK_HOME"]) / "bin/spark-submit")][1:]
    command += ["--master", master, "--deploy-mode", "client", "--py-files", str(library)]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    # an installed dpjobs must not stand in for the zip: the script runs isolated from this checkout
    environment = {**environment, "PYTHONPATH": "", "PYSPARK_DRIVER_PYTHON": sys.executable}
    return subprocess.run(
        [*command, str(ROOT / script), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_script_writes_its_release(table, tmp_path, master, library, environment) -> None:
    ledger, releases, warehouse = tmp_path / "ledger.sqlite", tmp_path / "releases", tmp_path / "warehouse"
    releases.mkdir()
    SQLiteLedger(ledger).set_total(str(table), Epsilon(10))  # a file grants nothing by itself
    words = ["--lower", "-1e1", "--upper", "100", "--ledger", str(ledger), "--releases", str(releases)]
    words += ["-c", "x", "-e", "4", "-i", "census", "-f", str(table), "-q", "mean", "--run_id", "jr_0a1b"]
    words += ["--engine", ENGINE]
    conf = {"spark.sql.warehouse.dir": warehouse.as_uri(), "spark.cores.max": "1"}
    done = submit(SCRIPT, words, master, library, environment, **conf)
    assert done.returncode == 0, done.stderr
    release = json.loads((releases / "jr_0a1b.json").read_text())
    assert json.loads(done.stdout) == release
    assert (release["engine"], release["query"], release["column"]) == (ENGINE, "MEAN", "x")
    assert release["dataset"] == table.name  # the ledger alone knows the folder
    assert 47 < release["value"] < 52  # the noise's scale is about 0.007 here
    assert release["bounds"] == {"lower": -10.0, "upper": 100.0, "source": "given", "epsilon": 0}
    assert done.stderr.strip() == ""
    assert not [p for p in warehouse.rglob("*") if p.is_file()]

    # a retry by the platform repeats the id: the same release, nothing spent
    again = submit(SCRIPT, words, master, library, environment, **conf)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert SQLiteLedger(ledger).balance(str(table)).left == 6


def test_bad_input_is_one_line_and_costs_nothing(table, tmp_path, library, environment) -> None:
    """On a local master, to be quick: the same script, the same way."""
    ledger = tmp_path / "ledger.sqlite"
    SQLiteLedger(ledger).set_total(str(table), Epsilon(10))
    common = ["--ledger", str(ledger), "--s3_file_path", str(table), "--query", "MEAN"]
    for words, said in (  # before the table's header is read, and after it
        (["--column_name", "x", "--epsilon", "1", "--lowr", "3"], "unknown argument: given '--lowr'"),
        (["--column_name", "X", "--epsilon", "1"], "no such column: given 'X'"),
    ):
        done = submit("glue_scripts/run_pipelinedp_spark.py", [*common, *words], "local[1]", library, environment)
        assert done.returncode == 2
        told = done.stdout + done.stderr  # spark-submit joins a script's two streams into one
        assert re.fullmatch(f".*{re.escape(said)}.*", told.strip())
    assert SQLiteLedger(ledger).history(str(table)) == []


def test_a_new_file_is_no_budget(table, tmp_path, library, environment) -> None:
    """On a machine that lives for one run it would be a full one every time."""
    words = ["--s3_file", str(table), "--query", "COUNT", "--epsilon", "1", "--ledger", str(tmp_path / "new.sqlite")]
    done = submit("glue_scripts/run_pipelinedp_spark.py", words, "local[1]", library, environment)
    assert done.returncode == 2
    assert "the data set has no budget" in done.stdout + done.stderr
