"""software_settings.json: what EMR takes, and what privacy asks of it."""

import itertools
import json
import os
import re
import shlex
import zipfile
from pathlib import Path

import pyspark
import pytest
from py4j.java_gateway import JavaGateway

from dpcloud.java import use_java
from dpjobs.backends.spark import session

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "emr_assets" / "software_settings.json"
JARS = Path(pyspark.__file__).parent / "jars"
PYTHON = "/opt/dpcloud/bin/python"  # where the bootstrap action puts it
# Those for Spark on emr-7.x ("Configure Spark" in the release guide); `…-env` takes only a nested `export`.
SPARKS = {"spark", "spark-defaults", "spark-env", "spark-hive-site", "spark-log4j2", "spark-metrics"}
# The loggers that Spark 3.5's own log4j2.properties names, which EMR's file has besides what we set.
SPARKS_LOGGERS = {
    "rootLogger.level": "info",
    "appender.console.layout.pattern": "%d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex",
    "logger.repl.name": "org.apache.spark.repl.Main",
    "logger.repl.level": "warn",
    "logger.parquet1.name": "org.apache.parquet",
    "logger.parquet1.level": "error",
}


@pytest.fixture(scope="module")
def settings() -> list[dict]:
    return json.loads(SETTINGS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def defaults(settings) -> dict[str, str]:
    return properties(settings, "spark-defaults")


def properties(settings: list[dict], classification: str) -> dict[str, str]:
    (one,) = (entry["Properties"] for entry in settings if entry["Classification"] == classification)
    return one


def test_the_file_has_the_form_that_emr_takes(settings) -> None:
    names = [entry["Classification"] for entry in settings]
    assert set(names) <= SPARKS
    assert len(names) == len(set(names))
    for entry in settings:
        assert set(entry) <= {"Classification", "Properties", "Configurations"}
        nested = entry.get("Configurations", [])
        if entry["Classification"].endswith("-env"):
            assert entry["Properties"] == {}
            assert [inner["Classification"] for inner in nested] == ["export"]
        else:
            assert nested == []
        for inner in [entry, *nested]:
            assert all(isinstance(v, str) and v.strip() == v != "" for v in inner["Properties"].values())


def test_spark_knows_every_setting(defaults) -> None:
    """A misspelt name would be ignored without a word: each must stand in the classes of Spark 3.5.6."""
    known = b""
    for jar in itertools.chain(
        *(JARS.glob(f"spark-{part}_*.jar") for part in ("core", "catalyst", "launcher", "yarn"))
    ):
        with zipfile.ZipFile(jar) as archive:
            chosen = re.compile(r".*(/config/[^/]+|StaticSQLConf\$|SparkLauncher|yarn/Client|SparkConf\$?)\.class")
            known += b"".join(archive.read(name) for name in archive.namelist() if chosen.fullmatch(name))

    def knows(word: str) -> bool:  # a constant in a class file is its length and its text
        return len(word).to_bytes(2, "big") + word.encode() in known

    for name in defaults:
        assert knows(re.sub(r"^(spark\.yarn\.appMasterEnv\.|spark\.executorEnv\.).*", r"\1", name)), name
    assert not knows("spark.ui.enable")


def test_python_3_11_everywhere(settings, defaults) -> None:
    (export,) = next(e["Configurations"] for e in settings if e["Classification"] == "spark-env")
    assert export["Properties"] == {"PYSPARK_PYTHON": PYTHON, "PYSPARK_DRIVER_PYTHON": PYTHON}
    assert defaults["spark.yarn.appMasterEnv.PYSPARK_PYTHON"] == PYTHON
    assert defaults["spark.yarn.appMasterEnv.PYSPARK_DRIVER_PYTHON"] == PYTHON
    assert defaults["spark.executorEnv.PYSPARK_PYTHON"] == PYTHON
    bootstrap = (ROOT / "emr_assets" / "emr_bootstrap.sh").read_text(encoding="utf-8")
    assert f"\nPYTHON=${{PYSPARK_PYTHON:-{PYTHON}}} " in bootstrap  # the libraries go where the jobs look


def test_nothing_that_shows_counts_is_on(defaults) -> None:
    assert session.PRIVATE_SETTINGS.items() <= defaults.items()
    assert defaults["spark.log.level"] == "OFF"
    crashes = {
        option for option in shlex.split(" ".join(session._java_options(small=False, s3=False))) if "-XX" in option
    }
    crashes = {option for option in crashes if "Archive" not in option}
    assert crashes  # no file of a crash may hold cells, as on the laptop
    for process in ("driver", "executor"):
        assert set(shlex.split(defaults[f"spark.{process}.extraJavaOptions"])) == crashes


def test_a_run_is_one_attempt_and_no_catalog_outlives_it(defaults) -> None:
    assert defaults["spark.yarn.maxAppAttempts"] == "1"
    assert defaults["spark.sql.catalogImplementation"] == session._LOCAL_SETTINGS["spark.sql.catalogImplementation"]
    assert "spark.sql.warehouse.dir" not in defaults  # the stack adds its bucket's


def test_logging_is_the_librarys_own_and_more(settings) -> None:
    ours = read(ROOT / "src/dpjobs/backends/spark/conf/log4j2.properties")
    assert ours.items() <= properties(settings, "spark-log4j2").items()


def read(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def written(values: dict[str, str], path: Path) -> Path:
    path.write_text("".join(f"{key} = {value}\n" for key, value in values.items()), encoding="utf-8")
    return path


@pytest.mark.slow
def test_log4j_says_nothing_even_beside_sparks_own_loggers(settings, tmp_path) -> None:
    """Real Log4j, as it lies on the cluster: the file as it is, and merged into the one that is there."""
    use_java()
    ours = properties(settings, "spark-log4j2")
    unfiltered = {key: value for key, value in ours.items() if ".filter." not in key}

    def said(values: dict[str, str]) -> str:
        conf = tmp_path / "log4j2.properties"
        conf.write_text("".join(f"{key} = {value}\n" for key, value in values.items()), encoding="utf-8")
        with (tmp_path / "said").open("w") as heard:  # Log4j's console is standard error
            gateway = JavaGateway.launch_gateway(
                jarpath=str(next(JARS.glob("py4j-*.jar"))),
                classpath=str(JARS / "*"),
                javaopts=[f"-Dlog4j2.configurationFile={conf.as_uri()}"],
                redirect_stderr=heard,
                java_path=f"{os.environ['JAVA_HOME']}/bin/java",
                die_on_exit=True,
            )
        for name in ("org.apache.spark.Task", "org.apache.parquet.Reader", ""):
            gateway.jvm.org.apache.logging.log4j.LogManager.getLogger(name).fatal("cell 17")
        gateway.shutdown()
        gateway.java_process.stdin.close()  # at which it ends
        gateway.java_process.wait(timeout=30)
        return (tmp_path / "said").read_text()

    assert said(ours) == ""
    assert said({**SPARKS_LOGGERS, **ours}) == ""
    # the test can fail: without the filter, Spark's own logger for Parquet speaks
    assert said({**SPARKS_LOGGERS, **unfiltered}) == "cell 17\n"
