"""A process in a race for a DynamoDB ledger: threads with clients of their own, let go together, round by round.

python dynamodb_racer.py reserve|same|answer TABLE THREADS NAME: reads a data set and an epsilon for each round, and
prints as JSON what each thread came to.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3.session

from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError
from dpjobs.ledger import Reservation
from dpjobs.ledger.dynamodb import DynamoDBLedger
from dpjobs.ledger.dynamodb_table import _CONFIG
from dpjobs.query import PrivacyBudget


def connected(table: str, session: boto3.session.Session) -> DynamoDBLedger:
    """A ledger with a client of its own; from one session, which is much the quickest."""
    ledger = DynamoDBLedger(table)
    ledger._table._client = session.client("dynamodb", config=_CONFIG)
    ledger.ready()
    return ledger


def race(ledger: DynamoDBLedger, kind: str, name: str, dataset: str, epsilon: str) -> str:
    run_id = f"{dataset}-{name if kind == 'reserve' else 'one'}"
    try:
        ledger.reserve([Reservation(run_id, dataset, PrivacyBudget(Epsilon(epsilon)), "digest")])
    except BudgetError:
        return "refused"
    return ledger.commit(run_id, json.dumps({"drawn": name})) if kind == "answer" else "won"


if __name__ == "__main__":
    kind, table, threads, process = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    session = boto3.session.Session()
    ledgers = [connected(table, session) for _ in range(threads)]
    gate = threading.Barrier(threads)

    def run(number: int, asked: list[str]) -> str:
        gate.wait()
        return race(ledgers[number], kind, f"{process}.{number}", *asked)

    with ThreadPoolExecutor(threads) as pool:
        print("ready", flush=True)
        for line in sys.stdin:
            print(json.dumps(list(pool.map(run, range(threads), [line.split()] * threads))), flush=True)
