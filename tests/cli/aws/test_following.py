"""Ctrl-C while a run is followed, its logs, and what becomes of a run that nobody waits for."""

import gzip
import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cli.aws.account import BUCKET, PREFIX, Aws
from cli.aws.test_cloud_run import QUESTION, typed
from dpcloud.aws.stacks import Deployment
from dpcloud.cloud import following
from dpcloud.targets.base import CloudRun, Phase
from dpcloud.targets.emr import Emr

WORDS = [sys.executable, "-m", "dpcloud", "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--run-id"]


def started(aws: Aws, deadline: float = 60) -> None:
    """Wait until the job run is there."""
    until = time.monotonic() + deadline
    while not aws.client("glue").get_job_runs(JobName="dp-pipelinedp")["JobRuns"]:
        assert time.monotonic() < until
        time.sleep(0.1)


def interrupted(aws: Aws, run_id: str, answer: str | None) -> tuple[int, str]:
    """Ctrl-C at a terminal, and what is typed then; None: no terminal. Returns exit code and what was said."""
    aws.hold.set()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*WORDS, run_id],
        stdin=theirs if answer is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    started(aws)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    if answer is not None:
        os.write(ours, f"{answer}\n".encode())
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    assert out == ""
    return process.returncode, err


def test_ctrl_c_asks_once_and_leaves_the_run_going(aws: Aws, capfd: pytest.CaptureFixture[str]) -> None:
    code, said = interrupted(aws, "left", "n")
    assert code == 130
    assert said.count("stop the run, too?") == 1
    assert said.splitlines()[-1].endswith(
        "dpcloud: was interrupted; the run goes on: `dpcloud status left --stack dp`, "
        "`dpcloud result left --stack dp`"
    )
    aws.hold.clear()
    shown, _ = typed(capfd, *WORDS[3:], "left")  # the same command follows the very run
    assert "run id left" in shown
    assert len(aws.started) == 1


def test_a_step_that_is_stopped_at_ctrl_c_says_what_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Stopped(Emr):
        def stop(self, run: CloudRun) -> None:
            pass

        def look(self, run: CloudRun) -> CloudRun:
            return replace(run, state="CANCELLED", phase=Phase.STOPPED)

    class Nothing:
        def find(self, _: str) -> None:
            pass

    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    run = CloudRun(target="emr", run_id="one", platform_id="j/s", state="RUNNING", phase=Phase.RUNNING)
    said = following._interrupted(Stopped(Deployment(PREFIX)), run, Nothing())
    assert said.startswith("was interrupted; the run is stopped; nothing is spent; where it ran already, its driver")


def test_the_question_stands_still_on_a_terminal(aws: Aws) -> None:
    """The moving line would be drawn over it, and take the [y/N] away."""
    aws.hold.set()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*WORDS, "still"],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(theirs)
    said = ""
    try:
        for sign, act in (
            ("glue: STARTING", lambda: process.send_signal(signal.SIGINT)),
            ("(else it goes on) [y/N]: ", lambda: (time.sleep(0.5), os.write(ours, b"n\n"))),
            ("was interrupted; the run goes on", lambda: None),
        ):
            until = time.monotonic() + 60
            while sign not in said:
                assert select.select([ours], [], [], until - time.monotonic())[0], said
                said += os.read(ours, 4096).decode()
            act()
        assert "STARTING" not in said.partition("stop the run, too?")[2]
        assert process.wait(60) == 130
    finally:
        process.kill()
        os.close(ours)


def test_ctrl_c_without_a_terminal_asks_nothing(aws: Aws) -> None:
    code, said = interrupted(aws, "scripted", None)
    assert code == 130
    assert said.splitlines()[-1] == (
        "dpcloud: was interrupted; the run goes on: `dpcloud status scripted --stack dp`, "
        "`dpcloud result scripted --stack dp`, or `dpcloud stop scripted --stack dp`"
    )


def test_a_laptop_that_dies_has_lost_nothing(aws: Aws, capfd: pytest.CaptureFixture[str]) -> None:
    aws.hold.set()
    process = subprocess.Popen([*WORDS, "alone"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started(aws)
    process.kill()
    process.wait()
    aws.hold.clear()
    until = time.monotonic() + 30
    while not ((row := aws.ledger.find("alone")) and row.release):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert "run id alone" in typed(capfd, "result", "alone", "--stack", PREFIX)[0]


def test_the_logs_of_a_step_are_its_own_and_its_drivers(aws: Aws, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = aws.cluster()
    aws.hold.set()
    run_id = typed(capfd, "run", "--on", "emr", *QUESTION, "--epsilon", "0.5", "--no-wait")[0].strip()
    assert (
        "no log has arrived yet (EMR brings logs every five minutes)"
        in typed(capfd, "logs", run_id, "--stack", PREFIX)[1]
    )
    [step] = aws.client("emr").list_steps(ClusterId=cluster)["Steps"]
    root, application = f"emr/cluster-logs/{cluster}", "application_1700000000000_0001"
    for key, text in (
        (f"steps/{step['Id']}/stderr.gz", f"Submitted application {application}\n"),
        (f"steps/{step['Id']}/controller.gz", "not ours\n"),
        (f"containers/{application}/container_1700000000000_0001_01_000001/stderr.gz", "the driver's line\n"),
        (f"containers/{application}/container_1700000000000_0001_01_000002/stderr.gz", "an executor's line\n"),
        ("containers/application_1700000000000_0002/container_1700000000000_0002_01_000001/stderr.gz", "another's\n"),
    ):
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"{root}/{key}", Body=gzip.compress(text.encode()))
    shown, _ = typed(capfd, "logs", run_id, "--stack", PREFIX)
    assert shown.splitlines() == [f"Submitted application {application}", "the driver's line"]


def test_the_logs_of_a_job_run(aws: Aws, capfd: pytest.CaptureFixture[str]) -> None:
    aws.hold.set()
    run_id = typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--no-wait")[0].strip()
    [run] = aws.client("glue").get_job_runs(JobName="dp-pipelinedp")["JobRuns"]
    logs, now = aws.client("logs"), int(time.time() * 1000)
    for group, stream, text in (
        ("/aws-glue/dp/security-role/role/output", f"{run['Id']}", "the release"),
        ("/aws-glue/dp/security-role/role/output", "jr_of_another", "not ours"),
        ("/aws-glue/dpother/role/output", f"{run['Id']}", "not of this deployment"),
    ):
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now, "message": text}])
    for name in (run_id, run["Id"]):
        assert typed(capfd, "logs", name, "--stack", PREFIX)[0] == "the release\n"
    for group in ("/aws-glue/dp/security-role/role/output", "/aws-glue/dpother/role/output"):
        logs.delete_log_group(logGroupName=group)


def test_copies_are_made_here_as_for_a_run_here(aws: Aws, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    typed(capfd, "run", "--on", "glue", *QUESTION, "--epsilon", "0.5", "--output", str(tmp_path))
    [copy] = tmp_path.glob("run-*.json")
    assert copy.read_text() == aws.ledger.find(copy.stem).release + "\n"
