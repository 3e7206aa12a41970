"""A process in a race for a ledger: waits for the word where it says so, and prints what came of it.

python racer.py reserve|answer LEDGER RUN_ID EPSILON DRAWN
"""

import json
import sys
from pathlib import Path

from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError
from dpjobs.ledger import Ledger, Reservation, SQLiteLedger
from dpjobs.query import PrivacyBudget


def reserve(ledger: Ledger, asked: Reservation, drawn: str) -> str:
    try:
        ledger.reserve([asked])
    except BudgetError:
        return "refused"
    return "won"


def answer(ledger: Ledger, asked: Reservation, drawn: str) -> str:
    """All of a run's ledger: reserve, draw something of one's own, commit, and return what may be shown."""
    ledger.check([asked])
    assert ledger.reserve([asked]) == {}
    wait("reserved")  # until all are: none of them sees another's release before it commits its own
    return ledger.commit(asked.run_id, json.dumps({"drawn": drawn}))


def wait(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    name, path, run_id, epsilon, drawn = sys.argv[1:]
    embedded = SQLiteLedger(Path(path), busy_timeout_seconds=60)
    asked = Reservation(run_id, "census", PrivacyBudget(Epsilon(epsilon)), "a digest")
    wait("ready")
    print({"reserve": reserve, "answer": answer}[name](embedded, asked, drawn))
