"""The one way from a specification to a release, the same on a laptop, on Glue and on EMR.

reserve → prepare → draw → store the draws → estimate → commit. No row is read before the reservation, and nothing is
computed from a draw, nor shown of it, before the run's row holds it: a run that comes again goes on from the draws
that are stored. What fails in between stays charged, and the same run id may finish it.
"""

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dpjobs import bounds as private_bounds
from dpjobs import engines, prepare
from dpjobs.addresses import Place, dataset_of, is_local, place_of
from dpjobs.draws import Histogram, Totals
from dpjobs.errors import DoubtError, InputError, InterruptError, LedgerError, RunError, quoted
from dpjobs.estimate import estimate
from dpjobs.ledger.base import HISTOGRAM, TOTALS, Ledger, Reservation, Run
from dpjobs.measurement import Plan, plan
from dpjobs.query import JobSpec, Query
from dpjobs.release import found_bounds, given_bounds, to_json
from dpjobs.remote import HadoopFiles
from dpjobs.session import apply_settings
from dpjobs.source import LocalFiles, Source, inspect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dpjobs.engines.base import Engine

SparkFactory = Callable[[Source | None], AbstractContextManager["SparkSession"]]
"""Starts Spark for a source; None when the source can only be looked at once Spark runs."""


@dataclass
class Outcome:
    """What became of the runs: each one's release by run id, and the seconds that its answer took.

    A release that was stored before, or whose draws were, took no seconds. `notices` are for whoever asked: each is
    a line on what a release is not.
    """

    releases: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


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
    reservations = _reservations(specs, Place(dataset_of(specs[0].uri)))
    outcome = Outcome(ledger.check(reservations))
    _repeat(specs, ledger, outcome)
    todo = [spec for spec in specs if spec.run_id not in outcome.releases]
    if todo:
        ledger.ready()
        _run(todo, ledger, start_spark, say, outcome)
    return Outcome({s.run_id: outcome.releases[s.run_id] for s in specs}, outcome.seconds, outcome.notices)


def _reservations(specs: Sequence[JobSpec], place: Place) -> list[Reservation]:
    return [Reservation(s.run_id, s.dataset, s.budget, s.digest(), place) for s in specs]


def _repeat(specs: Sequence[JobSpec], ledger: Ledger, outcome: Outcome) -> None:
    """Finish the runs whose draws are all stored, and say of which runs the table is not what it was.

    Nothing is drawn and no row is read: neither Spark nor the table is needed.
    """
    now = None
    for spec in specs:
        run = ledger.find(spec.run_id)
        if run is None or not (run.release or _is_drawn(spec, run)):
            continue
        if spec.run_id not in outcome.releases:
            with _failing_safely(spec.run_id):
                outcome.releases[spec.run_id] = ledger.commit(spec.run_id, release_of(spec, run.draws))
        if run.state is not None:
            now = now or place_of(spec.uri)
            if run.state != now.state:
                outcome.notices.append(
                    f"the table has changed since the run {quoted(spec.run_id)} was reserved: its release is of the "
                    "rows of then; a new run id asks those of now"
                )


def _refuse_changed(specs: Sequence[JobSpec], ledger: Ledger, place: Place) -> None:
    """Raise RunError where a run was reserved for other rows than those that lie there now.

    Else every run that failed would be a ticket for reading some other table once, on the budget of its own, and
    bounds found in the rows of then would clamp those of now.
    """
    for spec in specs:
        run = ledger.find(spec.run_id)
        if run is not None and run.release is None and run.state not in (None, place.state):
            raise RunError(
                f"the table has changed since the run {quoted(spec.run_id)} was reserved, whose epsilon stays spent; "
                "a new run id asks the rows of now"
            )


def _is_drawn(spec: JobSpec, run: Run) -> bool:
    return TOTALS in run.draws and (HISTOGRAM in run.draws or not spec.finds_bounds)


