"""Starts Spark once, then forks a process per line of JSON on standard input, each of which does one run.

A process may be told to end itself (SIGKILL, os._exit) at a seam of the way, or to meet an error there. What it would
show its user goes to the file `shows`; how it ended is told on standard output.

python nursery.py HOME, then lines of {"ledger", "shows", "specs": [{"run_id", …}], "seam", "how", "spark": bool, …}
"""

import contextlib
import functools
import itertools
import json
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import boto3.session
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dpcloud.java import use_java
from dpjobs import engines, job
from dpjobs.backends.base import Backend
from dpjobs.backends.spark import rows
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.backends.spark.rows import CELL
from dpjobs.backends.spark.session import local_session
from dpjobs.engines.base import Engine
from dpjobs.errors import LedgerError
from dpjobs.ledger import Ledger, SQLiteLedger, dynamodb_table
from dpjobs.ledger.dynamodb import DynamoDBLedger
from dpjobs.plan import Plan
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.release import Copies
from dpjobs.statistics import STATISTICS
from library.counting import CountingEngine

SECRET = "7654321.125"


def kill() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL leaves nobody")


def leave() -> NoReturn:
    os._exit(9)


def fail() -> NoReturn:
    raise RuntimeError(f"cell {SECRET}")


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def lose_the_ledger() -> NoReturn:
    raise LedgerError("the ledger is out of reach: given 'it'; allowed: one that answers")


HOWS = {"kill": kill, "exit": leave, "error": fail, "interrupt": interrupt, "ledger": lose_the_ledger}


def arm(seam: str, how: str, ledger: Any) -> None:
    """Make something happen to this process before, after or in a step of the way."""
    where, _, step = seam.partition(" ")
    counted = itertools.count(1)
    places: dict[str, tuple[Any, str, Callable[..., bool]]] = {
        "reserve": (ledger, "reserve", lambda *_: True),
        "histogram": (CountingEngine, "measure", lambda *given: given[-1].bins),
        "totals": (CountingEngine, "measure", lambda *given: not given[-1].bins),
        "second totals": (CountingEngine, "measure", lambda *given: not given[-1].bins and next(counted) == 2),
        "store of histogram": (ledger, "store_draws", lambda _, stage, __: stage == "histogram"),
        "store of totals": (ledger, "store_draws", lambda _, stage, __: stage == "totals"),
        "estimate": (type(STATISTICS[Query.VARIANCE]), "estimate", lambda *_: True),
        "commit": (ledger, "commit", lambda *_: True),
        "copy": (Copies, "write", lambda *_: True),
    }
    if step == "real totals":
        places[step] = (_real_engine(), "measure", lambda *_: True)
    owner, name, meant = places[step]
    real = getattr(owner, name)
    around = {"before": _before, "in": _in_the_middle, "after": _after}[where]

    @functools.wraps(real)
    def armed(*arguments: Any) -> Any:
        return (
            around(functools.partial(real, *arguments), HOWS[how], ledger) if meant(*arguments) else real(*arguments)
        )

    setattr(owner, name, armed)


def _real_engine() -> type[Engine]:
    """Imported in the process that draws: it draws in no other (docs/how-it-works.md, "Forks")."""
    from dpjobs.engines.pipelinedp import PipelineDPEngine

    return PipelineDPEngine


def _before(_: Callable[[], Any], happens: Callable[[], NoReturn], __: Any) -> NoReturn:
    happens()


def _after(real: Callable[[], Any], happens: Callable[[], NoReturn], _: Any) -> NoReturn:
    real()
    happens()


def _in_the_middle(real: Callable[[], Any], happens: Callable[[], NoReturn], ledger: Any) -> Any:
    """A SQLite ledger's step whose transaction is half in the file when it happens."""

    def half_written(db: sqlite3.Connection, _: str) -> None:
        db.execute("PRAGMA cache_size = 1")  # pages go to the file before the end, as at a COMMIT
        for _ in range(2):
            db.execute("UPDATE runs SET release = coalesce(release, '') || ?", ("x" * 300_000,))
        happens()

    ledger._find = half_written
    return real()


def _quote_the_cell(read: DataFrame, plan: Plan) -> DataFrame:
    """What ANSI mode does with a cell it cannot cast: an exception of Spark's own that quotes it."""
    error = F.raise_error(F.concat(F.lit("cell "), F.col(CELL))).cast("bigint")
    flags = (F.lit(False).alias(name) for name in (rows.FILLED, rows.BROKEN))
    return read.select(error.alias(rows.STEPS), F.lit(0.0).alias(rows.NUMBER), *flags)


def _ledger(name: str) -> Ledger:
    if not name.startswith("dynamodb:"):
        return SQLiteLedger(Path(name), busy_timeout_seconds=1)
    return DynamoDBLedger(name.removeprefix("dynamodb:"))


def _spec(told: dict[str, Any]) -> JobSpec:
    return JobSpec(
        run_id=told["run_id"],
        dataset="census",
        engine="pipelinedp",
        query=Query.parse(told.get("query", "SUM")),
        column=told.get("column", "TotalPop"),
        budget=PrivacyBudget(Decimal(told.get("epsilon", "1"))),
        uri=told["uri"],
        format="csv",
        bounds=None if told.get("finds") else Bounds(0.0, told.get("upper", 10.0)),
    )


def run(order: dict[str, Any], spark: SparkSession) -> dict[str, Any]:
    """What the command line does: the job, a copy, and what is shown. `log` asks for the counting engine."""
    os.environ.update(order.get("env", {}))
    ledger = _ledger(order["ledger"])
    specs = [_spec(told) for told in order["specs"]]
    raw: list[str] = []
    if "log" in order:
        engines.load = lambda _: CountingEngine(Path(order["log"]))  # type: ignore[assignment]
    if order.get("hostile"):
        rows.steps = _quote_the_cell
        measure = _real_engine().measure

        def noting(*arguments: Any) -> Any:
            try:
                return measure(*arguments)
            except Exception as error:
                raw.append(str(error))
                raise

        _real_engine().measure = noting  # type: ignore[method-assign]
    if order.get("seam"):
        arm(order["seam"], order["how"], ledger)

    @contextlib.contextmanager
    def start(_: object) -> Iterator[Backend]:
        assert order.get("spark", True), "Spark was started"
        yield SparkBackend(spark)

    try:
        outcome = job.run(specs, ledger, {"spark": start})
        if "copies" in order:
            Copies(order["copies"]).write(outcome.releases)
    except (Exception, KeyboardInterrupt) as error:
        told = {"error": type(error).__name__, "text": str(error), "traceback": traceback.format_exc()}
        return {**told, "raw": raw}
    return {"releases": outcome.releases, "notices": outcome.notices}


def _warm_up() -> None:
    """Load what every process would: boto3, and DynamoDB's model in the one session that all of them inherit."""
    session = boto3.session.Session()
    session.client("dynamodb", region_name="us-east-1")
    dynamodb_table.boto3.session.Session = lambda: session  # type: ignore[misc, assignment]


def main() -> None:
    use_java()
    _warm_up()
    with local_session(Path(sys.argv[1]), memory="1g", small=True) as spark:
        print("ready", flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                try:
                    Path(order["shows"]).write_text(json.dumps(run(order, spark)), encoding="utf-8")
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
