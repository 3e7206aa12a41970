"""`python -m smoke`: the arguments, and how whatever goes wrong becomes one line and an exit code.

0: nothing failed; 1: a check failed or something is left; 2: refused before anything was made; 130: interrupted.
"""

import json
import re
import secrets
import signal
import sys

import click
from rich.console import Console

from dpjobs.errors import DpError, InputError
from smoke import removal, report
from smoke.account import Account, check_ready, open_account
from smoke.checks import Outcome, Result
from smoke.deployment import Deployment
from smoke.progress import Progress
from smoke.settings import PREFIX, ROOT, VCPUS
from smoke.table import find_table
from smoke.way import Interrupted, run

_FAILED, _REFUSED, _INTERRUPTED = 1, 2, 130


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--yes", is_flag=True, help="Do not ask before it begins to cost money.")
@click.option("--account", help="Refuse any other account than this one; default: dp.account of cdk.json.")
@click.option("--region", help="Refuse any other region than this one; default: dp.region of cdk.json.")
@click.option("--isolated", is_flag=True, help="A network without internet; see docs/operations.md.")
@click.option("--daemon-logs", is_flag=True, help="Let Glue's daemons log, and keep it: when runs fail unexplained.")
@click.option("--remove", metavar="PREFIX", help="Only take away what an earlier test has left.")
@click.option("--poll-seconds", default=15.0, show_default=True, help="How often to look at what runs.")
@click.option("--test-server-runs", is_flag=True, hidden=True, help="The test server runs jobs (tests/deploy).")
def main(
    yes: bool,
    account: str | None,
    region: str | None,
    isolated: bool,
    daemon_logs: bool,
    remove: str | None,
    poll_seconds: float,
    test_server_runs: bool,
) -> None:
    """Try on real AWS what nothing else can show, and take it all away again.

    Deploys the stacks under a prefix of their own, runs both Glue jobs and both EMR steps on a public census
    table, checks every line of the checklist in docs/operations.md, and prints a table.
    """
    _interruptible()
    progress = Progress(every=poll_seconds)
    own = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]["dp"]
    where = open_account(account or own.get("account"), region or own.get("region"), test_server_runs)
    if remove is not None:
        sys.exit(_remove(where, remove, progress))
    deployment = Deployment(where, f"{PREFIX}{secrets.token_hex(3)}", isolated, daemon_logs)
    deployment.write()
    cost, table = deployment.cost(), find_table()
    check_ready(where, VCPUS)
    if deployment.standing():
        raise InputError.of("there are stacks of this prefix", deployment.prefix, "another try, with another prefix")
    click.echo(report.announcement(deployment, cost, table.what), err=True)
    if not yes and not (sys.stdin.isatty() and click.confirm("Go on?", err=True)):
        raise InputError("not confirmed, and nothing was made; allowed: y, or --yes")
    code = 0
    try:
        results = run(where, deployment, table, progress)
    except Interrupted as stopped:
        results, code = stopped.results, _INTERRUPTED
    ended = _end(deployment, results, progress)
    sys.exit(code or ended)


def _interruptible() -> None:
    """Let each signal that would end the process be an interrupt, also where a shell's `&` ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # `nohup` means it
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _end(deployment: Deployment, results: list[Result], progress: Progress) -> int:
    removed = next(one for one in results if one.name == "removed")
    left = [] if removed.outcome == Outcome.PASSED else [removed.saw]
    report.show(results, Console())
    progress.say(f"report: {report.write(results, deployment, left)}")
    if left:
        progress.say(f"NOT ALL IS TAKEN AWAY: {left[0]}")
        progress.say(f"try again: make smoke SMOKE='--remove {deployment.prefix}'")
    return _FAILED if any(one.outcome == Outcome.FAILED for one in results) else 0


def _remove(account: Account, prefix: str, progress: Progress) -> int:
    """Take away what a test of this prefix has left; returns the exit code."""
    if not re.fullmatch(rf"{PREFIX}[a-z0-9]{{1,20}}", prefix):
        raise InputError.of("not a prefix of a smoke test", prefix, f"{PREFIX}…, as the test's first line said")
    deployment = Deployment(account, prefix)
    deployment.write()
    if removal.left(deployment):
        removal.destroy(deployment, progress)
    left = removal.sweep(deployment, progress)
    for line in left:
        progress.say(f"left: {line}")
    progress.say("nothing of this prefix is left" if not left else f"{len(left)} things are left")
    return _FAILED if left else 0


def _start() -> None:
    try:
        main(standalone_mode=False)
    except click.UsageError as error:
        _refuse(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        click.echo("smoke: interrupted, nothing was made", err=True)
        sys.exit(_INTERRUPTED)
    except DpError as error:
        _refuse(str(error))


def _refuse(message: str) -> None:
    click.echo("smoke: " + " ".join(message.split()), err=True)
    sys.exit(_REFUSED)


if __name__ == "__main__":
    _start()
