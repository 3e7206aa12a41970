"""`dpcloud data`: the owner's files made readable, and tables to try the tool on.

What is slow to import is imported by the command that needs it.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from dpcloud.command import Group
from dpcloud.data.fetch import Progress
from dpcloud.data.generate import FORMATS, ROWS_PER_FILE, check
from dpcloud.data.generate import generate as write_table
from dpcloud.data.importing.command import import_command
from dpcloud.data.schema import DEFAULT_ROWS
from dpcloud.data.waiting import waiting
from dpjobs.home import home


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Make a table of your files that `dpcloud run` reads; make a synthetic census table, or fetch the real one.

    \b
    Examples:
      dpcloud data import patients.xlsx --output patients.parquet
      dpcloud data generate --rows 1000 --output tracts.csv
    """


data.add_command(import_command)


@data.command()
@click.option("--rows", default=DEFAULT_ROWS, show_default=True, help="How many rows, up to 10 billion.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help=f"The new file; above {ROWS_PER_FILE:,} rows a new folder of files.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS, case_sensitive=False),
    help="By default what the output's ending says, else csv.",
)
@click.option("--columns", help="Some columns, separated by commas, in the order wanted; also `id`.")
def generate(rows: int, seed: int, output: Path, format_: str | None, columns: str | None) -> None:
    """Write a synthetic table with the 37 columns of acs2017_census_tract_data.csv.

    All numbers are invented. The same arguments always give the same bytes.

    \b
    Examples:
      dpcloud data generate --output tracts.csv
      dpcloud data generate --rows 100000000 --columns TractId,TotalPop,Poverty --output tracts.parquet
    """
    wanted = None if columns is None else [name.strip() for name in columns.split(",")]
    kind = format_ or ("parquet" if output.suffix.lower() == ".parquet" else "csv")
    check(rows=rows, seed=seed, output=output, format=kind, columns=wanted)

    with waiting(f"writing {rows:,} rows"):
        write_table(rows=rows, seed=seed, output=output, format=kind, columns=wanted)
    click.echo(output)


@data.command()
@click.argument("name", type=click.Choice(["acs2017"]))
def fetch(name: str) -> None:
    """Download a public table into the tool's cache and print its path.

    `acs2017` is acs2017_census_tract_data.csv (14 MB): 74,001 census tracts, US Census Bureau, American
    Community Survey 2017. It is checked and downloaded once.

    \b
    Example:
      dpcloud data fetch acs2017
    """
    from dpcloud.data import fetch as download

    with _bar(f"fetching {name}") as progress:
        path = download.fetch(home() / "data", progress=progress)
    click.echo(path)


@contextlib.contextmanager
def _bar(text: str) -> Iterator[Progress | None]:
    """A progress bar on standard error where someone looks at it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
