"""The DynamoDB ledger on DynamoDB Local: the contract, limits, malformed tables."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from dpjobs.ledger import Ledger, Reservation
from dpjobs.ledger.base import Balance, _asked
from dpjobs.ledger.dynamodb import DynamoDBLedger
from dpjobs.query import BILLION
from library.ledger import dynamodb_local
from library.ledger.contract import LedgerContract


class WithTotals(DynamoDBLedger):
    """Gives every data set a total of 10, as the contract has it; the real one never does."""

    default_total = Decimal(10)

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.real = DynamoDBLedger(table)

    def balance(self, dataset: str) -> Balance | None:
        return self.real.balance(dataset) or Balance(10 * BILLION, 0)

    def _charge(self, reservations: Sequence[Reservation]) -> bool:
        for dataset in _asked(reservations):
            if self.real.balance(dataset) is None:
                self.real.set_total(dataset, self.default_total)
        return super()._charge(reservations)

    def _set_total(self, dataset: str, billionths: int) -> bool:
        return self.real._set_total(dataset, billionths)


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
