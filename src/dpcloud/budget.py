"""`dpcloud budget`: what a data set may spend, has spent, and on which runs."""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import click

from dpjobs.errors import InputError
from dpjobs.home import ledger_path
from dpjobs.ledger import Balance, SQLiteLedger
from dpjobs.query import BILLION, check_dataset, parse_epsilon, plain
from dpjobs.source import dataset_of, normalized

_Command = TypeVar("_Command", bound=Callable[..., None])


def _which(command: _Command) -> _Command:
    """Give a command the two ways of naming a data set."""
    command = click.option("--file", "uri", help="Or the file, when the run had no --dataset.")(command)
    return click.option("--dataset", help="The data set's name, as `dpcloud run --dataset` had it.")(command)


@click.group()
def budget() -> None:
    """Show or set what a data set may spend.

    \b
    Example:
      dpcloud budget show
    """


@budget.command(epilog="\b\nExample:\n  dpcloud budget show --file census.csv")
@_which
def show(dataset: str | None, uri: str | None) -> None:
    """Print total, spent and left, of one data set or of all."""
    ledger = SQLiteLedger(ledger_path())
    names = ledger.datasets() if dataset is None and uri is None else [_name(dataset, uri)]
    if not names:
        click.echo("no data set has been used yet")
    for name in names:
        balance = ledger.balance(name) or Balance(0, 0)
        total, spent = (plain(Decimal(amount) / BILLION) for amount in (balance.total, balance.spent))
        new = "" if ledger.knows(name) else "  (not used yet)"
        click.echo(f"{name}: total {total}, spent {spent}, left {plain(balance.left)}{new}")


@budget.command(name="set", epilog="\b\nExample:\n  dpcloud budget set --file census.csv --total 5")
@_which
@click.option("--total", required=True, help="Epsilon that may be spent in all, what is spent included.")
def set_(dataset: str | None, uri: str | None, total: str) -> None:
    """Set the total epsilon of a data set."""
    name = _name(dataset, uri)
    SQLiteLedger(ledger_path()).set_total(name, parse_epsilon(total, "total"))
    click.echo(f"{name}: total {plain(parse_epsilon(total, 'total'))}")


@budget.command(epilog="\b\nExample:\n  dpcloud budget history --dataset census")
@_which
def history(dataset: str | None, uri: str | None) -> None:
    """Print a data set's runs, oldest first; a run without a release is charged, too."""
    runs = SQLiteLedger(ledger_path()).history(_name(dataset, uri))
    if not runs:
        click.echo("no runs yet")
    for run in runs:
        state = f"committed {run.committed_at}" if run.committed_at else "reserved, not finished"
        click.echo(f"{run.reserved_at}  epsilon {plain(run.epsilon)}  {run.run_id}  {state}")


def _name(dataset: str | None, uri: str | None) -> str:
    if (dataset is None) == (uri is None):
        given = "neither" if dataset is None else "both"
        raise InputError.of("which data set", given, "--dataset or --file")
    return check_dataset(dataset if dataset is not None else dataset_of(normalized(uri or "")))
