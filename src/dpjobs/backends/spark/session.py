"""Spark for a private job: a local session for the laptop, and the settings every platform gets."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import SparkSession

from dpjobs import scratch
from dpjobs.errors import InputError

HADOOP_AWS = "org.apache.hadoop:hadoop-aws:3.3.4"
"""The S3 connector that belongs to the Hadoop in pyspark 3.5.6; fetched from Maven Central when needed."""

# Everything that would show a number of the raw table, or turn a hostile cell into a failed job, is off.
RUNTIME_SETTINGS = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # Dates before 1582 and times before 1900 would fail a job where a file does not say which calendar it means.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}
# Spark's pages and its event log show exact row counts.
PRIVATE_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.eventLog.enabled": "false",
}
_LOCAL_SETTINGS = {
    **PRIVATE_SETTINGS,
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
    # Not the file system with checksums: a stale `.NAME.crc` beside a file, where one row more makes it stale, or a
    # colon in a name, fails the job. Not on clusters: writing to S3 needs the other.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Other users of this machine reach its ports, too. Spark makes the secret by itself, in Java's memory alone.
    "spark.authenticate": "true",
}


def apply_settings(spark: SparkSession) -> None:
    """Set on a running session what a job depends on, whatever the platform's defaults are."""
    for key, value in RUNTIME_SETTINGS.items():
        spark.conf.set(key, value)


@contextlib.contextmanager
def local_session(
    home: Path,
    *,
    s3: bool = False,
    memory: str = "2g",
    small: bool = False,
) -> Iterator[SparkSession]:
    """Start Spark in this process on all cores, silent, and remove its temporary files at the end.

    `home` is where the S3 connector is cached, `memory` the driver's heap; `small` trades the JVM's top speed
    for a quick start.
    Raises InputError when Spark does not start. The engine's temporary tables lie in a private folder of the
    system's temporary one.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}
    with scratch.folder() as private:
        settings = {
            **_LOCAL_SETTINGS,
            **RUNTIME_SETTINGS,
            "spark.driver.memory": memory,
            "spark.driver.extraJavaOptions": " ".join(_java_options(small, s3)),
            "spark.local.dir": str(private / "local"),
            "spark.sql.warehouse.dir": (private / "warehouse").as_uri(),
            **(_s3_settings(home) if s3 else {}),
        }
        spark = _start(settings, private)
        patience = _INTERRUPTED_SECONDS
        try:
            _end_safely(spark, before)
            yield spark
            patience = _DONE_SECONDS
        finally:
            with _undisturbed(before):
                _stop(spark, patience)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DONE_SECONDS, _INTERRUPTED_SECONDS = 60.0, 3.0
"""How long Spark may take to stop: when all is done, and when somebody waits for their prompt."""


def _end_safely(spark: SparkSession, handlers: dict[signal.Signals, Any]) -> None:
    """Give signals their handlers back, Spark's own for Ctrl-C among them, and make them safe while Java works.

    A handler that raises leaves this thread's connection to Java with an answer that nobody waits for, which the
    next call would take for its own: so that connection is forgotten. Spark's handler would ask Java over it, which
    fails, and its error would stand in for the interruption.
    """
    connections: Any = spark.sparkContext._gateway._gateway_client  # type: ignore[union-attr]

    def forgetting(number: int, frame: object) -> None:
        connections.thread_connection.connection = None
        handlers[signal.Signals(number)](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, forgetting if callable(handler) else handler)


@contextlib.contextmanager
def _undisturbed(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    """Ignore Ctrl-C while Spark stops, which takes seconds at most; then the handlers are what they were."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop(spark: SparkSession, patience: float) -> None:
    """Stop Spark and what it still works on, from a thread that waits for no other answer; if that hangs, Java."""
    java: Any = spark.sparkContext._gateway.proc  # type: ignore[union-attr]

    def stop() -> None:
        with contextlib.suppress(Exception):
            spark.stop()

    stopping = threading.Thread(target=stop, daemon=True)
    with silent():
        stopping.start()
        stopping.join(timeout=patience)
        if stopping.is_alive():
            java.kill()


def _start(settings: dict[str, str], empty: Path) -> SparkSession:
    # a Spark or Hadoop that this machine has besides must not lend its settings, nor stand in for ours
    for name in (
        "PYSPARK_SUBMIT_ARGS",
        "PYSPARK_GATEWAY_PORT",
        "HADOOP_CONF_DIR",
        "YARN_CONF_DIR",
        "SPARK_LOCAL_DIRS",
    ):
        os.environ.pop(name, None)
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_CONF_DIR"] = str(empty)
    builder = SparkSession.builder.master("local[*]").appName("dpcloud")
    for key, value in settings.items():
        builder = builder.config(key, value)
    before = _children()
    try:
        # The JVM and its Python workers inherit these for their whole life, and must not write there.
        with silent():
            return builder.getOrCreate()
    except Exception:  # the library's text names Java internals, not what the user can do
        java = os.environ.get("JAVA_HOME", "java")
        raise InputError.of("Spark did not start", java, "a working Java 17 with 2 GiB of free memory") from None
    except BaseException:  # a signal: Java would find nobody to tell its port to, and wait for ever
        for child in _children() - before:
            with contextlib.suppress(OSError):
                os.killpg(child, signal.SIGKILL) if os.getpgid(child) == child else os.kill(child, signal.SIGKILL)
        raise


def _children() -> set[int]:
    children: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children |= {int(child) for child in task.read_text().split()}
    return children


_SYSTEM_TRUST = Path("/etc/ssl/certs/java/cacerts")


def _java_options(small: bool, s3: bool) -> list[str]:
    options = [f"-Dlog4j2.configurationFile={(Path(__file__).parent / 'conf' / 'log4j2.properties').as_uri()}"]
    options.append("-XX:ErrorFile=/dev/null -XX:-CreateCoredumpOnCrash")  # either could hold cells of the table
    if s3 and _SYSTEM_TRUST.exists():  # the wheel's Java does not know the authorities that this machine trusts
        options.append(f"-Djavax.net.ssl.trustStore={_SYSTEM_TRUST}")
    if small:
        options.append("-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
    return options


def _s3_settings(home: Path) -> dict[str, str]:
    """S3 through the connector S3A; AWS_ENDPOINT_URL and AWS_REGION are honoured as in every AWS tool."""
    settings = {
        "spark.jars.packages": HADOOP_AWS,
        "spark.jars.ivy": str(home / "ivy"),
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        settings["spark.hadoop.fs.s3a.endpoint"] = endpoint
        settings["spark.hadoop.fs.s3a.path.style.access"] = "true"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        settings["spark.hadoop.fs.s3a.endpoint.region"] = region
    return settings


_silence = threading.Lock()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Point this process's standard output and error, and those of what it starts, at nothing for a while."""
    with _silence:
        sys.stdout.flush()
        sys.stderr.flush()
        saved = [(fd, os.dup(fd)) for fd in (1, 2)]
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            for fd, _ in saved:
                os.dup2(nothing, fd)
            yield
        finally:
            for fd, copy in saved:
                os.dup2(copy, fd)
                os.close(copy)
            os.close(nothing)
