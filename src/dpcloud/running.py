"""`dpcloud run`: one query, by one engine or several, on this machine."""

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dpcloud.aws import DEFAULT_STACK, deployment_of
from dpcloud.command import Command, one_of, unexpected
from dpcloud.engines import engines_help, engines_of
from dpcloud.progress import saying
from dpcloud.targets import IN_AWS, backends_of, check_target
from dpjobs.addresses import is_local
from dpjobs.engines import ENGINES
from dpjobs.errors import CopyError, DoubtError, DpError, InputError, InterruptError, RunError, quoted
from dpjobs.home import ledger_path
from dpjobs.ledger import Balance, SQLiteLedger
from dpjobs.query import Query, check_run_id, new_run_id
from dpjobs.release import Copies, array
from dpjobs.request import Request
from dpjobs.source import LocalFiles

if TYPE_CHECKING:
    from dpjobs.job import Outcome

_READABLE = ("s3://", "s3a://")
_UNHARDENED = one_of(name for name, engine in ENGINES.items() if not engine.hardened)

_ON = "laptop (DuckDB), spark (Spark on this machine), glue or emr (Spark in AWS, as deployed)."

_EPILOG = """\b
What is read of CSV: one record a line, cells separated by commas, UTF-8, a header line.
Not read: other separators, cells that span lines, thousands separators, percent signs, dates; nor Excel or JSON:
`dpcloud data import FILE --output NEW.parquet` makes a table of such files.

\b
Examples:
  dpcloud run --engine tumult --query MEAN --column TotalPop --epsilon 1 --lower 0 --upper 20000 --file census.csv
  dpcloud run --engine all --query COUNT --epsilon 0.1 --file s3://my-bucket/census/ --format parquet --json
  dpcloud run --on glue --query COUNT --epsilon 0.1 --file s3://my-bucket/data/census.csv
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--file", "uri", required=True, help="CSV or Parquet: a file, a folder of them, or s3://…")
@click.option("--query", required=True, help=f"{one_of(q.value for q in Query)}.")
@click.option("--epsilon", required=True, help="Privacy to spend, for each engine: 0.000001 to 1000.")
@click.option("--column", help="The column; COUNT without one counts rows.")
@click.option("--engine", default="pipelinedp", show_default=True, help=engines_help())
@click.option("--unhardened", is_flag=True, help=f"Allow {_UNHARDENED}: a sampler that is not made for an adversary.")
@click.option("--on", "target", default="laptop", show_default=True, help=_ON)
@click.option("--stack", help=f"On glue and emr: the stacks' prefix.  [default: {DEFAULT_STACK}]")
@click.option("--no-wait", is_flag=True, help="On glue and emr: start it, print its run id, and leave it going.")
@click.option("--yes", is_flag=True, help="On emr: start a cluster where none is up, without asking.")
@click.option("--memory", help="What counting may use, such as 2GB; more is spilled to a private folder.")
@click.option("--lower", help="Smallest value that counts in full; without bounds they are found privately.")
@click.option("--upper", help="Largest value that counts in full.")
@click.option("--bounds-share", help="Share of epsilon for finding bounds.  [default: 0.1]")
@click.option("--check-share", help="Share of epsilon for counting what the bounds clamp.  [default: 0.05]")
@click.option(
    "--dataset", help="Name of the budget that is charged, for a table in several places.  [default: its path]"
)
@click.option("--run-id", help="Names the run; the same id gives the same release again, at no cost.")
@click.option(
    "--confidence", default="0.95", show_default=True, help="Of the noise interval, of the values as clamped."
)
@click.option("--format", "format_", help="csv or parquet, where the name does not tell.")
@click.option("--output", help="Copy the release to this folder, new .json file or s3://bucket/prefix.")
@click.option("--json", "as_json", is_flag=True, help="Print the releases as a JSON array, nothing else.")
@click.option("--progress/--no-progress", default=None, help="Say what is going on.  [default: on a terminal]")
def run(**options: Any) -> None:
    """Answer one query privately and print it with its interval.

    What is protected is one row. The budget is charged before any row is read, and every run is charged anew: only
    the same --run-id gives the same answer again at no cost.
    """
    _run(Options(**options))


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options above, as click hands them on; None where nothing was given."""

    uri: str
    query: str
    epsilon: str
    column: str | None
    engine: str
    unhardened: bool
    target: str
    stack: str | None
    no_wait: bool
    yes: bool
    memory: str | None
    lower: str | None
    upper: str | None
    bounds_share: str | None
    check_share: str | None
    dataset: str | None
    run_id: str | None
    confidence: str
    format_: str | None
    output: str | None
    as_json: bool
    progress: bool | None

    def request(self) -> Request:
        """Check the question; raises InputError."""
        request = Request.parse(
            uri=self.uri,
            query=self.query,
            epsilon=self.epsilon,
            column=self.column,
            lower=self.lower,
            upper=self.upper,
            bounds_share=self.bounds_share,
            check_share=self.check_share,
            confidence=self.confidence,
            dataset=self.dataset,
            format_=self.format_,
        )
        if not is_local(request.uri) and not request.uri.startswith(_READABLE):
            raise InputError.of("unknown kind of address", request.uri, "a path, or s3://bucket/key")
        return request


