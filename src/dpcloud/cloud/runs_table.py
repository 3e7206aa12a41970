"""The list of runs: Glue, EMR and the ledger in one, each line as far as whoever asks may know it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from dpcloud.aws.errors import AwsError
from dpcloud.aws.stacks import Deployment
from dpcloud.aws.starters import starters
from dpcloud.cloud.following import elapsed, usd
from dpcloud.targets.base import CloudRun, Target
from dpcloud.targets.emr import Emr
from dpcloud.targets.glue import Glue
from dpcloud.words import printable
from dpjobs.ledger import Ledger, Run

_Told = TypeVar("_Told")
_WIDTH = 160  # of a table that goes to a file


@dataclass(frozen=True)
class Line:
    """One run: as AWS knows it, as the ledger does, or both; `when` is UTC, ISO 8601."""

    name: str
    when: str
    run: CloudRun | None = None
    row: Run | None = None
    who: str = ""

    @property
    def state(self) -> str:
        """AWS's word, or the ledger's where AWS has none."""
        if self.run is not None:
            return self.run.state
        return "released" if self.row and self.row.release else "reserved"

    @property
    def dataset(self) -> str:
        """What is charged, or would have been: a run that failed before may be in no ledger."""
        if self.row is not None:
            return self.row.dataset
        return self.run.question.uri if self.run and self.run.question else ""


@dataclass
class Collected:
    """The lines, the newest first, and what could not be looked at."""

    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def collect(deployment: Deployment, ledger: Ledger, limit: int) -> Collected:
    """Read the newest runs of everything that is deployed and may be looked at; raises LedgerError or AwsError."""
    collected = Collected()
    rows = {row.run_id: row for dataset in ledger.datasets() for row in ledger.history(dataset)}
    found: list[CloudRun] = []
    for ending, kind in (("glue", Glue), ("emr", Emr)):
        found += _allowed(collected, kind.title, partial(_runs, deployment, ending, kind, limit)) or []
    who = _who(collected) if found else {}
    known: set[str] = set()
    for run in found:
        row = rows.get(run.name)
        known.add(run.name)
        started = run.started_at.astimezone(UTC).isoformat(timespec="microseconds") if run.started_at else ""
        starter = who.get(run.name) or who.get(run.platform_id.rpartition("/")[2], "")
        collected.lines.append(Line(run.name, started, run, row, starter))
    for row in rows.values():
        if row.run_id not in known:
            collected.lines.append(Line(row.run_id, row.reserved_at, None, row))
    collected.lines.sort(key=lambda line: line.when, reverse=True)
    del collected.lines[limit:]
    return collected


def show(lines: list[Line]) -> None:
    """Print them as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table("run id", "on", "state", "started (UTC)", "time", "USD", "epsilon", "who", "data set")
    for line in lines:
        run, row = line.run, line.row
        table.add_row(
            printable(line.name),
            run.target if run else "",
            line.state,
            line.when[:19].replace("T", " "),
            elapsed(run.seconds) if run and run.seconds is not None else "",
            usd(run.usd) if run and run.usd is not None else "",
            str(row.epsilon) if row else "0",
            line.who,
            printable(line.dataset),
        )
    console.print(table, soft_wrap=False)


def to_json(lines: list[Line]) -> str:
    """Return them as a JSON array."""
    return json.dumps([_told(line) for line in lines], indent=2)


def _told(line: Line) -> dict[str, Any]:
    run, row = line.run, line.row
    return {
        "run_id": line.name,
        "on": run.target if run else None,
        "platform_id": run.platform_id if run else None,
        "state": line.state,
        "reason": (run.reason or None) if run else None,
        "started": line.when or None,
        "seconds": run.seconds if run else None,
        "usd": float(round(run.usd, 4)) if run and run.usd is not None else None,
        "epsilon": float(row.epsilon) if row else 0,
        "released": bool(row and row.release),
        "who": line.who or None,
        "dataset": line.dataset or None,
    }


def _runs(deployment: Deployment, ending: str, kind: type[Target], limit: int) -> list[CloudRun]:
    if deployment.outputs(ending) is None:
        return []
    runs: Iterator[CloudRun] = kind(deployment).runs()
    return list(islice(runs, limit))


def _who(collected: Collected) -> dict[str, str]:
    """Who started the runs, where CloudTrail tells: the list is worth having without."""
    try:
        return starters()
    except AwsError as error:
        collected.notes.append(f"not shown, who started them: {error}")
        return {}


def _allowed(collected: Collected, what: str, look: Callable[[], _Told]) -> _Told | None:
    """Look, or note what may not be looked at."""
    try:
        return look()
    except AwsError as error:
        if not error.denied:
            raise
        missing = f" (it takes {error.action})" if error.action else ""
        collected.notes.append(f"not shown, for you may not: {what}{missing}")
        return None