def _run(
    specs: Sequence[JobSpec],
    ledger: Ledger,
    start_spark: SparkFactory,
    say: Callable[[str], None],
    outcome: Outcome,
) -> None:
    first = specs[0]
    source = _inspect(first, LocalFiles()) if is_local(first.uri) else None
    place = place_of(first.uri)
    _refuse_changed(specs, ledger, place)
    reservations = _reservations(specs, place)
    ledger.check(reservations)  # once more: the files are known by now, and Spark is not started yet
    loading = _load_in_background([spec.engine for spec in specs])
    say("starting Spark")
    with start_spark(source) as spark:
        apply_settings(spark)
        table = source or _inspect(first, HadoopFiles(spark))
        _try_schema(spark, table, first)
        loaded = {spec.engine: _loaded(loading, spec.engine) for spec in specs}
        outcome.releases |= _reserve(ledger, reservations)
        for spec in specs:
            if spec.run_id in outcome.releases:
                continue
            started = time.monotonic()
            with _failing_safely(spec.run_id):
                say(f"{spec.describe()} by {engines.ENGINES[spec.engine].title}")
                release = answer(spark, loaded[spec.engine], spec, table, ledger)
                stored = outcome.releases[spec.run_id] = ledger.commit(spec.run_id, release)
            if stored == release:  # else another process with this run id was faster
                outcome.seconds[spec.run_id] = time.monotonic() - started


def answer(spark: "SparkSession", engine: "Engine", spec: JobSpec, source: Source, ledger: Ledger) -> str:
    """Draw what a reserved run has not drawn yet, each part stored before anything is computed from it.

    Returns the release that follows from what is stored, whoever drew it; the caller shows it to nobody before it is
    committed.
    """
    run = ledger.find(spec.run_id)
    draws = run.draws if run else {}
    rows = prepare.read(spark, source, spec.column)
    if spec.finds_bounds and HISTOGRAM not in draws:
        counts, noise = private_bounds.draw(engine, prepare.numbers(rows), spec.bounds_budget())
        drawn = Histogram(tuple(counts), noise, engine.version)
        text = drawn.to_json(private_bounds.asked(spec.bounds_budget()), private_bounds.BINS)
        draws[HISTOGRAM] = ledger.store_draws(spec.run_id, HISTOGRAM, text)
    if TOTALS not in draws:
        todo = _plan(spec, _found(spec, draws))
        noisy = engine.measure(prepare.prepare(rows, todo), todo.measurements)
        text = Totals(tuple(noisy), engine.version).to_json(todo)
        draws[TOTALS] = ledger.store_draws(spec.run_id, TOTALS, text)
    return release_of(spec, draws)


def release_of(spec: JobSpec, draws: Mapping[str, str]) -> str:
    """Return the release's JSON, which follows from the specification and its stored draws alone.

    Raises LedgerError when these are malformed, or drawn for another plan.
    """
    found = _found(spec, draws)
    todo = _plan(spec, found)
    totals = Totals.from_json(draws[TOTALS], todo)
    version, said = totals.engine_version, None
    if found is not None:
        said = found_bounds(
            found.bounds.lower,
            found.bounds.upper,
            found.source,
            found.epsilon,
            found.beta,
            found.threshold,
            found.noise,
        )
        histogram_version = _histogram(spec, draws).engine_version
        if histogram_version != version:  # the library was changed between two attempts
            version = f"{version} (bounds: {histogram_version})"
    elif spec.bounds is not None:
        said = given_bounds(spec.bounds.lower, spec.bounds.upper)
    return to_json(spec, todo, totals.noisy, estimate(todo, totals.noisy, spec.confidence), version, said)


def _histogram(spec: JobSpec, draws: Mapping[str, str]) -> Histogram:
    asked = private_bounds.asked(spec.bounds_budget())
    return Histogram.from_json(draws[HISTOGRAM], asked, private_bounds.BINS)


def _found(spec: JobSpec, draws: Mapping[str, str]) -> private_bounds.FoundBounds | None:
    """The bounds that the stored histogram shows, None where bounds are given or not needed."""
    if not spec.finds_bounds:
        return None
    histogram = _histogram(spec, draws)
    return private_bounds.found(histogram.counts, histogram.noise, spec.bounds_budget())


def _plan(spec: JobSpec, found: private_bounds.FoundBounds | None) -> Plan:
    if found is None:
        return plan(spec.query, spec.bounds, spec.budget.epsilon)
    return plan(spec.query, found.bounds, spec.budget.epsilon - found.epsilon)


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
        allowed = "files that Spark 3.5 can read, each in its format"
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


def _loaded(loading: Callable[[str], "Engine"], name: str) -> "Engine":
    """Return the engine, while a library that does not import still costs nothing."""
    try:
        return loading(name)
    except Exception as error:  # its text names paths of this machine
        allowed = "an engine whose libraries are installed, as `make setup` does"
        raise InputError.of(f"the engine does not load ({type(error).__name__})", name, allowed) from None


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
