"""A run's answer without the rest of its way: reserved in a ledger of its own, drawn, stored, estimated."""

import tempfile
from decimal import Decimal
from pathlib import Path

from dpjobs import job
from dpjobs.engines.base import Engine
from dpjobs.ledger import Reservation, SQLiteLedger
from dpjobs.query import JobSpec
from dpjobs.source import Source


def answer(spark, engine: Engine, spec: JobSpec, source: Source) -> str:
    """The release's JSON, from the very call that `job.run` makes."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = SQLiteLedger(Path(folder) / "ledger.sqlite", default_total=Decimal(10**6))
        ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest())])
        return job.answer(spark, engine, spec, source, ledger)
