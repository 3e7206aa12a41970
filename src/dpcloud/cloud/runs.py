"""`dpcloud runs`, `status`, `logs`, `stop`, `result`, `rerun`: what became of a run that AWS has."""

import sys
from collections.abc import Callable
from typing import TypeVar

import click

from dpcloud.aws import DEFAULT_STACK
from dpcloud.aws.errors import AwsError
from dpcloud.aws.ledger import deployed_ledger
from dpcloud.aws.stacks import Deployment
from dpcloud.cloud.following import elapsed, spent_of, usd
from dpcloud.command import Command, typed
from dpcloud.targets.base import CloudRun, Phase, Question
from dpcloud.words import printable
from dpjobs.errors import InputError
from dpjobs.ledger import Run
from dpjobs.query import check_run_id

_Command = TypeVar("_Command", bound=Callable[..., None])


def _of_stack(command: _Command) -> _Command:
    return click.option("--stack", default=DEFAULT_STACK, show_default=True, help="The stacks' prefix.")(command)


def _of_run(command: _Command) -> _Command:
    return click.argument("run_id", metavar="ID")(_of_stack(command))


@click.command(cls=Command, epilog="\b\nExample:\n  dpcloud runs --limit 5")
@_of_stack
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, nothing else.")
def runs(stack: str, limit: int, as_json: bool) -> None:
    """List the runs on Glue and EMR, and those that the ledger knows, the newest first."""
    from dpcloud.cloud.runs_table import collect, show, to_json

    deployment = Deployment(stack)
    collected = collect(deployment, deployed_ledger(deployment), limit)
    if as_json:
        click.echo(to_json(collected.lines))
    elif not collected.lines:
        click.echo("no runs yet")
    else:
        show(collected.lines)
    for note in collected.notes:
        click.echo(f"note: {note}", err=True)


@click.command(cls=Command, epilog="\b\nExample:\n  dpcloud status run-0123456789abcdef0123456789abcdef")
@_of_run
def status(run_id: str, stack: str) -> None:
    """Tell what a run does, why it ended, what it cost, and what to type next."""
    deployment = Deployment(stack)
    ledger = deployed_ledger(deployment)
    row, run = ledger.find(check_run_id(run_id)), _known(deployment, run_id)
    if row is None and run is not None and run.run_id:
        row = ledger.find(run.run_id)
    if row is None and run is None:
        raise _unknown(run_id)
    if run is not None:
        time = "" if run.seconds is None else f", {elapsed(run.seconds)}"
        cost = "" if run.usd is None else f", {usd(run.usd)} USD"
        click.echo(f"{run.target}: {run.state}{time}{cost}  ({run.platform_id})")
        if run.reason:
            click.echo(f"reason: {run.reason}")
    name = row.run_id if row else run_id
    if row is None:
        click.echo(f"ledger: nothing is spent{'' if run is not None and run.phase.over else ' yet'}")
    elif row.release is None:
        click.echo(f"ledger: epsilon {row.epsilon} of {row.dataset} is spent; there is no release yet")
    else:
        click.echo(f"ledger: epsilon {row.epsilon} of {row.dataset} is spent; released {row.committed_at}")
    click.echo(typed(f"next: {_next(name, run, row)}", stack))


@click.command(cls=Command, epilog="\b\nExample:\n  dpcloud logs run-0123456789abcdef0123456789abcdef")
@_of_run
def logs(run_id: str, stack: str) -> None:
    """Print all that a run has logged, for who may read it: it belongs to the raw data's side."""
    from dpcloud.targets.cloud import find

    target, run = find(Deployment(stack), run_id)
    some = False
    for line in target.logs(run):
        some = True
        click.echo(line)
    if not some:
        when = "EMR brings logs every five minutes" if run.target == "emr" else "Glue brings logs within a minute"
        again = typed(f"`dpcloud logs {run.name}` again then", stack)
        click.echo(f"no log has arrived yet ({when}): {again}", err=True)


@click.command(cls=Command, epilog="\b\nExample:\n  dpcloud stop run-0123456789abcdef0123456789abcdef")
@_of_run
def stop(run_id: str, stack: str) -> None:
    """Stop a run. What it has spent stays spent; the same run id may finish it later."""
    from dpcloud.targets.cloud import find

    deployment = Deployment(stack)
    target, run = find(deployment, run_id)
    if run.phase.over:
        raise InputError.of("the run is over", run.state, "the id of one that runs")
    target.stop(run)
    spent = typed(spent_of(run.name, deployed_ledger(deployment)), stack)
    click.echo(f"{run.name} is being stopped; {spent}{typed(target.stop_leaves, stack)}")


