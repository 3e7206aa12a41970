"""`dpcloud budget`: what a data set may spend, has spent, and on which runs."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from dpcloud.aws import deployment_of
from dpcloud.command import Group
from dpjobs.addresses import Place, dataset_of, is_local, normalized, place_of
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError, quoted
from dpjobs.home import ledger_path
from dpjobs.ledger import Balance, Ledger, SQLiteLedger
from dpjobs.query import check_dataset

_Command = TypeVar("_Command", bound=Callable[..., None])


def _which(command: _Command) -> _Command:
    """Give a command the two ways of naming a data set, and the choice of the ledger."""
    for option, help_ in (
        ("--stack", "The deployed ledger of this CloudFormation stack, instead of this machine's."),
        ("--file", "Or the file, when the run had no --dataset; with --stack its s3:// address."),
        ("--dataset", "The data set's name, as `dpcloud run --dataset` had it."),
    ):
        name = "uri" if option == "--file" else option.removeprefix("--")
        command = click.option(option, name, help=help_)(command)
    return command


@click.group(cls=Group)
def budget() -> None:
    """Show or set what a data set may spend.

    \b
    Example:
      dpcloud budget show
    """


@budget.command(name="show", epilog="\b\nExample:\n  dpcloud budget show --file census.csv")
@_which
def show_command(dataset: str | None, uri: str | None, stack: str | None) -> None:
    """Print total, spent and left, of one data set or of all."""
    chosen = None if dataset is None and uri is None else _name(dataset, uri, stack)
    ledger = _ledger(stack)
    if chosen is not None and (place := _place(uri)):
        ledger.recognise(chosen, place)
    names = ledger.datasets()
    if chosen is None and not names:
        click.echo("no data set has been used yet" if stack is None else "no data set has a total yet")
    for name in names if chosen is None else [chosen]:
        balance = ledger.balance(name)
        if balance is None:
            click.echo(f"{name}: no total yet, so no run can use it (see `dpcloud budget set --help`)")
            continue
        alike = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {quoted(alike[0])}?" if alike else ""
        new = "" if name in names else f"  (not used yet{hint})"
        click.echo(f"{name}: {_amounts(balance)}{new}")


@budget.command(
    name="set",
    epilog="\b\nExamples:\n  dpcloud budget set --file census.csv --total 5\n"
    "  dpcloud budget set --stack differential-privacy --file s3://my-bucket/data/census.csv --total 5",
)
@_which
@click.option("--total", required=True, help="Epsilon that may be spent in all, what is spent included.")
def set_command(dataset: str | None, uri: str | None, stack: str | None, total: str) -> None:
    """Set the total epsilon of a data set."""
    name, epsilon = _name(dataset, uri, stack), Epsilon.parse(total, "total")
    if uri is not None and is_local(normalized(uri)) and not Path(name).exists():
        raise InputError.of("no such file or folder, whose path would name the budget", uri, "an existing one")
    ledger = _ledger(stack)
    ledger.set_total(name, epsilon, _place(uri))
    balance = ledger.balance(name)
    click.echo(f"{name}: {_amounts(balance) if balance else f'total {epsilon}'}")


@budget.command(name="history", epilog="\b\nExample:\n  dpcloud budget history --dataset census")
@_which
def history_command(dataset: str | None, uri: str | None, stack: str | None) -> None:
    """Print a data set's runs, oldest first; a run without a release is charged, too."""
    name = _name(dataset, uri, stack)
    ledger = _ledger(stack)
    if place := _place(uri):
        ledger.recognise(name, place)
    runs = ledger.history(name)
    if not runs:
        click.echo("no runs yet")
    for run in runs:
        state = f"committed {run.committed_at}" if run.committed_at else "reserved, not finished"
        click.echo(f"{run.reserved_at}  epsilon {run.epsilon}  {run.run_id}  {state}")


def _amounts(balance: Balance) -> str:
    return f"total {balance.total}, spent {balance.spent}, left {balance.left}"


def _ledger(stack: str | None) -> Ledger:
    """This machine's ledger, or the deployed one of a stack."""
    if stack is None:
        return SQLiteLedger(ledger_path())
    from dpcloud.aws.ledger import ledger_of_stack

    return ledger_of_stack(stack)


def _name(dataset: str | None, uri: str | None, stack: str | None) -> str:
    if (dataset is None) == (uri is None):
        given = "neither" if dataset is None else "both"
        raise InputError.of("which data set", given, "--dataset or --file")
    if dataset is not None:
        return check_dataset(dataset)
    address = normalized(uri or "")
    if stack is not None and is_local(address):
        raise InputError.of("a file of this machine, which no deployed job reads", uri, "s3://bucket/key")
    if stack is None and (prefix := deployment_of(address)):
        allowed = f"--stack {prefix}, or --dataset NAME"
        raise InputError.of("a table of a deployment, whose budget is not on this machine", uri, allowed)
    return check_dataset(dataset_of(address))


def _place(uri: str | None) -> Place | None:
    """Where the table of a `--file` lies, so that a link to it, its folder or its old path is known as well."""
    return None if uri is None else place_of(normalized(uri))
