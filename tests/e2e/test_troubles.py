"""AWS has troubles, or YARN tries again, or two want the last of a budget: one charge, one draw, one release."""

import contextlib
import json
import threading
import time

import pytest

from e2e.cloud import PREFIX, Cloud, Question, Started, asking
from e2e.endpoint import FORWARD, Fault
from e2e.faults import committing, copying, reading, reserving, storing
from e2e.seen import keep
from e2e.trying import QUESTION, again, in_spite_of, look, new_id, on_both

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]
EVERY = 10**6
OUTAGE_SECONDS = 20.0


def lost() -> None:
    """The server has done it; nobody hears of it."""


def unavailable() -> int:
    """What S3 answers when it is too busy."""
    return 503


class TestOneAnswerIsLost:
    """DynamoDB has done what it was asked, and the connection breaks: botocore asks again."""

    def test_every_kind_of_call(self, aws: Cloud, table: bytes) -> None:
        name = "DynamoDB's answer lost after each of charge, draw and commit"

        def faults(_: str, run_id: str) -> list[Fault]:
            return [Fault(step(run_id), after=lost) for step in (reserving, storing, committing)]

        on_both(lambda target: in_spite_of(aws, table, target, name, faults))


@pytest.mark.parametrize("step", [reserving, storing, committing], ids=["charge", "draw", "commit"])
def test_all_answers_are_lost(aws: Cloud, table: bytes, step) -> None:
    """DynamoDB works, and is not heard at one step however often it is asked: the run fails in one line."""
    named = {reserving: "the charge", storing: "the draw", committing: "the commit"}[step]

    def one(target: str) -> None:
        address, run_id = aws.data(table, "5"), new_id()
        with aws.endpoint.failing(Fault(step(run_id), after=lost, times=EVERY)):
            first = aws.run(target, address, run_id, QUESTION)
        assert first.state == "FAILED"
        seen = look(aws, address, first)
        assert (seen.charged, seen.drawn, seen.released, seen.copied) == (
            "1", step is not reserving, step is committing, False
        )  # fmt: skip
        said = aws.worker.printed(first.id)
        assert '"value"' not in said
        assert "with that run id" in said
        keep(f"DynamoDB's every answer lost to {named}", target, seen, again(aws, address, first))

    on_both(one)


def test_a_run_that_fails_is_explained_where_it_was_asked(aws: Cloud, table: bytes) -> None:
    """The command ends with 3 and says why in one line; what the script has said is in the logs that it names."""

    def one(target: str) -> None:
        address, run_id = aws.data(table, "5"), new_id()
        with aws.endpoint.failing(Fault(committing(run_id), after=lost, times=EVERY)):
            done = aws.dpcloud(*asking(target, address, run_id, QUESTION, "pipelinedp"), code=3)
        [reason] = [line for line in done.stderr.splitlines() if "spent" in line]
        assert run_id in reason
        assert "the same command with that run id" in aws.dpcloud("logs", run_id, "--stack", PREFIX).stdout
        again = aws.dpcloud(*asking(target, address, run_id, QUESTION, "pipelinedp"), "--json")
        assert json.loads(again.stdout) == [json.loads(aws.row(run_id)["release"])]
        assert aws.spent(address) == 1

    on_both(one)


def test_s3_is_unavailable_for_a_while(aws: Cloud, table: bytes) -> None:
    """From the first look at the table on, for twenty seconds, and at the first attempts to write the copy."""

    def faults(address: str, run_id: str) -> list[Fault]:
        began: list[float] = []

        def outage() -> int:
            began.append(time.monotonic())
            return unavailable() if began[-1] - began[0] < OUTAGE_SECONDS else FORWARD

        return [
            Fault(reading(address), before=outage, times=EVERY),
            Fault(copying(run_id), before=unavailable, times=2),
        ]

    name = "S3 answers 503 for 20 s to who reads the table, and twice to who writes the copy"
    on_both(lambda target: in_spite_of(aws, table, target, name, faults))


