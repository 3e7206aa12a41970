"""A real YARN on this machine: Hadoop's own mini cluster, a resource manager and a node manager in one Java.

A container inherits what an EMR node gives it by itself: credentials, region and the way to S3. Nothing of ours goes
by another way than a step's.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import py4j.java_gateway as py4j

from e2e.overrides import CONTAINERS_INHERIT, HADOOP, QUICK, SPARK, YARN
from maven import s3_jars, yarn_jars

_OPENED = ("java.lang", "java.util")


@dataclass(frozen=True)
class Yarn:
    """`conf` is what HADOOP_CONF_DIR names; `logs` has what containers write."""

    conf: Path
    logs: Path
    manager: Any

    def application(self, tag: str) -> str | None:
        """The id of the newest application with this tag."""
        apps = self.manager.getRMContext().getRMApps().values()
        return max((str(app.getApplicationId()) for app in apps if tag in app.getApplicationTags()), default=None)

    def attempts(self, application: str) -> int:
        """How many attempts YARN has made at an application."""
        apps = self.manager.getRMContext().getRMApps().values()
        [app] = [app for app in apps if str(app.getApplicationId()) == application]
        return int(app.getAppAttempts().size())

    def printed(self, application: str) -> dict[str, str]:
        """What an application's containers wrote, by CONTAINER/FILE, the master's first."""
        files = sorted(self.logs.rglob(f"{application}/container_*/std*"))
        return {f"{file.parent.name}/{file.name}": file.read_text(errors="replace") for file in files}


@contextlib.contextmanager
def yarn(home: Path, environment: dict[str, str], s3: dict[str, str]) -> Iterator[Yarn]:
    """Run it for the length of a block; `environment` is the node's, `s3` the settings of S3A."""
    conf = home / "hadoop-conf"
    conf.mkdir()
    with _java(home, environment) as gateway:
        java: Any = gateway.jvm
        settings = java.org.apache.hadoop.conf.Configuration()
        inherited = ",".join(CONTAINERS_INHERIT)
        for name, value in {**HADOOP, **YARN, **s3, "yarn.nodemanager.env-whitelist": inherited}.items():
            settings.set(name, value)
        cluster = java.org.apache.hadoop.yarn.server.MiniYARNCluster("yarn", 1, 1, 1)
        cluster.init(settings)
        try:
            cluster.start()
            _write(gateway, cluster.getConfig(), conf / "yarn-site.xml")
            (conf / "core-site.xml").write_text(_xml({**HADOOP, **s3}))
            yield Yarn(conf, home / "target", cluster.getResourceManager())
        finally:
            with contextlib.suppress(Exception):
                cluster.stop()


@contextlib.contextmanager
def _java(home: Path, environment: dict[str, str]) -> Iterator[py4j.JavaGateway]:
    """A Java with YARN in it, which ends with this process."""
    spark = [str(path) for path in sorted((SPARK / "jars").glob("*.jar"))]
    # in another order Spark's own web proxy clashes with the mini cluster's
    classpath = ":".join([*map(str, yarn_jars()), *spark, *map(str, s3_jars())])
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED]
    command = [
        str(Path(os.environ["JAVA_HOME"]) / "bin" / "java"),
        *QUICK.split(),
        "-Xmx700m",
        *opened,
        "-cp",
        classpath,
    ]
    with (home / "yarn.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "py4j.GatewayServer", "--die-on-broken-pipe", "0"],
            cwd=home,
            env={**environment, "JAVA_HOME": os.environ["JAVA_HOME"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        drained = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        gateway = py4j.JavaGateway(gateway_parameters=py4j.GatewayParameters(port=port))
        try:
            yield gateway
        finally:
            gateway.shutdown()
            drained.kill()
            drained.wait()
    finally:
        process.kill()
        process.wait()


def _write(gateway: py4j.JavaGateway, settings: Any, path: Path) -> None:
    stream = gateway.jvm.java.io.FileOutputStream(str(path))
    settings.writeXml(stream)
    stream.close()


def _xml(settings: dict[str, str]) -> str:
    rows = "".join(f"<property><name>{k}</name><value>{v}</value></property>" for k, v in settings.items())
    return f"<configuration>{rows}</configuration>"
