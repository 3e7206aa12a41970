"""A process in a race for a ledger: waits for the word, does one thing, prints what came of it.

python racer.py reserve|answer LEDGER RUN_ID EPSILON DRAWN
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

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
    stored = ledger.reserve([asked])
    return stored.get(asked.run_id) or ledger.commit(asked.run_id, json.dumps({"drawn": drawn}))


if __name__ == "__main__":
    name, path, run_id, epsilon, drawn = sys.argv[1:]
    embedded = SQLiteLedger(Path(path), busy_timeout_seconds=60)
    asked = Reservation(run_id, "census", PrivacyBudget(Decimal(epsilon)), "a digest")
    print("ready", flush=True)
    sys.stdin.readline()
    print({"reserve": reserve, "answer": answer}[name](embedded, asked, drawn))
