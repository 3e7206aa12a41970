"""A Spark cluster of its own on this machine: a master and workers, processes that end with the block."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def standalone(work: Path, environment: dict[str, str], workers: int = 2, memory: str = "900m") -> Iterator[str]:
    """Start a master and workers of one core each, and give the address of the master.

    `environment` is the machines' own, with SPARK_HOME; executors inherit it.
    """
    port = free_port()
    url = f"spark://127.0.0.1:{port}"
    start = [str(Path(environment["SPARK_HOME"]) / "bin" / "spark-class")]
    pages = [["--webui-port", str(free_port())] for _ in range(workers + 1)]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), *pages[0]]
    daemons = [subprocess.Popen([*start, *master], **options)]
    try:
        _wait_for(port)
        for i in range(workers):
            worker = ["org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", memory, *pages[i + 1]]
            daemons.append(subprocess.Popen([*start, *worker, "--work-dir", str(work / str(i)), url], **options))
        yield url
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=30)


def free_port() -> int:
    """A port that nobody has taken yet."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the standalone master did not come up in 30 s")
