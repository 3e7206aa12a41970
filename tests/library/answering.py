"""A run's answer without the rest of its way, and backends that read nothing."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dpjobs import job
from dpjobs.backends.base import Backend
from dpjobs.engines.base import Engine
from dpjobs.epsilon import Epsilon
from dpjobs.ledger import Reservation, SQLiteLedger
from dpjobs.plan import Plan
from dpjobs.query import JobSpec
from dpjobs.source import LocalFiles, Source


class Told(Backend):
    """Gives the totals that it is told, whatever the table holds; without any it must not be asked."""

    name = "told"
    version = "told 1"

    def __init__(self, *totals: int) -> None:
        self._told = totals

    def files(self, uri: str) -> LocalFiles:
        return LocalFiles()

    def check(self, table: Source, column: str | None) -> None:
        pass

    def _totals(self, table: Source, plan: Plan) -> Sequence[int]:
        assert self._told, "rows are read"
        return self._told


def through(backend: Backend, name: str = "spark") -> job.Backends:
    """What `job.run` takes, of one backend that is there already; on Spark every engine runs."""
    return {name: lambda _: contextlib.nullcontext(backend)}


def _nothing(_: object) -> contextlib.AbstractContextManager[Backend]:
    raise AssertionError("a backend was started")


NOWHERE: job.Backends = {"nowhere": _nothing}
"""Nothing must be started."""


def answer(backend: Backend, engine: Engine, spec: JobSpec, source: Source) -> str:
    """The release's JSON, from the very call that `job.run` makes."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = SQLiteLedger(Path(folder) / "ledger.sqlite", default_total=Epsilon(10**6))
        ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest())])
        return job.answer(backend, engine, spec, source, ledger)