def _run(options: Options) -> None:
    target = check_target(options.target)
    if target in IN_AWS:
        _run_in_aws(options, target)
        return
    if options.stack is not None:  # who forgot --on would spend another budget, this machine's
        allowed = f"--on {' or '.join(IN_AWS)}, or no --stack: a run on this machine charges this machine's ledger"
        raise InputError.of("--stack where nothing that is deployed is used", f"--on {target}", allowed)
    if options.no_wait:
        raise InputError.of("--no-wait where a run ends with its command", target, f"--on {' or '.join(IN_AWS)}")
    names = engines_of(options.engine, target, options.unhardened)
    base = _base(options)
    run_ids = _run_ids(base, names)
    request = options.request()
    if options.dataset is None and (prefix := deployment_of(request.uri)):
        allowed = f"--on glue or emr, with --stack {prefix}; or --dataset NAME, for another budget for the same rows"
        raise InputError.of("a table of a deployment, whose budget is in AWS", request.uri, allowed)
    specs = request.jobs(run_ids, LocalFiles() if is_local(request.uri) else None)
    copies = _copies(options)
    ledger = SQLiteLedger(ledger_path())
    first_use = not ledger.knows(request.dataset)
    warnings.filterwarnings("ignore")  # the libraries' warnings mean nothing to someone who runs a query
    logging.disable(logging.CRITICAL)  # py4j logs Java's texts, which can quote cells
    with _one_line(base, names):
        with saying(options.progress) as say:
            from dpjobs import job

            with _in_doubt(ledger, list(run_ids.values())):
                outcome = job.run(specs, ledger, backends_of(target, options.memory, say), say)
        _publish(outcome, lambda: ledger.balance(request.dataset), options, copies)
        if first_use:
            click.echo(_new_data_set(request.dataset, ledger), err=True)


def _run_in_aws(options: Options, target: str) -> None:
    from dpcloud.aws.ledger import deployed_ledger
    from dpcloud.aws.stacks import Deployment
    from dpcloud.cloud.run import Asked, check_cloud, run_there

    if options.memory is not None:
        allowed = "no --memory: the workers' is that of the deployment"
        raise InputError.of(f"--memory on {target}", options.memory, allowed)
    request = options.request()
    names = check_cloud(target, request, options.engine, options.unhardened, options.dataset)
    base = _base(options)
    run_ids = _run_ids(base, names)
    asked = Asked(
        target=target,
        request=request,
        specs=tuple(request.jobs(run_ids, None)),
        unhardened=options.unhardened,
        again=options.run_id is not None,
        wait=not options.no_wait,
        yes=options.yes,
        progress=options.progress,
    )
    copies = _copies(options)
    deployment = Deployment(options.stack or DEFAULT_STACK)
    ledger = deployed_ledger(deployment)
    with _one_line(base, names):
        outcome = run_there(deployment, ledger, asked)
    if outcome:
        _publish(outcome, lambda: ledger.balance(request.dataset), options, copies)


def _base(options: Options) -> str:
    return check_run_id(options.run_id) if options.run_id is not None else new_run_id()


def _copies(options: Options) -> Copies | None:
    """Where copies go, when that is asked for and can be written; raises InputError."""
    if options.output is None:
        return None
    copies = Copies(options.output)
    copies.check(new_run=options.run_id is None)
    return copies


def _run_ids(base: str, engines: Sequence[str]) -> dict[str, str]:
    """Name the run of each engine after that of the command."""
    return {name: f"{base}-{name}" if len(engines) > 1 else base for name in engines}


def _publish(
    outcome: "Outcome", balance: Callable[[], Balance | None], options: Options, copies: Copies | None
) -> None:
    """Copy and print releases, which the ledger holds by now; `balance` is what is left after them."""
    with _stored(outcome.releases):
        if copies:
            copies.write(outcome.releases)
        if options.as_json:
            click.echo(array(list(outcome.releases.values())))
        else:
            from dpcloud.output import show_releases

            show_releases(outcome, balance())
        for notice in outcome.notices:
            click.echo(f"note: {notice}", err=True)


def _new_data_set(dataset: str, ledger: SQLiteLedger) -> str:
    return (
        f"the data set is new: it starts with a total epsilon of {ledger.default_total} (see `dpcloud budget`); "
        "a copy of the table, or another --dataset for it, would be another budget for the same rows"
    )


@contextlib.contextmanager
def _one_line(base: str, engines: Sequence[str]) -> Iterator[None]:
    """Add the command's run id to an error where its runs have ids of their own."""
    try:
        yield
    except (RunError, DoubtError, InterruptError) as error:
        if len(engines) == 1:
            raise
        raise type(error)(f"{error} (the run id of this command, for all engines, is {quoted(base)})") from None


@contextlib.contextmanager
def _in_doubt(ledger: SQLiteLedger, run_ids: Sequence[str]) -> Iterator[None]:
    """Explain an error that the job itself did not: it may have come after the reservation."""
    try:
        yield
    except DpError:
        raise
    except KeyboardInterrupt:
        if any(ledger.find(run_id) for run_id in run_ids):
            spent = "its epsilon stays spent; the same command with its run id gives its release at no further cost"
        else:
            spent = "nothing is spent"
        raise InterruptError(f"was interrupted; {spent}") from None
    except Exception as error:
        doubt = "whether epsilon is spent is in doubt (see `dpcloud budget history`)"
        raise DoubtError(f"{unexpected(error)}; {doubt}") from None


@contextlib.contextmanager
def _stored(run_ids: Iterable[str]) -> Iterator[None]:
    """Explain an error in showing releases that are in the ledger already: to show them again costs nothing."""
    again = f"the same command with the run id {', '.join(map(quoted, run_ids))} gives it again at no further cost"
    try:
        yield
    except DpError:
        raise
    except KeyboardInterrupt:
        raise InterruptError(
            f"was interrupted; the release is stored, and its epsilon stays spent; {again}"
        ) from None
    except Exception as error:
        with contextlib.suppress(OSError):  # the rest of the buffer would fail again when the process ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        what = "the output was closed" if isinstance(error, OSError) else unexpected(error)
        raise CopyError(f"the release is stored but could not be shown ({what}); {again}") from None
