"""`dpcloud upload`: a table of this machine into the deployed bucket, and whose budget it has there."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpcloud.aws import DEFAULT_STACK
from dpcloud.command import Command
from dpjobs.addresses import Place, is_local, normalized
from dpjobs.errors import BudgetError, InputError, InterruptError, LedgerError
from dpjobs.query import check_dataset
from dpjobs.source import FORMATS, LocalFiles, format_of, inspect, known_format

if TYPE_CHECKING:
    from dpjobs.ledger import Ledger

FOLDER = "data/"
"""Where tables lie in the bucket; the jobs may read nothing else."""

_MOST_BYTES = 1024  # of a key in S3, and of an address in the ledger
_REFUSED = re.compile(r"[*?{}\[\]\\:]")  # Hadoop reads a pattern, or another file, out of them
_NAME = "such as census.csv or 2024/census.csv: no '.', '..' or empty part, none that begins with '_' or '.'"
_COVERS = (
    "the same budget then covers both versions, for what was asked of the old one tells of its rows, too; rows of "
    "other people take another --as"
)
_EPILOG = """\b
Examples:
  dpcloud upload census.csv
  dpcloud upload exports/2024 --as census-2024
"""


@dataclass(frozen=True)
class Table:
    """What is sent: its files by their names below `name`, "" for a single file, and how they are read."""

    name: str
    format: str
    files: dict[str, Path]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of files."""
        return "" not in self.files

    @property
    def keys(self) -> dict[str, Path]:
        """Its files by their keys in the bucket."""
        return {f"{FOLDER}{self.name}{'/' if below else ''}{below}": path for below, path in self.files.items()}


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("file", metavar="FILE")
@click.option("--as", "name", help="Its name in the bucket, below data/.  [default: the file's own]")
@click.option("--stack", default=DEFAULT_STACK, show_default=True, help="The stacks' prefix.")
@click.option("--replace", is_flag=True, help="Where that name is taken: put it there all the same, on its budget.")
@click.option("--progress/--no-progress", default=None, help="Show how far it is.  [default: on a terminal]")
def upload(file: str, name: str | None, stack: str, replace: bool, progress: bool | None) -> None:
    """Send a CSV or Parquet file, or a folder of them, to where the deployed jobs read.

    Every part is checked by S3 against its SHA-256. A call that was cut off is typed again, and goes on where it was.
    """
    from dpcloud.aws.ledger import deployed_ledger
    from dpcloud.aws.multipart import send
    from dpcloud.aws.stacks import Deployment
    from dpcloud.progress import saying

    table = table_of(file, name)
    deployment = Deployment(stack)
    bucket, ledger = deployment.bucket, deployed_ledger(deployment)
    address = f"s3://{bucket}/{FOLDER}{table.name}"
    if len(address.encode()) > _MOST_BYTES:
        raise InputError.of("the address is too long", address, f"{_MOST_BYTES} bytes in all: a shorter --as")
    check_dataset(address)
    _check_budget(ledger, address)
    _check_place(bucket, address, table, replace)
    try:
        with saying(progress) as say:
            send(bucket, table.keys, not replace, say)
    except KeyboardInterrupt:
        going_on = "nothing of it can be read there; the same command goes on where it was, within a day"
        raise InterruptError(f"was interrupted; {going_on}") from None
    click.echo(f"Sent:      {address}, each part checked by S3 against its SHA-256")
    click.echo(f"Data set:  {_budget(ledger, address, stack)}")
    click.echo("           It is another table than the file here: where these rows were asked before under another")
    click.echo("           name, what was spent there adds to what is spent here.")
    click.echo(f"Next:      {_next(address, table, stack)}")


