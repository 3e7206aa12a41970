"""What AWS does behind its API, with clusters: Glue's runs on a standalone Spark, EMR's steps on a real YARN.

Script, library, settings and arguments are those of the deployed resources; what differs is in overrides.py. Logs go
where Glue and EMR put them.
"""

import contextlib
import gzip
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cluster.standalone import standalone
from deploy.runner import Runner, environment_of, last_line
from e2e import overrides
from e2e.yarn import Yarn, yarn
from emr.node import Node

_OUTPUT = "/output"


@dataclass
class Worker(Runner):
    """A runner with clusters, which start with the first run or step that needs them and end with `running`."""

    node: Node | None = None
    applications: dict[str, str] = field(default_factory=dict)
    _clusters: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self) -> Iterator["Worker"]:
        """Run what is started until the end of the block."""
        with self._clusters, super().running():
            yield self

    def python(self, url: str) -> Path:
        """The node's, which the bootstrap action has set up."""
        return self.booted.python

    @property
    def booted(self) -> Node:
        """A node of the cluster, set up; its Glue workers are the same machine."""
        assert self.node is not None
        return self.node

    # Glue

    @cached_property
    def _spark(self) -> str:
        machine = {**self._machine(self.booted.python), "SPARK_DAEMON_MEMORY": "256m"}
        work = self.home / "standalone"
        work.mkdir()
        return self._clusters.enter_context(standalone(work, machine, memory="1g"))

    def _master(self) -> str:
        with self._starting:
            return self._spark

    def _connector(self) -> list[str]:
        log4j = Path(self._machine(self.booted.python)["SPARK_CONF_DIR"]) / "log4j2.properties"
        settings = overrides.glue(self.endpoint, log4j)
        return [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]

    def _glue(self, job: Any, run: Any) -> None:
        super()._glue(job, run)
        done = self.done.get(run.job_run_id)
        if done is not None:
            logs = self.client("logs")
            groups = logs.describe_log_groups(logGroupNamePrefix="/aws-glue/")["logGroups"]
            [group] = [each["logGroupName"] for each in groups if each["logGroupName"].endswith(_OUTPUT)]
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line]
            at = int(run.completed_on.timestamp() * 1000)
            logs.create_log_stream(logGroupName=group, logStreamName=run.job_run_id)
            events = [{"timestamp": at, "message": line} for line in lines]
            if events:
                logs.put_log_events(logGroupName=group, logStreamName=run.job_run_id, logEvents=events)

    # EMR

    @cached_property
    def yarn(self) -> Yarn:
        """The cluster's YARN."""
        home = self.home / "yarn"
        home.mkdir()
        machine = {**environment_of(self.endpoint, self.home), "PATH": "/usr/bin:/bin"}
        return self._clusters.enter_context(yarn(home, machine, overrides.s3(self.endpoint)))

    def _emr(self, cluster: Any, step: Any) -> None:
        """As EMR's command-runner.jar: the step's own words, on a primary node that is set up as deployed."""
        assert step.jar == "command-runner.jar"
        program, *words = step.args
        assert program == "spark-submit"
        with self._starting:
            conf = self.yarn.conf
        properties = self._cluster(cluster.id)
        spark = self._primary(properties, step.id)
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "JAVA_HOME": os.environ["JAVA_HOME"],
            "SPARK_HOME": str(overrides.SPARK),
            "SPARK_CONF_DIR": str(spark),
            "HADOOP_CONF_DIR": str(conf),
            "SPARK_SUBMIT_OPTS": overrides.QUICK,
            **{k: v for k, v in environment_of(self.endpoint, self.home).items() if k.startswith("AWS_")},
        }
        done = self._ran(step.id, [str(overrides.SPARK / "bin" / program), *words], environment)
        if application := self.yarn.application(step.id.lower()):
            self.applications[step.id] = application
        self._log(properties["LogUri"], cluster.id, step.id)
        step.last_state_change_reason = "" if done.returncode == 0 else _emrs_reason(done)
        if step.state == "RUNNING":
            step.state = "COMPLETED" if done.returncode == 0 else "FAILED"

    def _cluster(self, cluster: str) -> dict[str, Any]:
        """A cluster's properties: of the deployed one its template's, of one that was started since its request's."""
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        if any(o["OutputValue"] == cluster for stack in stacks for o in stack.get("Outputs", [])):
            return super()._cluster(cluster)
        told = self.client("emr").describe_cluster(ClusterId=cluster)["Cluster"]
        return {"LogUri": told["LogUri"], "Configurations": _as_in_a_template(told["Configurations"])}

    def _primary(self, properties: dict[str, Any], step: str) -> Path:
        """Spark's folder of settings on the primary node, as EMR writes it from the cluster's configurations."""
        blocks = {block["Classification"]: block for block in properties["Configurations"]}
        here = self.booted.home / overrides.DEPLOYED_PYTHON.lstrip("/")
        folder = self.home / "primary" / step
        folder.mkdir(parents=True)

        def of(block: dict[str, Any]) -> dict[str, str]:
            told = block.get("ConfigurationProperties", {})
            return {k: v.replace(overrides.DEPLOYED_PYTHON, str(here)) for k, v in told.items()}

        staging = self.home / "staging"
        defaults = overrides.emr(of(blocks["spark-defaults"]), staging, step.lower())
        (folder / "spark-defaults.conf").write_text("".join(f"{k} {v}\n" for k, v in defaults.items()))
        [export] = blocks["spark-env"]["Configurations"]
        jars = defaults["spark.driver.extraClassPath"]  # EMR's own spark-env.sh puts its connector there
        lines = [f"export {k}={shlex.quote(v)}\n" for k, v in {**of(export), "SPARK_DIST_CLASSPATH": jars}.items()]
        (folder / "spark-env.sh").write_text("".join(lines))
        log4j = "".join(f"{k} = {v}\n" for k, v in of(blocks["spark-log4j2"]).items())
        (folder / "log4j2.properties").write_text(log4j)
        return folder

    def _log(self, uri: str, cluster: str, step: str) -> None:
        """Copy the logs of the step and of its containers to S3, as EMR does."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        done, application = self.done[step], self.applications.get(step)
        logs = {f"steps/{step}/stdout": done.stdout, f"steps/{step}/stderr": done.stderr}
        if application:
            printed = self.yarn.printed(application).items()
            logs |= {f"containers/{application}/{name}": text for name, text in printed}
        for name, text in logs.items():
            key = f"{prefix.rstrip('/')}/{cluster}/{name}.gz"
            self.client("s3").put_object(Bucket=bucket, Key=key, Body=gzip.compress(text.encode()))

    # what a run is, seen from outside

    def printed(self, id_: str) -> str:
        """What a run's or step's script has written to its standard output."""
        if id_ not in self.applications:
            return self.done[id_].stdout
        printed = self.yarn.printed(self.applications[id_])
        return "".join(text for name, text in printed.items() if name.endswith("/stdout"))

    def kill_spark(self, run_id: str) -> None:
        """SIGKILL the driver of the run with this id: the whole spark-submit of Glue's, YARN's application master."""
        for id_, process in list(self.started.items()):
            if process.poll() is None and run_id in process.args and "cluster" not in process.args:
                self.kill(id_)
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if run_id.encode() in (folder / "cmdline").read_bytes().split(b"\0") and _in_container(folder):
                    os.kill(int(folder.name), signal.SIGKILL)


def _as_in_a_template(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "Classification": block["Classification"],
            "ConfigurationProperties": block.get("Properties") or {},
            "Configurations": _as_in_a_template(block.get("Configurations") or []),
        }
        for block in blocks
    ]


def _emrs_reason(done: subprocess.CompletedProcess[str]) -> str:
    """What EMR tells of a step that failed: the exception at the end of its log, else its last line."""
    thrown = [line for line in done.stderr.splitlines() if line.startswith("Exception in thread")]
    return thrown[-1] if thrown else last_line(done)


def _in_container(folder: Path) -> bool:
    return b"\0CONTAINER_ID=" in b"\0" + (folder / "environ").read_bytes()
