"""The DynamoDB ledger on DynamoDB Local: the contract, limits, malformed tables."""

import json
from collections.abc import Callable, Sequence

import pytest

from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import LedgerError
from dpjobs.ledger import Ledger, Reservation
from dpjobs.ledger.base import MAX_DRAWS, MAX_RELEASE, STAGES, Balance, _asked
from dpjobs.ledger.dynamodb import DynamoDBLedger
from library.ledger import dynamodb_local
from library.ledger.contract import DATASET, LedgerContract, reservation
from library.ledger.faulty import faulty


class WithTotals(DynamoDBLedger):
    """Gives every data set a total of 10, as the contract has it; the real one never does."""

    default_total = Epsilon(10)

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.real = DynamoDBLedger(table)

    def balance(self, dataset: str) -> Balance | None:
        return self.real.balance(dataset) or Balance(Epsilon(10), Epsilon(0))

    def _charge(self, reservations: Sequence[Reservation]) -> bool:
        for dataset in _asked(reservations):
            if self.real.balance(dataset) is None:
                self.real.set_total(dataset, self.default_total)
        return super()._charge(reservations)

    def _set_total(self, dataset: str, total: Epsilon, place: Place | None) -> bool:
        return self.real._set_total(dataset, total, place)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in dynamodb_local.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_local.endpoint())
    return dynamodb_local.make_table()


class TestDynamoDBLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, table: str) -> Ledger:
        return WithTotals(table)

    @pytest.fixture
    def strict(self, table: str) -> Ledger:
        return DynamoDBLedger(table)


def put(table: str, pk: str, sk: str, **attributes: dict[str, str]) -> None:
    """Write an item as only a hand in the table could."""
    item = {"pk": {"S": pk}, "sk": {"S": sk}, **attributes}
    dynamodb_local.client().put_item(TableName=table, Item=item)


def one_line(use: Callable[[], object], words: str) -> None:
    with pytest.raises(LedgerError, match=words) as told:
        use()
    assert "\n" not in str(told.value)


# -- the table


def test_a_table_that_is_not_there() -> None:
    missing = DynamoDBLedger("no-such-ledger")
    one_line(missing.ready, "no such ledger table: given 'no-such-ledger'; allowed: ")
    one_line(lambda: missing.check([reservation()]), "no such ledger table")


@pytest.mark.parametrize(
    ("keys", "types"),
    [
        (["pk"], {"pk": "S"}),
        (["pk", "other"], {"pk": "S", "other": "S"}),
        (["sk", "pk"], {"pk": "S", "sk": "S"}),
        (["pk", "sk"], {"pk": "S", "sk": "N"}),
    ],
)
def test_a_table_that_is_no_ledger(keys: list[str], types: dict[str, str]) -> None:
    name = dynamodb_local.make_table(
        KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": k, "AttributeType": t} for k, t in types.items()],
    )
    one_line(DynamoDBLedger(name).ready, "the table is no ledger: given .*; allowed: one with the keys pk and sk")


