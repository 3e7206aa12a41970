"""A run under spark-submit, which Glue and EMR both are: arguments in, one release out, any failure in one line."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from dpjobs import job
from dpjobs.addresses import Place
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.backends.spark.session import PRIVATE_SETTINGS
from dpjobs.engines import check_hardened
from dpjobs.errors import INTERRUPTED, SPENT, BudgetError, DpError, InputError, InterruptError, quoted
from dpjobs.ledger import Ledger, SQLiteLedger
from dpjobs.ledger.base import no_budget
from dpjobs.platforms.arguments import Arguments
from dpjobs.query import check_run_id
from dpjobs.release import Copies

_TABLE = "dynamodb:"


def to_stderr(line: str) -> None:
    """Print the line of an error."""
    print(line, file=sys.stderr)


def main(
    argv: Sequence[str],
    engine: str,
    parse: Callable[[Sequence[str]], Arguments],
    others: Sequence[str] = (),
    say: Callable[[str], None] = to_stderr,
) -> int:
    """Run one job with the arguments of a script and print its release; returns the exit code (see dpjobs.errors).

    `engine` is the script's own, `others` those that `--engine` may name instead. `say` is told why it failed.
    """
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)  # py4j logs Java's texts, which can quote cells
    try:
        _run(parse(argv), engine, others)
    except DpError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("the job was interrupted before its reservation: nothing is spent")
        return INTERRUPTED
    except Exception as error:  # a traceback's last line may quote the data
        doubt = "whether its epsilon is spent is in doubt: the same run id pays once"
        say(f"the job failed: unexpected {type(error).__name__}; {doubt}")
        return SPENT
    return 0


def _run(arguments: Arguments, own: str, others: Sequence[str]) -> None:
    engine, request = _engine(arguments, own, others), arguments.request
    if arguments.run_id is not None:
        check_run_id(arguments.run_id)
    ledger = _ledger(arguments.ledger)
    # before the address is looked at: someone who may not ask about a table must not learn whether it is there
    try:
        ledger.admit(request.dataset, Place(request.address))
    except BudgetError:
        if not arguments.by_address:
            raise
        # someone who may not choose the name must learn no other from a refusal, such as the tables in a folder
        raise no_budget(request.dataset) from None
    copies = Copies(arguments.releases) if arguments.releases else None
    if copies:
        copies.check(new_run=False)
    stored: list[str] = []
    try:
        with _spark() as spark:
            backend = SparkBackend(spark)
            # YARN's second attempt at an application has the id of the first
            run_id = arguments.run_id_or(spark.sparkContext.applicationId)
            specs = request.jobs({engine: run_id}, backend.files(request.uri))
            outcome = job.run(specs, ledger, {backend.name: lambda _: contextlib.nullcontext(backend)})
            stored += outcome.releases
            if copies:
                copies.write(outcome.releases)
            for notice in outcome.notices:
                print(f"note: {notice}", file=sys.stderr)
        print(outcome.releases[run_id], flush=True)
    except KeyboardInterrupt:
        if not stored:
            raise
        again = f"the same job with the run id {quoted(stored[0])} gives it again at no further cost"
        raise InterruptError(
            f"the job was interrupted; the release is stored, and its epsilon stays spent; {again}"
        ) from None


def _engine(arguments: Arguments, own: str, others: Sequence[str]) -> str:
    name = own if arguments.engine is None else arguments.engine.strip().lower()
    if name not in (own, *others):
        raise InputError.of("an engine that this script does not run", arguments.engine, ", ".join([own, *others]))
    return check_hardened(name, arguments.unhardened)


@contextlib.contextmanager
def _spark() -> Iterator[SparkSession]:
    builder = SparkSession.builder
    for key, value in PRIVATE_SETTINGS.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    try:
        if spark.sparkContext.uiWebUrl is not None:
            raise InputError("Spark's UI is on, and shows exact counts; allowed: spark.ui.enabled=false")
        if spark.sparkContext.getConf().get("spark.eventLog.enabled", "false") != "false":
            raise InputError("Spark's event log is on, and holds exact counts; allowed: spark.eventLog.enabled=false")
        spark.sparkContext.setLogLevel("OFF")  # Spark's messages can quote cells and counts
        yield spark
    finally:
        spark.stop()


def _ledger(given: str | None) -> Ledger:
    """Open the ledger that is named, before Spark starts.

    It grants no budget by itself: on a machine that lives for one run, a new file would be a full budget every time.
    """
    if not given:
        raise InputError("no ledger; allowed: --ledger, a DynamoDB table or a SQLite file")
    if not given.startswith((_TABLE, "arn:")):
        path = Path(given.removeprefix("sqlite:"))
        if "://" in given or not path.parent.is_dir():
            allowed = "the path of a SQLite ledger, dynamodb:TABLE, or the ARN of a DynamoDB table"
            raise InputError.of("no such ledger", given, allowed)
        return SQLiteLedger(path, default_total=None)
    from dpjobs.ledger.dynamodb import DynamoDBLedger, region_of

    table = given.removeprefix(_TABLE)
    region = region_of(table)
    if region is not None:  # the copy in S3 needs one, too, and a cluster's machine may have none
        os.environ.setdefault("AWS_DEFAULT_REGION", region)
    ledger = DynamoDBLedger(table)
    ledger.ready()
    return ledger
