"""What is asked through the door: one question by the command that people type, and one of another shape."""

import json
import subprocess
import sys
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from smoke.account import code_of
from smoke.checks import Run, Seen
from smoke.settings import COLUMN, EPSILON, LOWER, RUN_SECONDS, UPPER

_RELEASES = "releases/glue/"


def ask(seen: Seen) -> Run:
    """Type `dpcloud run --on glue`, and wait for what it prints."""
    prefix = seen.deployment.prefix
    run = Run(
        "`dpcloud run --on glue`", f"{prefix}-asked", f"s3://{seen.deployment.outputs['BucketName']}/{_RELEASES}"
    )
    words = ["--on", "glue", "--stack", prefix, "--file", seen.address, "--query", "MEAN", "--column", COLUMN]
    words += [
        "--epsilon",
        str(EPSILON),
        "--lower",
        str(LOWER),
        "--upper",
        str(UPPER),
        "--run-id",
        run.run_id,
        "--json",
    ]
    seen.progress.say(f"{run.name}: started")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dpcloud.cli", "run", *words],
            env=seen.account.environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        run.message = "it took too long"
        return run
    run.state = "SUCCEEDED" if done.returncode == 0 else f"exit code {done.returncode}"
    run.printed, run.message = done.stdout, done.stderr.strip()
    seen.progress.say(f"{run.name}: {run.state}")
    return run


def ask_badly(seen: Seen) -> Run:
    """Start an execution whose column is the name of an argument, and wait for its end."""
    run = Run("a question of another shape", f"{seen.deployment.prefix}-bad", "")
    question = {
        "run_id": run.run_id,
        "engine": "pipelinedp",
        "s3_file": seen.address,
        "query": "MEAN",
        "column_name": "--ledger",
        "epsilon": str(EPSILON),
        **dict.fromkeys(("lower", "upper", "format", "bounds_share", "check_share", "confidence"), "none"),
    }
    machines = seen.account.client("stepfunctions")
    try:
        machine = seen.deployment.outputs["AskMachineArn"]
        started = machines.start_execution(stateMachineArn=machine, name=run.run_id, input=json.dumps(question))
        run.platform_id = started["executionArn"]
        seen.progress.wait(run.name, partial(_look, seen, run), lambda state: state != "RUNNING", RUN_SECONDS)
    except ClientError as error:
        run.message = f"AWS refuses it: {code_of(error)}"
    except (BotoCoreError, KeyError, TimeoutError) as error:
        run.message = f"{type(error).__name__}: {error}"
    return run


def _look(seen: Seen, run: Run) -> str:
    told = seen.account.client("stepfunctions").describe_execution(executionArn=run.platform_id)
    run.state, run.message = told["status"], told.get("cause", "")
    return run.state
