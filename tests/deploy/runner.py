"""What Glue and EMR do with what is deployed and started on a moto server: runs and steps become real spark-submits.

A run gets what the deployed definition says: script, library, arguments, settings, and the packed environment, which
is unpacked and runs driver and workers. Spark and Java are this environment's, as a platform's are its own; nothing
else of it, nor of the checkout, is within a run's reach.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pyspark
from moto.core.utils import utcnow
from moto.emr.models import emr_backends
from moto.glue.models import glue_backends
from moto.moto_api import state_manager

from dpcloud.java import use_java
from emr.node import runnable
from maven import s3_connector

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION = "123456789012", "us-east-1"
SPARK = Path(pyspark.__file__).parent
_AT_ONCE = 4


@dataclass
class Runner:
    """Watches the server of this process; `done` has every spark-submit by its run or step id, `started` its process.

    Here all run on a Spark of their own in one process; e2e.worker gives them clusters.
    """

    endpoint: str
    home: Path
    done: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    started: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _unpacking: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator["Runner"]:
        """Run what is started until the end of the block."""
        use_java()  # JAVA_HOME, which another test may have set, or not
        # runs do not go on by themselves any more
        state_manager.set_transition("glue::job_run", {"progression": "manual", "times": 10**9})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            watcher = threading.Thread(target=self._watch, args=(pool, _known()), daemon=True)
            watcher.start()
            try:
                yield self
            finally:
                self._stop.set()
                watcher.join()
        state_manager.unset_transition("glue::job_run")
        shutil.rmtree(self.home / "unpacked", ignore_errors=True)  # most of a gigabyte

    def _watch(self, pool: ThreadPoolExecutor, taken: set[str]) -> None:
        while not self._stop.wait(0.2):
            for job in list(glue_backends[ACCOUNT][REGION].jobs.values()):
                for run in list(job.job_runs):
                    if run.status == "STOPPED":
                        self.kill(run.job_run_id)
                    if run.job_run_id not in taken:
                        taken.add(run.job_run_id)
                        run.status = "RUNNING"
                        pool.submit(self._glue, job, run)
            for cluster in list(emr_backends[ACCOUNT][REGION].clusters.values()):
                for step in list(cluster.steps):
                    if step.id not in taken:
                        taken.add(step.id)
                        step.state = "RUNNING"
                        pool.submit(self._step, cluster, step)

    def _glue(self, job: Any, run: Any) -> None:
        try:
            done = self.glue_run(run.job_run_id, job.name, job.command["ScriptLocation"], dict(run.arguments))
        except BaseException as error:  # else the run would be RUNNING for good
            run.error_message, run.status = f"the tests' runner: {type(error).__name__}: {error}", "FAILED"
            raise
        run.completed_on = datetime.now(UTC)
        if run.status == "RUNNING":  # else it was stopped
            run.error_message = "" if done.returncode == 0 else last_line(done)
            run.status = "SUCCEEDED" if done.returncode == 0 else "FAILED"

    def glue_run(
        self, run_id: str, job: str, script: str, arguments: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """As Glue: every argument by name and value, the library on the path, --conf taken for Spark's settings.

        Glue puts names of its own before and after ours, and leaves the value of a name that it takes away.
        """
        conf = [word for setting in arguments["--conf"].split(" --conf ") for word in ("--conf", setting)]
        own = ("--scriptLocation", "--job-bookmark-option", "--TempDir")
        words = [word for name, value in arguments.items() if name not in own for word in (name, value)]
        first = ["--job-bookmark-option", arguments.get("--job-bookmark-option", "job-bookmark-disable")]
        return self._submit(
            run_id,
            self.python(arguments["--python-virtual-env"]),
            [*conf, "--py-files", self._fetched(arguments["--extra-py-files"])],
            [self._fetched(script), *first, "--JOB_ID", "j_0", "true", *words],
            ["--JOB_RUN_ID", run_id, "--JOB_NAME", job, "--TempDir", arguments.get("--TempDir", "")],
        )

    def _step(self, cluster: Any, step: Any) -> None:
        try:
            step.start_date_time = utcnow()
            self._emr(cluster, step)
            step.end_date_time = utcnow()
        except BaseException as error:
            step.last_state_change_reason = f"the tests' runner: {type(error).__name__}: {error}"
            step.state = "FAILED"
            raise

    def _emr(self, cluster: Any, step: Any) -> None:
        """As EMR: the step's own words behind the cluster's spark-defaults, but on this machine."""
        program, mode, cluster_mode, option, library, script, *words = step.args
        assert (step.jar, program, mode, cluster_mode, option) == (
            "command-runner.jar", "spark-submit", "--deploy-mode", "cluster", "--py-files",
        )  # fmt: skip
        properties = self._cluster(cluster.id)
        defaults = {
            name: value
            for block in properties["Configurations"]
            if block["Classification"] == "spark-defaults"
            for name, value in block["ConfigurationProperties"].items()
        }
        [bootstrap] = properties["BootstrapActions"]
        conf = [
            word
            for name, value in defaults.items()
            if not name.endswith("PYTHON")
            for word in ("--conf", f"{name}={value}")
        ]
        done = self._submit(
            step.id,
            self.python(bootstrap["ScriptBootstrapAction"]["Args"][0]),
            [*conf, "--py-files", self._fetched(library)],
            [self._fetched(script), *words],
            [],
        )
        step.last_state_change_reason = "" if done.returncode == 0 else last_line(done)
        step.state = "COMPLETED" if done.returncode == 0 else "FAILED"

    def python(self, url: str) -> Path:
        """The interpreter of the deployed archive, unpacked once in a folder of its own."""
        with self._unpacking:
            place = self.home / "unpacked"
            if not place.exists():
                (self.home / "archive").mkdir()
                archive = runnable(Path(self._fetched(url)), self.home / "archive")
                place.mkdir()
                subprocess.run(["tar", "-xzf", archive, "-C", place], check=True)
        return place / "bin" / "python"

    def _cluster(self, cluster: str) -> dict[str, Any]:
        """The deployed cluster's properties; moto keeps few of them."""
        from deploy.conftest import resolved_resources

        formation = self.client("cloudformation")
        [stack] = {
            s["StackName"]
            for s in formation.describe_stacks()["Stacks"]
            for o in s.get("Outputs", [])
            if o["OutputValue"] == cluster
        }
        [properties] = resolved_resources(formation, stack, "AWS::EMR::Cluster")
        return properties

    def _submit(self, id_: str, python: Path, *words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        options, script, own = words
        first = [str(SPARK / "bin" / "spark-submit"), "--master", self._master(), *self._connector()]
        environment = self._machine(python)
        # not from the project's root, where the library could be found without the zip
        return self._ran(id_, [*first, *options, *script, *own], environment)

    def _ran(self, id_: str, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started[id_] = process
        out, err = process.communicate(timeout=900)
        print(f"{id_}: exit {process.returncode} after {time.monotonic() - began:.0f} s")
        self.done[id_] = subprocess.CompletedProcess(command, process.returncode, out, err)
        return self.done[id_]

    def kill(self, id_: str) -> None:
        """Kill the spark-submit of a run or step, and all that it has started; nothing where it has ended."""
        process = self.started.get(id_)
        if process and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _master(self) -> str:
        return "local[2]"

    def _machine(self, python: Path) -> dict[str, str]:
        """The environment of a machine whose Python this is."""
        return {
            **environment_of(self.endpoint, self.home),
            "PATH": "/usr/bin:/bin",
            "JAVA_HOME": os.environ["JAVA_HOME"],
            "SPARK_HOME": str(SPARK),
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": str(python),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # quick to start
            "SPARK_CONF_DIR": str(ROOT / "src/dpjobs/backends/spark/conf"),
        }

    def _connector(self) -> list[str]:
        """The settings by which a Spark of our own reads s3:// from the server, as EMR's and Glue's do from S3."""
        cache = s3_connector()
        jars = sorted(str(path) for path in (cache / "jars").glob("*.jar"))
        # Spark's resolver takes seconds, every time
        which = (
            {"spark.jars": ",".join(jars)} if jars else {"spark.jars.packages": "org.apache.hadoop:hadoop-aws:3.3.4"}
        )
        settings = {
            **which,
            "spark.jars.ivy": str(cache),
            "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
            "spark.hadoop.fs.s3a.endpoint": self.endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.endpoint.region": REGION,
            "spark.driver.memory": "1g",
            "spark.sql.shuffle.partitions": "2",
        }
        return [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]

    def _fetched(self, url: str) -> str:
        """Copy an object to this machine, as the platforms do before they start Spark; a path is one already."""
        if not url.startswith("s3://"):
            return url
        bucket, key = url.removeprefix("s3://").split("/", 1)
        path = self.home / key
        if not path.exists():
            partial = path.with_name(f"{threading.get_ident()}-{path.name}")
            self.client("s3").download_file(bucket, key, str(partial))
            partial.rename(path)
        return str(path)

    def client(self, service: str) -> Any:
        """A boto3 client of the server."""
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
        return boto3.session.Session().client(service, endpoint_url=self.endpoint, **keys)


def _known() -> set[str]:
    """The runs and steps that are there already: another runner's."""
    runs = (run.job_run_id for job in glue_backends[ACCOUNT][REGION].jobs.values() for run in job.job_runs)
    clusters = emr_backends[ACCOUNT][REGION].clusters.values()
    return {*runs, *(step.id for cluster in clusters for step in cluster.steps)}


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Spark hands a script's standard error on as its own standard output."""
    return ([line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["no output"])[-1]


def environment_of(endpoint: str, home: Path) -> dict[str, str]:
    """The environment of a user whose AWS is the moto server."""
    return {
        "HOME": str(home),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CI": "true",
    }
