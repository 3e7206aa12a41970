"""What is started on the deployment: two Glue jobs and two EMR steps, and runs that try to get round the rules."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from dpjobs.errors import DpError
from smoke.account import code_of
from smoke.checks import Run, Seen
from smoke.questions import ask, ask_badly
from smoke.settings import COLUMN, ENGINES, EPSILON, LOWER, QUESTION, RUN_SECONDS, TOTAL, UPPER

_DONE = {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"}  # Glue's
_DONE |= {"COMPLETED", "CANCELLED", "INTERRUPTED"}  # EMR's, besides
_BUSY_SECONDS = 300
"""How long Glue may still count a run that has ended."""

MOVED, RENAMED, UNKNOWN = "--ledger as an argument", "--ledger=x as a name", "a table without a total"
"""The names of the runs that try to get round the rules."""
ASKED, BADLY_ASKED = "a question by the command line", "a question of another shape"
"""The names of what goes through the door."""


def prepare(seen: Seen) -> None:
    """Upload the table and set its total, with the command that users type. Raises DpError or ClientError."""
    bucket = seen.deployment.outputs["BucketName"]
    key = f"data/{seen.table.path.name}"
    seen.progress.say(f"uploading {seen.table.what}")
    seen.account.client("s3").upload_file(str(seen.table.path), bucket, key)
    seen.address = f"s3://{bucket}/{key}"
    untold = f"data/untold/{seen.table.path.name}"  # nobody gives it a total
    seen.account.client("s3").copy({"Bucket": bucket, "Key": key}, bucket, untold)
    seen.untold = f"s3://{bucket}/{untold}"
    words = ["budget", "set", "--stack", seen.deployment.prefix, "--file", seen.address, "--total", str(TOTAL)]
    done = subprocess.run(
        [sys.executable, "-m", "dpcloud.cli", *words],
        env=seen.account.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise DpError(f"`dpcloud budget set` failed: {done.stderr.strip()}")


def start_and_wait(seen: Seen) -> None:
    """Run both jobs and both steps at once, then what tries to get round the rules; an error is kept in its run."""
    if seen.account.lacks("runs"):
        return
    for engine in ENGINES:
        seen.glue_runs[engine] = _glue(seen, f"Glue run {engine}", engine, {})
        seen.steps[engine] = _step(seen, f"step {engine}", engine)
    _wait(seen, [*seen.glue_runs.values(), *seen.steps.values()])
    tumult, pipelinedp = ENGINES
    first = seen.glue_runs[pipelinedp]
    if not first.succeeded:
        return
    again = {"--run_id": first.run_id}  # its release is in our ledger and in no other, and costs nothing again
    seen.probes[MOVED] = _glue(seen, f"Glue run with {MOVED}", pipelinedp, {**again, "--ledger": "x"})
    seen.probes[RENAMED] = _glue(seen, f"Glue run with {RENAMED}", tumult, {"--ledger=x": "y"})
    _wait(seen, seen.probes.values())
    seen.asked[ASKED] = ask(seen)
    seen.asked[BADLY_ASKED] = ask_badly(seen)
    seen.probes[UNKNOWN] = _glue(seen, f"Glue run on {UNKNOWN}", pipelinedp, {"--s3_file": seen.untold})
    _wait(seen, [seen.probes[UNKNOWN]])


def stop_all(seen: Seen) -> None:
    """Stop what still runs, so that it costs no more; errors do not matter, since all is taken away next.

    The cluster's steps end with the cluster.
    """
    for run in (*seen.glue_runs.values(), *seen.probes.values()):
        if run.platform_id and run.state not in _DONE:
            try:
                seen.account.client("glue").batch_stop_job_run(JobName=_job(run), JobRunIds=[run.run_id])
            except (ClientError, BotoCoreError):
                seen.progress.say(f"{run.name} could not be stopped: its timeout ends it")


def _started(seen: Seen, name: str, start: Callable[[Run], None]) -> Run:
    run = Run(name, run_id="", releases="")
    try:
        start(run)
        run.state = "started"
        seen.progress.say(f"{name}: started as {run.platform_id}")
    except ClientError as error:
        run.message = f"AWS refuses to start it: {code_of(error)}"
    except (BotoCoreError, TimeoutError, KeyError) as error:
        run.message = f"{type(error).__name__}: {error}"
    return run


def _glue(seen: Seen, name: str, engine: str, extra: dict[str, str]) -> Run:
    def start(run: Run) -> None:
        glue = seen.account.client("glue")
        job = f"{seen.deployment.prefix}-{engine}"
        run.releases = glue.get_job(JobName=job)["Job"]["NonOverridableArguments"]["--releases"]
        arguments = {**QUESTION, "--s3_file": seen.address, **extra}
        run.run_id = _when_free(seen, lambda: glue.start_job_run(JobName=job, Arguments=arguments)["JobRunId"])
        run.platform_id = f"{job}/{run.run_id}"

    return _started(seen, name, start)


def _when_free(seen: Seen, start: Callable[[], str]) -> str:
    """Start a run; Glue counts one that has ended as running for a little while."""
    began = time.monotonic()
    while True:
        try:
            return start()
        except ClientError as error:
            if code_of(error) != "ConcurrentRunsExceededException" or time.monotonic() - began > _BUSY_SECONDS:
                raise
        time.sleep(seen.progress.every)


def _step(seen: Seen, name: str, engine: str) -> Run:
    return _started(seen, name, lambda run: _add_step(seen, run, engine))


def _add_step(seen: Seen, run: Run, engine: str) -> None:
    first = seen.deployment.outputs[ENGINES[engine]].split(",")
    run.releases = first[first.index("--releases") + 1]
    run.run_id = f"{seen.deployment.prefix}-emr-{engine}"
    question = ["-q", QUESTION["--query"], "-c", COLUMN, "-e", str(EPSILON), "-f", seen.address]
    bounds = ["--lower", str(LOWER), "--upper", str(UPPER), "--run_id", run.run_id]
    step = {
        "Name": run.run_id,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["spark-submit", *first, *question, *bounds]},
    }
    cluster = seen.deployment.outputs["ClusterId"]
    added = seen.account.client("emr").add_job_flow_steps(JobFlowId=cluster, Steps=[step])
    run.platform_id = f"{cluster}/{added['StepIds'][0]}"


def _wait(seen: Seen, runs: Iterable[Run]) -> None:
    """Wait until all have ended; one that takes too long keeps its last state, and the reason as its message."""
    for run in runs:
        if not run.platform_id:
            continue
        look = _look_at_step if run.name.startswith("step") else _look_at_glue
        try:
            seen.progress.wait(run.name, partial(look, seen, run), _DONE.__contains__, RUN_SECONDS)
        except (TimeoutError, BotoCoreError) as error:
            run.message = str(error)
        except ClientError as error:
            run.message = f"AWS answers {code_of(error)} when asked for its state"


def _job(run: Run) -> str:
    return run.platform_id.partition("/")[0]


def _look_at_glue(seen: Seen, run: Run) -> str:
    told = seen.account.client("glue").get_job_run(JobName=_job(run), RunId=run.run_id)["JobRun"]
    run.state, run.message = told["JobRunState"], told.get("ErrorMessage", "")
    return run.state


def _look_at_step(seen: Seen, run: Run) -> str:
    cluster, _, step = run.platform_id.partition("/")
    told = seen.account.client("emr").describe_step(ClusterId=cluster, StepId=step)["Step"]["Status"]
    details = told.get("FailureDetails") or {}
    reason = details.get("Message") or details.get("Reason") or (told.get("StateChangeReason") or {}).get("Message")
    run.state, run.message = told["State"], reason or ""
    return run.state


def release_place(run: Run) -> tuple[str, str]:
    """Return bucket and key of the copy of a run's release."""
    place = urlsplit(run.releases)
    return place.netloc, f"{place.path.lstrip('/').rstrip('/')}/{run.run_id}.json"
