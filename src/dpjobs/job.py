"""The one way from a specification to a release, the same on a laptop, on Glue and on EMR.

reserve → prepare → measure once → estimate → commit. Nothing noisy leaves this module before the commit, no
row is read before the reservation, and what fails in between stays charged: the same run id may finish it.
"""

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dpjobs import bounds as private_bounds
from dpjobs import engines, prepare
from dpjobs.errors import DoubtError, InputError, InterruptError, LedgerError, RunError, quoted
from dpjobs.estimate import estimate
from dpjobs.ledger.base import Ledger, Reservation
from dpjobs.measurement import plan
from dpjobs.query import JobSpec, Query
from dpjobs.release import found_bounds, given_bounds, to_json
from dpjobs.remote import HadoopFiles
from dpjobs.session import apply_settings
from dpjobs.source import LocalFiles, Source, inspect, is_local

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dpjobs.engines.base import Engine

SparkFactory = Callable[[Source | None], AbstractContextManager["SparkSession"]]
"""Starts Spark for a source; None when the source can only be looked at once Spark runs."""


@dataclass
class Outcome:
    """What became of the runs: each one's release by run id, and the seconds that its answer took.

    A release that was stored before took no seconds.
    """

    releases: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def run(
    specs: Sequence[JobSpec],
    ledger: Ledger,
    start_spark: SparkFactory,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Answer all specifications, which share one table, and return their committed releases.

    Either all are reserved or none. A run that is committed already is returned as it is stored and spends
    nothing. `say` is told in a few words what is going on. Raises InputError or LedgerError before anything is
    spent, DoubtError where that is not known, and RunError or InterruptError afterwards, with a message that quotes
    neither data nor a library.
    """
    reservations = [Reservation(s.run_id, s.dataset, s.budget, s.digest()) for s in specs]
    stored = ledger.check(reservations)
    todo = [spec for spec in specs if spec.run_id not in stored]
    outcome = Outcome(stored)
    if todo:
        ledger.ready()
        _run(todo, [r for r in reservations if r.run_id not in stored], ledger, start_spark, say, outcome)
    return Outcome({s.run_id: outcome.releases[s.run_id] for s in specs}, outcome.seconds)


def _run(
    specs: Sequence[JobSpec],
    reservations: Sequence[Reservation],
    ledger: Ledger,
    start_spark: SparkFactory,
    say: Callable[[str], None],
    outcome: Outcome,
) -> None:
    first = specs[0]
    source = _inspect(first, LocalFiles()) if is_local(first.uri) else None
    loading = _load_in_background([spec.engine for spec in specs])
    say("starting Spark")
    with start_spark(source) as spark:
        apply_settings(spark)
        table = source or _inspect(first, HadoopFiles(spark))
        _try_schema(spark, table, first)
        outcome.releases |= _reserve(ledger, reservations)
        for spec in specs:
            if spec.run_id in outcome.releases:
                continue
            started = time.monotonic()
            with _failing_safely(spec.run_id):
                say(f"{spec.describe()} by {engines.ENGINES[spec.engine].title}")
                release = answer(spark, loading(spec.engine), spec, table)
                stored = outcome.releases[spec.run_id] = ledger.commit(spec.run_id, release)
            if stored == release:  # else another process with this run id was faster
                outcome.seconds[spec.run_id] = time.monotonic() - started


def answer(spark: "SparkSession", engine: "Engine", spec: JobSpec, source: Source) -> str:
    """Draw one release's JSON. The caller has reserved its budget, and shows it to nobody before its commit."""
    rows = prepare.read(spark, source, spec.column)
    bounds, said = spec.bounds, None
    epsilon = spec.budget.epsilon
    if spec.finds_bounds:
        found = private_bounds.find(engine, prepare.numbers(rows), spec.bounds_budget())
        bounds, epsilon = found.bounds, epsilon - found.epsilon
        said = found_bounds(
            bounds.lower,
            bounds.upper,
            found.source,
            found.epsilon,
            found.beta,
            found.threshold,
            found.noise,
        )
    elif bounds is not None:
        said = given_bounds(bounds.lower, bounds.upper)
    todo = plan(spec.query, bounds, epsilon)
    noisy = engine.measure(prepare.prepare(rows, todo), todo.measurements)
    return to_json(spec, todo, noisy, estimate(todo, noisy, spec.confidence), engine.version, said)


def _inspect(spec: JobSpec, files: "LocalFiles | HadoopFiles") -> Source:
    source = inspect(spec.uri, spec.format, files)
    if spec.column is not None:
        source.check_column(spec.column, numeric=spec.query is not Query.COUNT)
    return source


def _try_schema(spark: "SparkSession", source: Source, spec: JobSpec) -> None:
    """Let Spark look at the schema, while a file that it cannot read still costs nothing."""
    try:
        prepare.read(spark, source, spec.column).schema  # noqa: B018 (resolves, reads no row)
    except Exception:  # the library's text may quote bytes of the file
        allowed = "columns of types that Spark reads (no nanosecond times), the same in every file"
        raise InputError.of("Spark cannot read this table", spec.uri, allowed) from None


def _reserve(ledger: Ledger, reservations: Sequence[Reservation]) -> dict[str, str]:
    """Reserve; a ledger that gives no answer may have done it all the same."""
    ids = ", ".join(quoted(r.run_id) for r in reservations)
    doubt = f"whether the epsilon of the run {ids} is spent is in doubt: the same command with that run id pays once"
    try:
        return ledger.reserve(reservations)
    except LedgerError as error:
        raise DoubtError(f"{error}; {doubt}") from None
    except KeyboardInterrupt:
        raise InterruptError(f"was interrupted; {doubt}") from None


@contextlib.contextmanager
def _failing_safely(run_id: str) -> Iterator[None]:
    """Turn any failure after the reservation into one line: the libraries' own texts can quote cells."""
    try:
        yield
    except LedgerError as error:
        raise RunError(f"{error}; {_unfinished(run_id, 'could not go on')}") from None
    except KeyboardInterrupt:
        raise InterruptError(_unfinished(run_id, "was interrupted")) from None
    except Exception:
        reason = "failed (the files could not be read to their end, Java stopped, or the disk is full)"
        raise RunError(_unfinished(run_id, reason)) from None


def _unfinished(run_id: str, how: str) -> str:
    return (
        f"the run {quoted(run_id)} {how} after its reservation, whose epsilon stays spent; "
        "the same command with that run id may finish it at no further cost"
    )


def _load_in_background(names: Sequence[str]) -> Callable[[str], "Engine"]:
    """Import the engines' libraries beside the start of the JVM, which mostly waits for itself."""

    def import_all() -> None:
        for name in names:
            with contextlib.suppress(Exception):  # it is raised again, and shown, where the engine is needed
                importlib.import_module(engines.ENGINES[name].module)

    thread = threading.Thread(target=import_all, daemon=True)
    thread.start()

    def load(name: str) -> "Engine":
        thread.join()
        return engines.load(name)

    return load


def main_glue(argv: Sequence[str], engine: str) -> int:
    """Run a Glue job's arguments and print its release; returns the exit code."""
    from dpjobs import arguments, cluster

    return cluster.main(argv, engine, arguments.parse_glue)


def main_emr(argv: Sequence[str], engine: str) -> int:
    """Run an EMR step's arguments and print its release; returns the exit code."""
    from dpjobs import arguments, cluster

    return cluster.main(argv, engine, arguments.parse_emr)
