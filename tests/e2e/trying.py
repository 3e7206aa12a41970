"""A run that meets a fault, and the same run again: what holds of both, whatever the fault and the target."""

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from e2e.cloud import Cloud, Question, Started
from e2e.endpoint import Fault
from e2e.faults import Kill
from e2e.seen import TARGETS, Look, keep

QUESTION = Question()


def county_table() -> bytes:
    """A table like the article's: TotalPop of 2,000 places."""
    rows = (f"{i},Somewhere County {i},{i * 37 % 40000}\n" for i in range(2000))
    return b"CountyId,County,TotalPop\n" + "".join(rows).encode()


def new_id() -> str:
    """A run id of our own."""
    return f"run-{uuid.uuid4().hex[:12]}"


def on_both(try_one: Callable[[str], None]) -> None:
    """Do the same on both targets at once; an error of either is raised."""
    with ThreadPoolExecutor(len(TARGETS)) as pool:
        for done in [pool.submit(try_one, target) for target in TARGETS]:
            done.result()


def look(aws: Cloud, address: str, run: Started) -> Look:
    """The run as it is now."""
    row = aws.row(run.run_id)
    copied = aws.copy(run.target, run.run_id) is not None
    return Look(run.state, f"{aws.spent(address).normalize():f}", "totals" in row, "release" in row, copied)


def kill(aws: Cloud, table: bytes, target: str, point: Kill) -> None:
    """A run whose Spark is killed at this step, and the same run again."""
    address, run_id = aws.data(table, "5"), new_id()
    with aws.endpoint.failing(point.fault(aws, run_id)):
        first = aws.run(target, address, run_id, QUESTION)
    assert first.state == "FAILED", first
    seen = look(aws, address, first)
    assert (seen.charged, seen.drawn, seen.released, seen.copied) == (
        "1" if point.charged else "0", point.drawn, point.committed, False
    ), (point, target, seen)  # fmt: skip
    assert '"value"' not in aws.worker.printed(first.id)
    keep(f"Spark {point.name}", target, seen, again(aws, address, first))


def again(aws: Cloud, address: str, first: Started) -> Look:
    """The same run once more: it ends with the one release, from the draws that were stored, for one charge."""
    before = aws.row(first.run_id)
    second = aws.run(first.target, address, first.run_id, QUESTION)
    aws.release(second)
    after = aws.row(first.run_id)
    for name in ("totals", "release", "epsilon", "digest"):
        assert before.get(name, after[name]) == after[name], name
    assert aws.spent(address) == Decimal(QUESTION.epsilon)
    return look(aws, address, second)


def in_spite_of(
    aws: Cloud, table: bytes, target: str, name: str, faults: Callable[[str, str], Sequence[Fault]]
) -> None:
    """A run that succeeds in spite of these faults."""
    address, run_id = aws.data(table, "5"), new_id()
    with aws.endpoint.failing(*faults(address, run_id)):
        run = aws.run(target, address, run_id, QUESTION)
    aws.release(run)
    assert aws.spent(address) == Decimal(QUESTION.epsilon)
    keep(name, target, look(aws, address, run))
