"""Starts Spark once, then forks a process per line of JSON on standard input, each of which does one run.

A process may be told to kill itself (SIGKILL) at a step of the way, or to meet an error there. What it would
show its user goes to the file `shows`; how it ended is told on standard output.

python nursery.py HOME, then lines of {"ledger", "shows", "specs": [{"run_id", …}], "die": step, "spark": bool}
"""

import contextlib
import functools
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

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dpcloud.java import use_java
from dpjobs import job, prepare
from dpjobs.engines.pipelinedp import PipelineDPEngine
from dpjobs.ledger import SQLiteLedger
from dpjobs.prepare import CELL
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.session import local_session


def die(*_: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL leaves nobody")


def then_die(real: Callable[..., Any], calls: int = 1) -> Callable[..., Any]:
    """`real`, after which the process dies, at its n-th call."""
    done = iter(range(1, calls + 1))

    @functools.wraps(real)
    def both(*arguments: Any) -> Any:
        result = real(*arguments)
        if next(done) == calls:
            die()
        return result

    return both


def arm(step: str, ledger: Any) -> None:
    """Make this process die at a step."""
    if step == "before reserve":
        ledger.reserve = die
    elif step == "after reserve":
        ledger.reserve = then_die(ledger.reserve)
    elif step == "after prepare":
        prepare.prepare = then_die(prepare.prepare)
    elif step == "after measure":
        PipelineDPEngine.measure = then_die(PipelineDPEngine.measure)
    elif step == "after the second measure":
        PipelineDPEngine.measure = then_die(PipelineDPEngine.measure, calls=2)
    elif step == "after estimate":
        job.estimate = then_die(job.estimate)
    elif step == "before commit":
        ledger.commit = die
    elif step == "in commit":
        ledger.commit = functools.partial(_die_in_commit, ledger, ledger.commit)
    elif step == "after commit":
        ledger.commit = then_die(ledger.commit)
    elif step == "interrupted":
        PipelineDPEngine.measure = _interrupt
    elif step == "hostile":
        prepare.prepare = _quote_the_cell
    elif step:
        raise ValueError(step)


def _die_in_commit(ledger: Any, commit: Callable[[str, str], str], run_id: str, release: str) -> str:
    def half_written(db: sqlite3.Connection, _: str) -> None:
        db.execute("PRAGMA cache_size = 1")  # pages go to the file before the end, as at a COMMIT
        for _ in range(2):
            db.execute("UPDATE runs SET release = release || ?", ("x" * 300_000,))
        die()

    ledger._find = half_written
    return commit(run_id, release)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _quote_the_cell(rows: DataFrame, _: Any) -> DataFrame:
    """What ANSI mode does with a cell it cannot cast: an exception of Spark's own that quotes it."""
    return rows.select(F.raise_error(F.concat(F.lit("cell "), F.col(CELL))).cast("bigint").alias("sum"))


def run(order: dict[str, Any], spark: SparkSession) -> dict[str, Any]:
    ledger = SQLiteLedger(Path(order["ledger"]), busy_timeout_seconds=1)
    specs = [
        JobSpec(
            run_id=spec["run_id"],
            dataset="census",
            engine="pipelinedp",
            query=Query.SUM,
            column=spec.get("column", "TotalPop"),
            budget=PrivacyBudget(Decimal(spec.get("epsilon", "1"))),
            uri=spec["uri"],
            format="csv",
            bounds=Bounds(0.0, spec.get("upper", 10.0)),
        )
        for spec in order["specs"]
    ]
    raw: list[str] = []
    arm(order.get("die", ""), ledger)
    measure = PipelineDPEngine.measure

    def noting(*arguments: Any) -> Any:
        try:
            return measure(*arguments)
        except Exception as error:
            raw.append(str(error))
            raise

    PipelineDPEngine.measure = noting  # type: ignore[method-assign]

    @contextlib.contextmanager
    def start(_: object) -> Iterator[SparkSession]:
        assert order.get("spark", True), "Spark was started"
        yield spark

    try:
        return {"releases": job.run(specs, ledger, start).releases}
    except Exception as error:
        told = {"error": type(error).__name__, "text": str(error), "traceback": traceback.format_exc()}
        return {**told, "raw": raw}


def main() -> None:
    use_java()
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
