"""The lines of the checklist about the door, and about the command that people type."""

from smoke.check_answers import check_releases, ledger_of
from smoke.checks import Failed, Run, Seen, Skipped, Stage, check
from smoke.runs import ASKED, BADLY_ASKED

_REFUSAL = "column_name: allowed: "
"""Begins what the door says of a column that would be taken for an argument."""


@check("ask", "`dpcloud run --on glue` asks through the door, and prints the release", Stage.RAN, needs=("runs",))
def ask(seen: Seen) -> str:
    """What the command printed, beside ledger, bucket and the public table's true mean."""
    run = _tried(seen, ASKED)
    if not run.succeeded:
        raise Failed(run.message)
    if "through the door" not in run.message:
        raise Failed(f"it did not go through the door: {run.message}")
    row = ledger_of(seen).find(run.run_id)
    if row is None or row.release is None or row.release not in run.printed:
        raise Failed("what it printed is not the ledger's release")
    return check_releases(seen, {ASKED: run})


@check("ask-shape", "The door refuses a question of another shape, and starts nothing", Stage.RAN, needs=("runs",))
def ask_shape(seen: Seen) -> str:
    """An execution whose column is an argument's name (`aws stepfunctions describe-execution`)."""
    run = _tried(seen, BADLY_ASKED)
    if run.state != "FAILED" or _REFUSAL not in run.message:
        raise Failed(f"{run.state}: {run.message}")
    if ledger_of(seen).find(run.run_id) is not None:
        raise Failed("it was charged")
    return run.message


def _tried(seen: Seen, name: str) -> Run:
    if name not in seen.asked:
        raise Skipped("not tried, since no run has succeeded")
    return seen.asked[name]
