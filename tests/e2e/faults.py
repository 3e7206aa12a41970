"""The steps of a run as they look from outside, and what can go wrong at each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from e2e.cloud import Cloud
from e2e.endpoint import Call, Fault

Matcher = Callable[[Call], bool]
ALL_ATTEMPTS = 100


def reserving(run_id: str) -> Matcher:
    """The transaction that charges the run."""
    return lambda call: call.operation == "TransactWriteItems" and call.names(f"run#{run_id}")


def storing(run_id: str) -> Matcher:
    """The update that stores what was drawn."""
    return lambda call: call.operation == "UpdateItem" and call.names(f"run#{run_id}", '"#stage"')


def committing(run_id: str) -> Matcher:
    """The update that stores the release."""
    return lambda call: call.operation == "UpdateItem" and call.names(f"run#{run_id}", "committed_at")


def copying(run_id: str) -> Matcher:
    """The object that is the release's copy."""
    return lambda call: call.operation == "PUT" and call.names(f"/{run_id}.json")


def reading(address: str) -> Matcher:
    """A look at the table: at its address, or into it."""
    return lambda call: call.operation in ("GET", "HEAD") and call.names(urlsplit(address).path)


@dataclass(frozen=True)
class Kill:
    """SIGKILL of the driver at one step of a run, and what is true of the ledger then."""

    name: str
    step: Callable[[str], Matcher]
    arrives: bool
    charged: bool
    drawn: bool
    committed: bool

    def fault(self, aws: Cloud, run_id: str) -> Fault:
        """The kill, before the call arrives or when it has been done; either way nobody hears the answer."""
        kill = partial(aws.worker.kill_spark, run_id)
        if self.arrives:
            return Fault(self.step(run_id), after=kill)
        return Fault(self.step(run_id), before=kill)


KILLS = (
    Kill("killed before its reservation", reserving, False, charged=False, drawn=False, committed=False),
    Kill("killed after its reservation", reserving, True, charged=True, drawn=False, committed=False),
    Kill("killed before its draw is stored", storing, False, charged=True, drawn=False, committed=False),
    Kill("killed after its draw is stored", storing, True, charged=True, drawn=True, committed=False),
    Kill("killed before its commit", committing, False, charged=True, drawn=True, committed=False),
    Kill("killed after its commit", committing, True, charged=True, drawn=True, committed=True),
    Kill("killed before its copy", copying, False, charged=True, drawn=True, committed=True),
)