@click.command(cls=Command, epilog="\b\nExample:\n  dpcloud result run-0123456789abcdef0123456789abcdef --json")
@_of_run
@click.option("--json", "as_json", is_flag=True, help="Print the release, nothing else.")
def result(run_id: str, stack: str, as_json: bool) -> None:
    """Print the release of a run that was made earlier; costs nothing."""
    from dpjobs.job import Outcome

    deployment = Deployment(stack)
    ledger = deployed_ledger(deployment)
    row = ledger.find(_our_id(deployment, run_id))
    if row is None or row.release is None:
        allowed = f"one that has succeeded: see `dpcloud status {run_id}`"
        raise InputError.of("the run has no release" if row else "no run with a release", run_id, allowed)
    if as_json:
        click.echo(row.release)
        return
    from dpcloud.output import show_releases

    show_releases(Outcome({row.run_id: row.release}), ledger.balance(row.dataset))


@click.command(cls=Command, epilog="\b\nExample:\n  dpcloud rerun run-0123456789abcdef0123456789abcdef --yes")
@_of_run
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Start it, print its run id, and leave it going.")
@click.pass_context
def rerun(context: click.Context, run_id: str, stack: str, yes: bool, no_wait: bool) -> None:
    """Ask the same question again, under a new run id: it is answered, and charged, anew."""
    from dpcloud.running import run as run_command
    from dpcloud.targets.cloud import find

    deployment = Deployment(stack)
    _, earlier = find(deployment, run_id)
    question = earlier.question
    if question is None:
        raise InputError.of("the run does not say what it was asked", run_id, "one that dpcloud started")
    _check_charged(deployment, earlier, question)
    what = printable(f"{question.query} of {question.column or 'rows'} of {question.uri}, by {question.engine}")
    charge = f"{what}: another epsilon {question.epsilon} is charged, for another draw"
    if yes:
        click.echo(charge, err=True)
    elif not sys.stdin.isatty():
        raise InputError.of("nobody can be asked here, and it is charged anew", run_id, "--yes")
    elif not click.confirm(f"{charge}. Go on?", err=True):
        raise InputError("nothing is asked; allowed: y")
    words = {
        "uri": question.uri,
        "query": question.query,
        "column": question.column,
        "epsilon": question.epsilon,
        "engine": question.engine,
        "lower": question.lower,
        "upper": question.upper,
        "format_": question.format,
        "bounds_share": question.bounds_share,
        "check_share": question.check_share,
        "dataset": question.dataset,
        "target": earlier.target,
        "stack": stack,
        "unhardened": question.unhardened,
        "no_wait": no_wait,
        "yes": yes,
    }
    if question.confidence is not None:
        words["confidence"] = question.confidence
    context.invoke(run_command, **words)


def _check_charged(deployment: Deployment, earlier: CloudRun, question: Question) -> None:
    """Raise InputError unless what AWS remembers is what the ledger charged: an id is anybody's to start runs by."""
    row = deployed_ledger(deployment).find(earlier.run_id) if earlier.run_id else None
    if row is not None and row.digest != question.digest():
        allowed = "`dpcloud run` with the question's own words"
        raise InputError.of("the last run by this id asked another question than was charged", row.run_id, allowed)


def _known(deployment: Deployment, run_id: str) -> CloudRun | None:
    """The run as Glue or EMR knows it; None where they do not, or whoever asks may not look."""
    from dpcloud.targets.cloud import find

    try:
        return find(deployment, run_id)[1]
    except AwsError as error:
        if not error.denied:
            raise
    except InputError:
        pass
    return None


def _our_id(deployment: Deployment, run_id: str) -> str:
    """Our id of a run that may be named by AWS's."""
    if not run_id.startswith(("jr_", "s-")):
        return check_run_id(run_id)
    run = _known(deployment, run_id)
    return run.name if run else check_run_id(run_id)


def _next(name: str, run: CloudRun | None, row: Run | None) -> str:
    if row is not None and row.release is not None:
        return f"`dpcloud result {name}`"
    if run is not None and not run.phase.over:
        return f"`dpcloud status {name}` again, or `dpcloud stop {name}`"
    if run is not None and run.phase is Phase.SUCCEEDED:
        return f"`dpcloud logs {name}`: it has succeeded without a release in this ledger"
    if row is None:  # refused or failed before its charge
        return (
            f"mend what the reason names and ask again: nothing is spent; `dpcloud logs {name}`, for who may read it"
        )
    return (
        f"`dpcloud logs {name}`, for who may read it; the same question, by its one engine, with --run-id {name} "
        "pays no more"
    )


def _unknown(run_id: str) -> InputError:
    return InputError.of("no such run", run_id, "an id that `dpcloud runs` lists")