def table_of(file: str, name: str | None) -> Table:
    """Return what lies at a path of this machine, under its name there; raises InputError for what no job reads."""
    uri = normalized(file)
    if not is_local(uri):
        raise InputError.of("not a file of this machine", file, "a CSV or Parquet file, or a folder of them")
    path = Path(uri).expanduser()
    files = LocalFiles()
    format_ = format_of(str(path), None, files)
    try:
        source = inspect(str(path), format_, files)
    except OSError:
        raise InputError.of("a file that cannot be read", file, "a file that you may read") from None
    below = {found.removeprefix(source.root).lstrip("/"): Path(found) for found in source.paths}
    table = Table(check_name(path.resolve().name if name is None else name), format_, below)
    for inner in filter(None, below):
        if _REFUSED.search(inner) or not inner.isprintable():
            raise InputError.of("a file's name that no job reads", inner, _NAME)
    ending = _ending(path.name)
    if not table.is_folder and _ending(table.name) != ending:
        raise InputError.of("the name in the bucket", table.name, f"one that ends in {ending}, as the file")
    if table.is_folder and known_format(table.name) not in (None, format_):
        raise InputError.of("the name in the bucket", table.name, f"one that says {format_}, or no format")
    return table


def check_name(name: str) -> str:
    """Return a name below data/ that every reader takes for the same; raises InputError."""
    parts = name.split("/")
    hidden = any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts)
    if hidden or not all(parts) or parts[-1].startswith("_") or _REFUSED.search(name) or not name.isprintable():
        raise InputError.of("the name in the bucket", name, _NAME)
    return name


def _ending(name: str) -> str:
    endings = (ending for known in FORMATS.values() for ending in known if name.lower().endswith(ending))
    return max(endings, key=len, default="")


def _check_budget(ledger: "Ledger", address: str) -> None:
    """Raise BudgetError where these rows would lie in, or around, a table of another budget."""
    try:
        ledger.recognise(address, Place(address))
    except BudgetError as error:
        own = "an upload has the budget of its address: --as with a name apart from it"
        raise BudgetError(f"{error}; {own}") from None


def _check_place(bucket: str, address: str, table: Table, replace: bool) -> None:
    """Raise InputError where the name is taken, or where a job would read more than the table there."""
    from dpcloud.aws.multipart import objects

    key = FOLDER + table.name
    for outer in _outer(key):
        if next(objects(bucket, outer, 1), ("", 0))[0] == outer:
            raise InputError.of("the name lies below a file", f"s3://{bucket}/{outer}", "another --as")
    itself = next(objects(bucket, key, 1), ("", 0))[0] == key
    inside = {found for found, size in objects(bucket, f"{key}/") if size}
    if inside if not table.is_folder else itself:
        there, here = ("a folder", "a file") if inside else ("a file", "a folder")
        raise InputError.of(f"{there} lies there, which {here} would not replace", address, "another --as")
    if (itself or inside) and not replace:
        raise InputError.of("something lies there already", address, f"another --as, or --replace: {_COVERS}")
    others = inside - table.keys.keys()
    if others:
        what, given = "a file lies there that the folder has not, which would be read, too", min(others)
        raise InputError.of(what, f"s3://{bucket}/{given}", "another --as")


def _outer(key: str) -> list[str]:
    """The folders between data/ and the key."""
    parts = key.split("/")
    return ["/".join(parts[:i]) for i in range(2, len(parts))]


def _budget(ledger: "Ledger", address: str, stack: str) -> str:
    file = shlex.quote(address)
    try:
        balance = ledger.balance(address)
    except LedgerError:
        return f"its budget could not be read: dpcloud budget show {_stack(stack)}--file {file}"
    if balance is None:
        return f"no budget yet, so nobody can ask: dpcloud budget set --stack {stack} --file {file} --total EPSILON"
    return f"total {balance.total}, spent {balance.spent}, left {balance.left}, for whatever lies at this address"


def _next(address: str, table: Table, stack: str) -> str:
    format_ = "" if known_format(address) else f" --format {table.format}"
    prefix = "" if stack == DEFAULT_STACK else f" --stack {stack}"
    return f"dpcloud run --on glue{prefix} --file {shlex.quote(address)}{format_} --query COUNT --epsilon 0.1"


def _stack(stack: str) -> str:
    return f"--stack {stack} "
