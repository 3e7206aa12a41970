"""`dpcloud emr`: the deployment's cluster, started as it is deployed, looked at, ended, and entered."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

import click

from dpcloud.aws import DEFAULT_STACK
from dpcloud.aws.cluster_definition import Definition
from dpcloud.aws.clusters import (
    UP,
    Cluster,
    cluster_of,
    clusters,
    follow,
    live_cluster,
    live_clusters,
    offer,
    primary_instance,
    start_cluster,
    steps_on,
    stop_clusters,
    why_ended,
)
from dpcloud.aws.session import client
from dpcloud.aws.stacks import Deployment
from dpcloud.command import Group, typed
from dpjobs.errors import InputError, InterruptError

_Command = TypeVar("_Command", bound=Callable[..., None])
_PLUGIN = "session-manager-plugin"


def _stack(command: _Command) -> _Command:
    return click.option("--stack", default=DEFAULT_STACK, show_default=True, help="Prefix of the deployed stacks.")(
        command
    )


def _yes(command: _Command) -> _Command:
    return click.option("--yes", is_flag=True, help="Do not ask; for scripts.")(command)


@click.group(cls=Group)
def emr() -> None:
    """Start, look at, end or enter the EMR cluster.

    \b
    Example:
      dpcloud emr start --wait
    """


@emr.command(name="start", epilog="\b\nExample:\n  dpcloud emr start --yes --wait")
@_stack
@_yes
@click.option("--wait", is_flag=True, help="Follow it until it takes steps.")
def start_command(stack: str, yes: bool, wait: bool) -> None:
    """Start the cluster as it is deployed, when none is up.

    It stands beside the CloudFormation stack: it ends itself when it is idle, or by `dpcloud emr stop`, which has to
    come before `cdk destroy`.
    """
    deployment = Deployment(stack)
    cluster = live_cluster(deployment)
    if cluster is not None:
        click.echo(f"{cluster.id} is {cluster.state} since {_time(cluster.since)}: no other is started")
    else:
        click.echo(f"Starts {offer(deployment).text}.", err=True)
        _ask("Start it?", yes)
        cluster = start_cluster(deployment)
        click.echo(f"{cluster.id} is {cluster.state}")
        _tell_of_others(deployment, cluster)
    if wait and cluster.state not in UP:
        cluster = _watch(cluster, UP, f"{cluster.id} goes on starting: `dpcloud emr status`, `dpcloud emr stop`")
        if cluster.over:
            raise why_ended(cluster, Definition.read(deployment))
        click.echo(f"{cluster.id} is {cluster.state}: it takes steps")


@emr.command(name="status", epilog="\b\nExample:\n  dpcloud emr status")
@_stack
def status_command(stack: str) -> None:
    """Print the cluster that is up, what it runs and has cost, and why the last one ended."""
    deployment = Deployment(stack)
    for cluster in (live := live_clusters(deployment)):
        click.echo(
            f"{cluster.id}  {cluster.state} since {_time(cluster.since)}, {_age(cluster)} old, {_cost(cluster)}"
        )
        steps = steps_on(cluster)
        for step in steps:
            click.echo(f"  {step.id}  {step.state}  {step.name}")
        if not steps:
            click.echo("  no step waits or runs")
    if len(live) > 1:
        click.echo(f"{len(live)} are up and paid for: {typed('`dpcloud emr stop`', stack)} ends them all")
    elif not live:
        click.echo(f"no cluster {stack}-emr is up: {typed('`dpcloud emr start`', stack)} brings one")
    last = next(iter(clusters(deployment, ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS"))), None)
    if last is not None:
        ended = f"{last.state} {_time(last.ended)}" if last.ended else last.state
        click.echo(f"the last before: {last.id}  {ended}, {_cost(last)}: {last.reason or 'EMR does not say why'}")


@emr.command(name="stop", epilog="\b\nExample:\n  dpcloud emr stop")
@_stack
@_yes
@click.option("--wait/--no-wait", default=True, show_default=True, help="Follow it until it has ended.")
def stop_command(stack: str, yes: bool, wait: bool) -> None:
    """End every cluster of the deployment that is up; asks when a step waits or runs.

    What a step has been charged stays charged: the same run id finishes it on the next cluster.
    """
    live = live_clusters(Deployment(stack))
    if not live:
        click.echo(f"no cluster {stack}-emr is up")
        return
    steps = [f"{step.name} ({step.state})" for cluster in live for step in steps_on(cluster)]
    if steps:
        click.echo(
            f"{len(steps)} {'step' if len(steps) == 1 else 'steps'} would be lost: {', '.join(steps)}.", err=True
        )
        _ask("End the cluster?", yes)
    stop_clusters(live)
    for cluster in live:
        if not wait:
            click.echo(f"{cluster.id} is about to end")
            continue
        ended = _watch(cluster_of(cluster.id), (), f"{cluster.id} goes on ending: `dpcloud emr status`")
        click.echo(f"{ended.id} has ended ({ended.state}), {_cost(ended)}")


@emr.command(name="shell", epilog="\b\nExample:\n  dpcloud emr shell")
@_stack
def shell_command(stack: str) -> None:
    """Open a session on the primary node, by AWS Systems Manager.

    It has the rights of the cluster, which may read the tables. Without the `aws` command or its session plugin the
    one command to type is printed.
    """
    cluster = live_cluster(Deployment(stack))
    if cluster is None or cluster.state not in UP:
        state = "none" if cluster is None else f"{cluster.id}, {cluster.state}"
        raise InputError.of("no cluster takes sessions now", state, "`dpcloud emr start --wait` first")
    region = str(client("ssm").meta.region_name)
    command = ["aws", "ssm", "start-session", "--target", primary_instance(cluster), "--region", region]
    missing = [name for name in ("aws", _PLUGIN) if shutil.which(name) is None]
    if missing:
        click.echo(f"not installed here: {', '.join(missing)}; where `aws` and its {_PLUGIN} are, type:", err=True)
        click.echo(" ".join(command))
        return
    _become(command)


def _become(command: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    os.execvp(command[0], list(command))  # noqa: S606 - the session is the user's, with keys and signals


def _ask(question: str, yes: bool) -> None:
    """Go on when the user says so; raises InputError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask in, and nothing was done; allowed: --yes")
    if not click.confirm(question, err=True):
        raise InputError("nothing was done, as you said")


