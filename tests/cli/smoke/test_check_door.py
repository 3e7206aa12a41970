"""What the checks of the door see: the command's release, and a refusal that starts nothing."""

import json
from collections.abc import Callable

import pytest
from smoke import check_door
from smoke.checks import Outcome, Run, Seen
from smoke.runs import ASKED, BADLY_ASKED

from cli.smoke.asking import charge, client, outcome

DOOR = "dp-smoke-0a1b2c-asked is started on Glue, through the door; from elsewhere: `dpcloud status …`"


@pytest.fixture
def asked(seen: Seen, bucket: str, two_runs: Callable[..., None]) -> Run:
    """A question that was answered through the door, as it should be."""
    two_runs()
    run = Run("`dpcloud run --on glue`", "asked", f"s3://{bucket}/releases/glue/", "SUCCEEDED", DOOR)
    mean = seen.table.clamped_mean
    text = json.dumps({"value": mean, "interval": [mean - 1, mean + 1]})
    run.printed = f"[{text}]\n"
    charge(seen, run.run_id, text)
    client("s3").put_object(Bucket=bucket, Key="releases/glue/asked.json", Body=text.encode())
    seen.asked[ASKED] = run
    return run


def test_an_answer_through_the_door(seen: Seen, asked: Run) -> None:
    came, saw = outcome(check_door.ask, seen)
    assert (came, saw.startswith("releases/glue/asked.json: ")) == (Outcome.PASSED, True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": "exit code 3", "message": "dpcloud: the run is FAILED"}, "the run is FAILED"),
        ({"message": "asked is started on Glue"}, "it did not go through the door"),
        ({"printed": "[]"}, "what it printed is not the ledger's release"),
        ({"run_id": "another"}, "what it printed is not the ledger's release"),
    ],
)
def test_an_answer_that_is_not_as_it_should_be(seen: Seen, asked: Run, changed: dict[str, str], said: str) -> None:
    for name, value in changed.items():
        setattr(asked, name, value)
    came, saw = outcome(check_door.ask, seen)
    assert came == Outcome.FAILED
    assert said in saw


REFUSAL = "column_name: allowed: a column's name or * for rows, not empty, and no -- at its beginning"


@pytest.mark.parametrize(
    ("state", "message", "charged", "came"),
    [
        ("FAILED", REFUSAL, False, Outcome.PASSED),
        ("SUCCEEDED", "", False, Outcome.FAILED),
        ("FAILED", "the Glue run failed and gives no reason", False, Outcome.FAILED),
        ("not started", "AWS refuses it: AccessDeniedException", False, Outcome.FAILED),
        ("FAILED", REFUSAL, True, Outcome.FAILED),
    ],
)
def test_a_question_of_another_shape(
    seen: Seen, two_runs: Callable[..., None], state: str, message: str, charged: bool, came: Outcome
) -> None:
    two_runs()
    seen.asked[BADLY_ASKED] = Run("a question of another shape", "bad", "", state, message)
    if charged:
        charge(seen, "bad", None)
    assert outcome(check_door.ask_shape, seen)[0] == came


def test_nothing_was_asked(seen: Seen, bucket: str) -> None:
    for one in (check_door.ask, check_door.ask_shape):
        assert outcome(one, seen)[0] == Outcome.SKIPPED
