"""Real processes race for one DynamoDB table: for the last of a budget, for one run id, and with new totals."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, InputError
from dpjobs.ledger.dynamodb import DynamoDBLedger
from library.ledger import dynamodb_local
from library.ledger.contract import DATASET, reservation, spent

pytestmark = pytest.mark.slow
_RACER = Path(__file__).with_name("dynamodb_racer.py")
Racers = list["subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch) -> DynamoDBLedger:
    for name, value in dynamodb_local.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_local.endpoint())
    return DynamoDBLedger(dynamodb_local.make_table())


@contextlib.contextmanager
def racers(kind: str, ledger: DynamoDBLedger, processes: int, threads: int) -> Iterator[Racers]:
    pipe = subprocess.PIPE
    words = [sys.executable, str(_RACER), kind, ledger._table.name, str(threads)]
    started = [subprocess.Popen([*words, str(i)], stdin=pipe, stdout=pipe, text=True) for i in range(processes)]
    try:
        for racer in started:
            assert racer.stdout.readline() == "ready\n"
        yield started
    finally:
        for racer in started:
            racer.kill()
            racer.communicate()


def race(started: Racers, dataset: str, epsilon: str) -> list[str]:
    """Let all threads of all racers go at once, and return what each came to."""
    for racer in started:
        racer.stdin.write(f"{dataset} {epsilon}\n")
        racer.stdin.flush()
    return [told for racer in started for told in json.loads(racer.stdout.readline())]


def test_of_sixty_four_exactly_twenty_get_what_is_left_for_twenty(ledger: DynamoDBLedger) -> None:
    with racers("reserve", ledger, processes=4, threads=16) as started:
        for dataset in ("first", "second", "third", "fourth", "fifth"):
            ledger.set_total(dataset, Epsilon(10))
            told = race(started, dataset, "0.5")
            assert sorted(told) == ["refused"] * 44 + ["won"] * 20
            assert ledger.balance(dataset).left == 0
            won = [f"{dataset}-{i // 16}.{i % 16}" for i, came in enumerate(told) if came == "won"]
            assert sorted(run.run_id for run in ledger.history(dataset)) == sorted(won)


@pytest.mark.parametrize("total", ["2", "10"], ids=["just enough", "plenty"])
def test_eight_with_one_run_id_pay_once(ledger: DynamoDBLedger, total: str) -> None:
    with racers("same", ledger, processes=2, threads=4) as started:
        for dataset in ("first", "second", "third"):
            ledger.set_total(dataset, Epsilon(total))
            assert race(started, dataset, "2") == ["won"] * 8
            assert spent(ledger, dataset) == 2
            assert [run.run_id for run in ledger.history(dataset)] == [f"{dataset}-one"]


def test_eight_with_one_run_id_show_one_release(ledger: DynamoDBLedger) -> None:
    ledger.set_total(DATASET, Epsilon(2))
    with racers("answer", ledger, processes=2, threads=4) as started:
        told = race(started, DATASET, "2")
    assert told == [ledger.find(f"{DATASET}-one").release] * 8
    assert spent(ledger) == 2


def test_totals_and_charges_at_the_same_time_stay_exact(ledger: DynamoDBLedger) -> None:
    ledger.set_total(DATASET, Epsilon(10))
    own = [DynamoDBLedger(ledger._table.name) for _ in range(8)]

    def work(number: int) -> Epsilon:
        charged = Epsilon(0)
        for i in range(10):
            if number % 2:
                with contextlib.suppress(BudgetError):
                    own[number].reserve([reservation(f"run-{number}-{i}", "0.3")])
                    charged += Epsilon("0.3")
            else:
                with contextlib.suppress(InputError):  # below what is spent by then
                    own[number].set_total(DATASET, Epsilon(5 + (number + i) % 6))
        return charged

    with ThreadPoolExecutor(8) as pool:
        charged = sum(pool.map(work, range(8)), Epsilon(0))
    assert spent(ledger) == charged == sum(run.epsilon for run in ledger.history(DATASET))
    assert charged + ledger.balance(DATASET).left in range(5, 11)


def test_those_who_set_the_first_total_together_leave_one_of_theirs(ledger: DynamoDBLedger) -> None:
    own = [DynamoDBLedger(ledger._table.name) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for dataset in ("first", "second", "third"):
            list(pool.map(lambda i, dataset=dataset: own[i].set_total(dataset, Epsilon(i + 1)), range(8)))
            balance = ledger.balance(dataset)
            assert balance.spent == 0
            assert balance.left in range(1, 9)


def test_a_first_total_that_comes_late_forgets_no_charge(
    ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the balance and its writing another sets the first total, and a run is charged."""
    late = DynamoDBLedger(ledger._table.name)
    look = late._all_claims

    def meanwhile() -> object:
        found = look()
        ledger.set_total(DATASET, Epsilon(10))
        ledger.reserve([reservation(epsilon="3")])
        return found

    monkeypatch.setattr(late, "_all_claims", meanwhile)
    late.set_total(DATASET, Epsilon(5))
    assert spent(ledger) == 3
    assert ledger.balance(DATASET).left == 2


def test_of_totals_on_addresses_that_contain_each_other_one_is_set(ledger: DynamoDBLedger) -> None:
    """A chain: each contains all that follow. Whoever is first leaves nothing for the others."""
    own = [DynamoDBLedger(ledger._table.name) for _ in range(8)]

    def set_one(root: str, i: int) -> str:
        name = "/".join([f"s3://{root}", *"abcdefgh"[:i]])
        try:
            own[i].set_total(name, Epsilon(1))
        except BudgetError:
            return ""
        return name

    with ThreadPoolExecutor(8) as pool:
        for root in ("first", "second", "third"):
            told = list(pool.map(set_one, [root] * 8, range(8)))
            [won] = [name for name in told if name]
            assert [name for name in ledger.datasets() if name.startswith(f"s3://{root}")] == [won]


def test_of_two_budgets_one_gets_the_table(ledger: DynamoDBLedger) -> None:
    own = [DynamoDBLedger(ledger._table.name) for _ in range(8)]
    for i in range(8):
        ledger.set_total(f"name-{i}", Epsilon(1))

    def charge(i: int) -> bool:
        try:
            own[i].reserve([reservation(f"run-{i}", dataset=f"name-{i}", place=Place("s3://bkt/x"))])
        except BudgetError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(charge, range(8)))
    assert sum(told) == 1
    assert [spent(ledger, f"name-{i}") for i in range(8)] == [int(won) for won in told]