def _watch(cluster: Cluster, until: Sequence[str], interrupted: str) -> Cluster:
    """Follow a cluster with a live line, or a line for each state; raises InterruptError at Ctrl-C."""
    seen, state = cluster, ""
    try:
        with _line() as tell:
            for seen in follow(cluster, until):
                tell(f"{seen.id}  {seen.state}  {_age(seen)}", seen.state != state)
                state = seen.state
    except KeyboardInterrupt:
        raise InterruptError(interrupted) from None
    return seen


@contextlib.contextmanager
def _line() -> Iterator[Callable[[str, bool], None]]:
    """Give what tells a text: in place on a terminal, else as a new line where it says something new."""
    if not sys.stderr.isatty():
        yield lambda text, new: click.echo(text, err=True) if new else None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as shown:
        yield lambda text, new: shown.update(text)


def _tell_of_others(deployment: Deployment, cluster: Cluster) -> None:
    """Two may have been started at the same moment."""
    others = [other.id for other in live_clusters(deployment) if other.id != cluster.id]
    if others:
        stop = typed("`dpcloud emr stop`", deployment.prefix)
        click.echo(f"beside it is up and paid for: {', '.join(others)}; {stop} ends them all", err=True)


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _age(cluster: Cluster) -> str:
    minutes = int(((cluster.ended or datetime.now(UTC)) - cluster.created).total_seconds()) // 60
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _cost(cluster: Cluster) -> str:
    usd = cluster.usd_so_far()
    return "price not known" if usd is None else f"about {usd:.2f} USD"