def test_the_copy_cannot_be_written(aws: Cloud, table: bytes) -> None:
    def one(target: str) -> None:
        address, run_id = aws.data(table, "5"), new_id()
        with aws.endpoint.failing(Fault(copying(run_id), before=unavailable, times=EVERY)):
            first = aws.run(target, address, run_id, QUESTION)
        assert first.state == "FAILED"
        assert "the release itself is safe in the ledger" in aws.worker.printed(first.id)
        seen = look(aws, address, first)
        assert (seen.charged, seen.drawn, seen.released, seen.copied) == ("1", True, True, False)
        keep("S3 answers 503 to who writes the copy, to the end", target, seen, again(aws, address, first))

    on_both(one)


def test_yarn_tries_a_second_time(aws: Cloud, table: bytes) -> None:
    """As deployed YARN makes one attempt; a step that asks for two ends with the one release of its run id."""
    address, run_id = aws.data(table, "5"), new_id()
    killing = Fault(storing(run_id), after=lambda: aws.worker.kill_spark(run_id))
    with aws.endpoint.failing(killing):
        run = aws.run("emr", address, run_id, QUESTION, **{"spark.yarn.maxAppAttempts": "2"})
    application = aws.worker.applications[run.id]
    assert aws.worker.yarn.attempts(application) == 2
    aws.release(run)
    assert aws.spent(address) == 1
    keep("YARN's application master killed; the step allows a second attempt", "emr", look(aws, address, run))


def test_the_steps_client_is_killed(aws: Cloud, table: bytes) -> None:
    """EMR then calls the step failed, while its application goes on to its end."""
    address, run_id = aws.data(table, "5"), new_id()
    killing = Fault(reading(address), before=lambda: _kill_client(aws, run_id) or FORWARD)
    with aws.endpoint.failing(killing):
        first = aws.run("emr", address, run_id, QUESTION)
        assert first.state == "FAILED"
        for _ in range(600):
            if aws.copy("emr", run_id):
                break
            time.sleep(0.2)
    seen = look(aws, address, first)
    assert (seen.charged, seen.released, seen.copied) == ("1", True, True)
    keep("the step's spark-submit killed on the primary node", "emr", seen, again(aws, address, first))


def _kill_client(aws: Cloud, run_id: str) -> None:
    for id_, process in aws.worker.started.items():
        if run_id in process.args:
            aws.worker.kill(id_)


def test_two_want_the_last_of_a_budget(aws: Cloud, table: bytes) -> None:
    """A Glue run and an EMR step come to the ledger at the same moment: one is charged, the other refused.

    Both have found enough left when they look at the table, where S3A waits for minutes; at the ledger botocore waits
    for seconds only.
    """
    address, ids = aws.data(table, "1"), {"glue": new_id(), "emr": new_id()}
    looking, charging = threading.Barrier(2), threading.Barrier(2)

    def both_look() -> int:
        looking.wait(timeout=180)
        return FORWARD

    def both_charge() -> int:
        with contextlib.suppress(threading.BrokenBarrierError):
            charging.wait(timeout=8)
        return FORWARD

    runs: dict[str, Started] = {}

    def one(target: str) -> None:
        runs[target] = aws.run(target, address, ids[target], Question())

    faults = [Fault(reading(address), before=both_look, times=2)]
    faults += [Fault(reserving(run_id), before=both_charge) for run_id in ids.values()]
    with aws.endpoint.failing(*faults):
        on_both(one)
    won = [run for run in runs.values() if run.state != "FAILED"]
    [lost_] = [run for run in runs.values() if run.state == "FAILED"]
    assert len(won) == 1, runs
    aws.release(won[0])
    assert aws.row(lost_.run_id) == {}
    assert "budget" in aws.worker.printed(lost_.id)
    assert aws.spent(address) == 1
    for run in runs.values():
        keep("two runs at once for the last epsilon", run.target, look(aws, address, run))
