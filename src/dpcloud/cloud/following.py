"""Following a run that AWS has: a line that moves, one question at Ctrl-C, and what it ended with."""

import sys
import time
from datetime import timedelta
from decimal import Decimal

import click

from dpcloud.aws.errors import AwsError
from dpcloud.progress import saying
from dpcloud.targets.base import CloudRun, Phase, Target
from dpjobs.errors import DpError, InterruptError, LedgerError, RunError
from dpjobs.ledger import Ledger

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 10.0


def follow(target: Target, run: CloudRun, ledger: Ledger, progress: bool | None) -> CloudRun:
    """Wait until a run is over, and return it as it ended.

    Raises RunError when AWS does not say any more what it does, and InterruptError after Ctrl-C, which asks once
    whether to stop the run.
    """
    pause, began, said = _FIRST_PAUSE_SECONDS, time.monotonic(), ""
    try:
        with saying(progress) as say:  # which has ended when a question is asked: it would be drawn over
            while not run.phase.over:
                say(line_of(run, time.monotonic() - began), run.state != said)
                said = run.state
                time.sleep(pause)
                pause = min(pause * 1.3, _LONGEST_PAUSE_SECONDS)
                run = target.look(run)
    except AwsError as error:
        later = f"the run goes on in AWS, and pays once: `dpcloud status {run.name}`, `dpcloud result {run.name}`"
        raise RunError(f"{error}; {later}") from None
    except KeyboardInterrupt:
        raise InterruptError(_interrupted(target, run, ledger)) from None
    return run


def line_of(run: CloudRun, waited: float | None = None) -> str:
    """Return state, elapsed time and cost so far."""
    seconds = run.seconds or waited or 0.0
    cost = "" if run.usd is None else f", {usd(run.usd)} USD so far"
    return f"{run.target}: {run.state}, {elapsed(seconds)}{cost}"


def elapsed(seconds: float) -> str:
    """Write a time as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


def usd(amount: Decimal) -> str:
    """Write an amount in cents."""
    return f"{amount:.2f}"


def spent_of(run_id: str, ledger: Ledger, again: str | None = None) -> str:
    """Say what a run has spent, as far as the ledger can be read; `again` is what is typed to go on with it."""
    try:
        row = ledger.find(run_id)
    except LedgerError:
        return f"whether its epsilon is spent is in doubt: `dpcloud status {run_id}`; the same run id pays once"
    if row is None:
        return "nothing is spent"
    again = again or f"the same question, by its one engine, with --run-id {run_id}"
    return f"its epsilon {row.epsilon} stays spent; {again} pays no more"


def failure(run: CloudRun, ledger: Ledger, again: str) -> RunError:
    """Say why a run failed, in a line: the reason, what is spent, and where the whole log is."""
    reason = f": {run.reason}" if run.reason else ""
    spent = spent_of(run.name, ledger, again)
    return RunError(
        f"the run is {run.state}{reason}; {spent}; the whole log, for who may read it: `dpcloud logs {run.name}`"
    )


def _interrupted(target: Target, run: CloudRun, ledger: Ledger) -> str:
    going_on = f"was interrupted; the run goes on: `dpcloud status {run.name}`, `dpcloud result {run.name}`"
    if not sys.stdin.isatty():
        return f"{going_on}, or `dpcloud stop {run.name}`"
    try:
        if not click.confirm("\nstop the run, too? (else it goes on)", default=False, err=True):
            return going_on
        target.stop(run)
        while not (run := target.look(run)).phase.over:
            time.sleep(_FIRST_PAUSE_SECONDS)
    except (KeyboardInterrupt, click.Abort):
        return going_on
    except DpError as error:
        return f"{going_on}; it could not be stopped: {error}"
    if run.phase is Phase.SUCCEEDED:
        return f"was interrupted; the run has succeeded meanwhile: `dpcloud result {run.name}`"
    return f"was interrupted; the run is stopped; {spent_of(run.name, ledger)}{target.stop_leaves}"
