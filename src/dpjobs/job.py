"""The one way from a specification to a release, the same on a laptop, on Glue and on EMR.

reserve → count → draw → store the draws → estimate → commit. No row is read before the reservation, and nothing is
computed from a draw, nor shown of it, before the run's row holds it: a run that comes again goes on from the draws
that are stored. What fails in between stays charged, and the same run id may finish it.
"""

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from dpjobs import answers, engines
from dpjobs.addresses import Place, dataset_of, is_local, place_of
from dpjobs.backends.base import Backend
from dpjobs.draws import Draws
from dpjobs.engines.base import Engine
from dpjobs.errors import DoubtError, InputError, InterruptError, LedgerError, RunError, quoted
from dpjobs.ledger.base import HISTOGRAM, TOTALS, Ledger, Reservation
from dpjobs.plan import Plan
from dpjobs.query import JobSpec, Query
from dpjobs.source import Files, LocalFiles, Source, inspect

Backends = Mapping[str, Callable[[Source | None], AbstractContextManager[Backend]]]
"""What counts here, by name, the best first. Each is started for a table; None: it cannot be looked at yet."""


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
    backends: Backends,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Answer all specifications, which share one table and column, and return their committed releases.

    Either all are reserved or none. A run that is committed already is returned as it is stored and spends
    nothing. `say` is called with a few words on what is going on. Raises InputError or LedgerError before anything is
    spent, DoubtError where that is not known, and RunError or InterruptError afterwards, with a message that quotes
    neither data nor a library.
    """
    for spec in specs:
        answers.check_epsilon(spec)
    reservations = _reservations(specs, Place(dataset_of(specs[0].uri)))
    outcome = Outcome(ledger.check(reservations))
    _repeat(specs, ledger, outcome)
    open_ = [spec for spec in specs if spec.run_id not in outcome.releases]
    if open_:
        ledger.ready()
        _run(open_, ledger, backends, say, outcome)
    return Outcome({s.run_id: outcome.releases[s.run_id] for s in specs}, outcome.seconds, outcome.notices)


def _reservations(specs: Sequence[JobSpec], place: Place) -> list[Reservation]:
    return [Reservation(s.run_id, s.dataset, s.budget, s.digest(), place) for s in specs]


def _repeat(specs: Sequence[JobSpec], ledger: Ledger, outcome: Outcome) -> None:
    """Finish the runs whose draws are all stored, and say of which runs the table is not what it was.

    Nothing is drawn and no row is read: neither a backend nor the table is needed.
    """
    now = None
    for spec in specs:
        run = ledger.find(spec.run_id)
        if run is None or not (run.release or answers.is_drawn(spec, run)):
            continue
        if spec.run_id not in outcome.releases:
            with _failing_safely(spec.run_id):
                outcome.releases[spec.run_id] = ledger.commit(spec.run_id, answers.release_of(spec, run.draws))
        if run.state is not None:
            now = now or place_of(spec.uri)
            if run.state != now.state:
                outcome.notices.append(
                    f"the table has changed since the run {quoted(spec.run_id)} was reserved: its release is of the "
                    "rows of then; a new run id asks those of now"
                )


def _refuse_changed(specs: Sequence[JobSpec], ledger: Ledger, place: Place) -> None:
    """Raise RunError where a run was reserved for other rows than those that lie there now.

    Otherwise a failed run could be used to read some other table once, on a budget that is not that table's, and
    bounds that were found in the old rows would clamp the new ones.
    """
    for spec in specs:
        run = ledger.find(spec.run_id)
        if run is not None and run.release is None and run.state not in (None, place.state):
            raise RunError(
                f"the table has changed since the run {quoted(spec.run_id)} was reserved, whose epsilon stays spent; "
                "a new run id asks the rows of now"
            )


def _backend_for(spec: JobSpec, backends: Backends) -> str:
    """The first backend that the engine runs on; raises InputError when there is none."""
    runs_on = engines.ENGINES[spec.engine].backends
    for name in backends:
        if not runs_on or name in runs_on:
            return name
    raise InputError.of("the engine does not run here", spec.engine, f"an engine that runs on {', '.join(backends)}")


def _run(
    specs: Sequence[JobSpec],
    ledger: Ledger,
    backends: Backends,
    say: Callable[[str], None],
    outcome: Outcome,
) -> None:
    first = specs[0]
    local = _inspect(first, LocalFiles()) if is_local(first.uri) else None
    place = place_of(first.uri)
    _refuse_changed(specs, ledger, place)
    reservations = _reservations(specs, place)
    ledger.check(reservations)  # once more, now that the files are known; nothing is started yet
    # backends first: this imports their libraries, which two threads must not import at the same time
    starting = {name: backends[name](local) for name in (_backend_for(spec, backends) for spec in specs)}
    loading = _load_in_background([spec.engine for spec in specs])
    with ExitStack() as stack:
        opened: dict[str, tuple[Backend, Source]] = {}
        for name, start in starting.items():
            say(f"starting {name}")
            backend = stack.enter_context(start)
            table = local or _inspect(first, backend.files(first.uri))
            backend.check(table, first.column)
            opened[name] = backend, table
        loaded = {spec.engine: _loaded(loading, spec.engine) for spec in specs}
        for spec in specs:
            loaded[spec.engine].check(answers.known_plan(spec))
        outcome.releases |= _reserve(ledger, reservations)
        for spec in specs:
            if spec.run_id in outcome.releases:
                continue
            started = time.monotonic()
            with _failing_safely(spec.run_id):
                say(f"{spec.describe()} by {engines.ENGINES[spec.engine].title}")
                backend, table = opened[_backend_for(spec, backends)]
                release = answer(backend, loaded[spec.engine], spec, table, ledger)
                stored = outcome.releases[spec.run_id] = ledger.commit(spec.run_id, release)
            if stored == release:  # else another process with this run id was faster
                outcome.seconds[spec.run_id] = time.monotonic() - started


def answer(backend: Backend, engine: Engine, spec: JobSpec, table: Source, ledger: Ledger) -> str:
    """Draw what a reserved run has not drawn yet, each part stored before anything is computed from it.

    Returns the release that follows from what is stored, whoever drew it; the caller shows it to nobody before it is
    committed.
    """
    run = ledger.find(spec.run_id)
    draws = run.draws if run else {}

    def draw(stage: str, plan: Plan) -> None:
        noisy = tuple(engine.measure(backend, table, plan))
        text = Draws(noisy, engine.version, backend.name, backend.version).to_json(plan)
        draws[stage] = ledger.store_draws(spec.run_id, stage, text)

    if spec.finds_bounds and HISTOGRAM not in draws:
        draw(HISTOGRAM, answers.histogram_plan(spec))
    if TOTALS not in draws:
        draw(TOTALS, answers.totals_plan(spec, draws))
    return answers.release_of(spec, draws)


def _inspect(spec: JobSpec, files: Files) -> Source:
    source = inspect(spec.uri, spec.format, files)
    if spec.column is not None:
        source.check_column(spec.column, numeric=spec.query is not Query.COUNT)
    return source


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
    """Turn any failure after the reservation into one line; a library's own text can quote cells."""
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


def _loaded(loading: Callable[[str], Engine], name: str) -> Engine:
    """Return the engine. A library that cannot be imported is found here, before it costs anything."""
    try:
        return loading(name)
    except Exception as error:  # its text names paths of this machine
        allowed = "an engine whose libraries are installed, as `make setup` does"
        raise InputError.of(f"the engine does not load ({type(error).__name__})", name, allowed) from None


def _load_in_background(names: Sequence[str]) -> Callable[[str], Engine]:
    """Import the engines' libraries in a thread while a backend starts, which is mostly waiting."""

    def import_all() -> None:
        for name in names:
            with contextlib.suppress(Exception):  # raised again, and shown, where the engine is needed
                importlib.import_module(engines.ENGINES[name].module)

    thread = threading.Thread(target=import_all, daemon=True)
    thread.start()

    def load(name: str) -> Engine:
        thread.join()
        return engines.load(name)

    return load