@pytest.mark.parametrize(("status", "usable"), [("CREATING", False), ("DELETING", False), ("UPDATING", True)])
def test_a_table_that_is_not_active(table: str, monkeypatch: pytest.MonkeyPatch, status: str, usable: bool) -> None:
    described = dynamodb_local.client().describe_table(TableName=table)["Table"]
    answer = json.dumps({"Table": {**described, "TableStatus": status}}, default=lambda _: 0).encode()
    with faulty(dynamodb_local.endpoint()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.faults["DescribeTable"] = [(200, answer)]
        if usable:
            DynamoDBLedger(table).ready()
        else:
            one_line(DynamoDBLedger(table).ready, "the ledger table is not active")


# -- limits


def test_names_up_to_the_longest_key(table: str) -> None:
    ledger = DynamoDBLedger(table)
    for name in ("é" * 512, "x" * 1024):
        ledger.set_total(name, Epsilon(1))
        ledger.reserve([reservation(f"run-{name[0].encode().hex()}", dataset=name)])
        assert len(ledger.history(name)) == 1
    for name in ("é" * 513, "x" * 1025, ""):
        for use in (ledger.balance, ledger.history, lambda name: ledger.set_total(name, Epsilon(1))):
            one_line(lambda use=use, name=name: use(name), "the data set's name does not fit the ledger: given")
        for attempt in (ledger.check, ledger.reserve):
            one_line(lambda a=attempt, name=name: a([reservation(dataset=name)]), "does not fit the ledger")


def test_as_many_runs_as_a_transaction_holds(table: str) -> None:
    ledger = DynamoDBLedger(table)
    ledger.set_total(DATASET, Epsilon(100))
    many = [reservation(f"run-{i:02}", "0.5") for i in range(50)]
    one_line(lambda: ledger.reserve(many), r"too many items for one reservation: given '101'; allowed: at most 100")
    assert ledger.history(DATASET) == []
    ledger.reserve(many[:49])
    assert ledger.balance(DATASET).spent == Epsilon("24.5")
    assert len(ledger.history(DATASET)) == 49


def test_a_row_as_large_as_an_item_can_hold(table: str) -> None:
    ledger = DynamoDBLedger(table)
    name, run_id = "x" * 1024, "r" * 128
    ledger.set_total(name, Epsilon(2))
    ledger.reserve([reservation(run_id, dataset=name, digest="d" * 64, place=Place("/" + "é" * 511, state="s" * 64))])
    drawn, release = "é" * (MAX_DRAWS // 2), "é" * (MAX_RELEASE // 2)
    for stage in STAGES:
        assert ledger.store_draws(run_id, stage, drawn) == drawn
    assert ledger.commit(run_id, release) == release
    [run] = ledger.history(name)
    assert (run.draws, run.release) == ({"histogram": drawn, "totals": drawn}, release)


def test_more_data_sets_and_runs_than_fit_one_page(table: str) -> None:
    """A page holds 1 MB; a batch that is read holds 100 items."""
    ledger = DynamoDBLedger(table)
    names = [f"{i:04}" + "x" * 1020 for i in range(1100)]
    for start in range(0, len(names), 25):
        puts = [
            {
                "PutRequest": {
                    "Item": {"pk": {"S": "dataset"}, "sk": {"S": name}, "total": {"N": "1"}, "left": {"N": "1"}}
                }
            }
            for name in names[start : start + 25]
        ]
        dynamodb_local.client().batch_write_item(RequestItems={table: puts})
    assert ledger.datasets() == names
    ledger.set_total(DATASET, Epsilon(100))
    ids = [f"run-{i:03}" for i in range(120)]
    for start in range(0, 120, 40):
        ledger.reserve([reservation(run_id, "0.5") for run_id in ids[start : start + 40]])
    assert [run.run_id for run in ledger.history(DATASET)] == ids


# -- a hand in the table


@pytest.mark.parametrize(
    "amounts",
    [
        {"total": {"N": "1"}},
        {"left": {"N": "1"}},
        {"total": {"S": "10"}, "left": {"N": "1"}},
        {"total": {"N": "10"}, "left": {"S": "1"}},
        {"total": {"N": "10.5"}, "left": {"N": "1"}},
        {"total": {"N": "-10"}, "left": {"N": "-10"}},
        {"total": {"N": "10000000000"}, "left": {"N": "10000000001"}},
    ],
    ids=str,
)
def test_a_malformed_balance_lets_nothing_run(table: str, amounts: dict[str, dict[str, str]]) -> None:
    ledger = DynamoDBLedger(table)
    put(table, "dataset", DATASET, **amounts)
    asked = [reservation(epsilon="0.000001")]
    for use in (
        lambda: ledger.balance(DATASET),
        lambda: ledger.check(asked),
        lambda: ledger.reserve(asked),
        lambda: ledger.set_total(DATASET, Epsilon(1)),
    ):
        one_line(use, "the ledger holds a malformed item")
    assert ledger.find("run-1") is None


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": None},
        {"epsilon": {"S": "1"}},
        {"digest": {"N": "1"}},
        {"reserved_at": None},
        {"release": {"S": "{}"}},
        {"committed_at": {"S": "now"}},
        {"release": {"NULL": True}, "committed_at": {"S": "now"}},
        {"histogram": {"N": "1"}},
        {"totals": {"BOOL": True}},
    ],
    ids=str,
)
def test_a_malformed_run_lets_nothing_run(table: str, changed: dict[str, dict[str, str] | None]) -> None:
    ledger = DynamoDBLedger(table)
    ledger.set_total(DATASET, Epsilon(10))
    ledger.reserve([reservation()])
    key = {"pk": {"S": "run#run-1"}, "sk": {"S": "run"}}
    item = {**dynamodb_local.client().get_item(TableName=table, Key=key)["Item"], **changed}
    dynamodb_local.client().put_item(TableName=table, Item={k: v for k, v in item.items() if v is not None})
    for use in (
        lambda: ledger.find("run-1"),
        lambda: ledger.check([reservation()]),
        lambda: ledger.reserve([reservation()]),
        lambda: ledger.history(DATASET),
    ):
        one_line(use, "the ledger holds a malformed item")


@pytest.mark.parametrize("pointer", ["2026#run-9", "nothing", "2026#elsewhere"])
def test_a_history_that_points_to_nothing(table: str, pointer: str) -> None:
    ledger = DynamoDBLedger(table)
    ledger.set_total("another", Epsilon(10))
    ledger.reserve([reservation("elsewhere", dataset="another")])
    put(table, f"history#{DATASET}", pointer)
    one_line(lambda: ledger.history(DATASET), "the ledger holds a malformed item")
