"""The deployed ledger: one DynamoDB table, safe for any number of jobs on any number of machines.

Keys are `pk` and `sk`. A data set is ("dataset", NAME) with its total and what is left of it; a run is
("run#ID", "run"); ("history#NAME", TIME#ID) points from a data set to its runs in their order; ("address", ADDRESS)
names the data set that a table is charged to.

That no address contains another one is a statement about all of them, which no condition of DynamoDB can make. So who
adds one reads them all, and in the same transaction adds one to the number at ("addresses", "version"), provided that
it still is what it was before the reading. That happens once a table; every later charge finds its address, which
never changes. Files are not claimed here: what is local to a machine of a cluster lives for one run.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dpjobs.addresses import Place, is_address
from dpjobs.epsilon import Epsilon
from dpjobs.errors import LedgerError
from dpjobs.ledger import dynamodb_table
from dpjobs.ledger.base import STAGES, Balance, Ledger, Reservation, Run, _asked, _tables
from dpjobs.ledger.claims import Asked, Claims
from dpjobs.ledger.dynamodb_table import MAX_ITEMS, TAKEN, Item, Table, region_of

__all__ = ["DynamoDBLedger", "region_of"]

_MAX_KEY = 1024  # bytes of a sort key
_VERSION: Item = {"pk": {"S": "addresses"}, "sk": {"S": "version"}}


class DynamoDBLedger(Ledger):
    """A ledger in a DynamoDB table, given by name or ARN. A data set without a total is refused.

    Whatever is in doubt, a lost answer too, raises LedgerError in one line; the same run id may try again.
    """

    def __init__(self, table: str) -> None:
        self._table = Table(table)

    def ready(self) -> None:
        """Raise LedgerError unless the table is there, in use, and keyed as ours; changes nothing."""
        self._table.ready()

    def balance(self, dataset: str) -> Balance | None:
        """Return a data set's balance, None when it has no total."""
        item = self._table.get(_dataset_key(dataset))
        if item is None:
            return None
        total, left = self._amount(item, "total"), self._amount(item, "left")
        if left > total:
            raise self._malformed()
        return Balance(total, total - left)

    def datasets(self) -> list[str]:
        """Return the names of all data sets, sorted."""
        return self._table.sort_keys("dataset")

    def history(self, dataset: str) -> list[Run]:
        """Return a data set's runs, oldest first."""
        _dataset_key(dataset)
        ids = [pointer.partition("#")[2] for pointer in self._table.sort_keys(f"history#{dataset}")]
        read = map(self._run, self._table.batch([_run_key(run_id) for run_id in ids]))
        runs = {run.run_id: run for run in read if run.dataset == dataset}
        if runs.keys() != {*ids}:
            raise self._malformed()
        return [runs[run_id] for run_id in ids]

    def find(self, run_id: str) -> Run | None:
        """Return a run's row, None when the id is unused."""
        item = self._table.get(_run_key(run_id))
        return None if item is None else self._run(item)

    def _charge(self, reservations: Sequence[Reservation]) -> bool:
        asked = _asked(reservations)
        actions = [self._charging(dataset, amount) for dataset, amount in asked.items()]
        now = _now()
        for r in reservations:
            actions += self._writing(r, now)
        # read before they are asked: what is added meanwhile changes the number that the transaction is bound to
        version, claims = self._read_claims(_tables(reservations))
        actions += self._claiming(claims.admit(_tables(reservations)), version)
        if len(actions) > MAX_ITEMS:
            allowed = f"at most {MAX_ITEMS}: two a run, one a data set, and one a new address"
            raise LedgerError.of("too many items for one reservation", len(actions), allowed)
        # botocore adds a ClientRequestToken, which counts for ten minutes only: the run's own item counts for good
        failed = self._table.call("transact_write_items", TransactItems=actions)["failed"]
        if not failed:
            return True
        if TAKEN in failed[len(asked) :] or any(self.find(r.run_id) for r in reservations):
            return False
        for dataset, amount in asked.items():
            self._refuse_unless(dataset, amount, self.balance(dataset))
        return False  # what was missing is there by now

    def _charging(self, dataset: str, amount: Epsilon) -> dict[str, Any]:
        """The part of a transaction that takes an amount of what is left, if that much is."""
        update = {
            "TableName": self._table.name,
            "Key": _dataset_key(dataset),
            "UpdateExpression": "SET #left = #left - :asked",
            "ConditionExpression": "#left BETWEEN :asked AND #total",
            "ExpressionAttributeNames": {"#left": "left", "#total": "total"},
            "ExpressionAttributeValues": {":asked": _number(amount.billionths)},
        }
        return {"Update": update}

    def _writing(self, r: Reservation, now: str) -> Iterator[dict[str, Any]]:
        """The parts of a transaction that write a run's permanent row, if its id is unused, and point to it."""
        run: Item = {
            **_run_key(r.run_id),
            "dataset": {"S": r.dataset},
            "epsilon": _number(r.budget.epsilon.billionths),
            "digest": {"S": r.digest},
            "reserved_at": {"S": now},
            **({"state": {"S": r.place.state}} if r.place and r.place.state else {}),
        }
        put = {"TableName": self._table.name, "ConditionExpression": "attribute_not_exists(pk)"}
        yield {"Put": {**put, "Item": run}}
        pointer: Item = {"pk": {"S": f"history#{r.dataset}"}, "sk": {"S": f"{now}#{r.run_id}"}}
        yield {"Put": {**put, "Item": pointer}}

    def _claims(self, asked: Sequence[Asked]) -> Claims:
        return self._read_claims(asked)[1]

    def _read_claims(self, asked: Sequence[Asked]) -> tuple[int, Claims]:
        """All claims and their version, or no more than what is asked for where that is claimed rightly already."""
        own: dict[str, str] = {}
        for dataset, place in asked:
            wanted = [*([dataset] if is_address(dataset) else []), *(place.addresses if place else [])]
            for address in {*wanted} - own.keys():
                item = self._table.get(_address_key(address))
                if item is None or self._text(item, "dataset") != dataset:
                    return self._all_claims()
                own[address] = dataset
        return 0, Claims(frozenset(own.values()), own)

    def _all_claims(self) -> tuple[int, Claims]:
        item = self._table.get(_VERSION)
        version = self._whole(item, "number") if item else 0
        claimed = {self._text(i, "sk"): self._text(i, "dataset") for i in self._table.items("address")}
        return version, Claims.of(self.datasets(), claimed)

    def _claiming(self, new: Mapping[str, str], version: int) -> Iterator[dict[str, Any]]:
        """The parts of a transaction that claim addresses, if nothing has been claimed since the version was read."""
        for address, dataset in new.items():
            item: Item = {**_address_key(address), "dataset": {"S": dataset}}
            yield {
                "Put": {
                    "TableName": self._table.name,
                    "Item": item,
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
        if new:
            update = {
                "TableName": self._table.name,
                "Key": _VERSION,
                "UpdateExpression": "SET #number = :next",
                "ConditionExpression": "#number = :read" if version else "attribute_not_exists(pk)",
                "ExpressionAttributeNames": {"#number": "number"},
                "ExpressionAttributeValues": {
                    ":next": _number(version + 1),
                    **({":read": _number(version)} if version else {}),
                },
            }
            yield {"Update": update}

    def _store_draws(self, run_id: str, stage: str, text: str) -> str | None:
        self._table.call(
            "update_item",
            Key=_run_key(run_id),
            UpdateExpression="SET #stage = :text",
            ConditionExpression="attribute_exists(pk) AND attribute_not_exists(#stage) "
            "AND attribute_not_exists(#release)",
            ExpressionAttributeNames={"#stage": stage, "#release": "release"},
            ExpressionAttributeValues={":text": {"S": text}},
        )
        # whoever stored it, this very call where its first answer was lost: what is there counts
        run = self.find(run_id)
        return run.draws.get(stage) if run else None

    def _store(self, run_id: str, release: str) -> str | None:
        self._table.call(
            "update_item",
            Key=_run_key(run_id),
            UpdateExpression="SET #release = :release, committed_at = :now",
            ConditionExpression="attribute_exists(pk) AND attribute_not_exists(#release)",
            ExpressionAttributeNames={"#release": "release"},
            ExpressionAttributeValues={":release": {"S": release}, ":now": {"S": _now()}},
        )
        run = self.find(run_id)
        return run.release if run else None

    def _set_total(self, dataset: str, total: Epsilon, place: Place | None) -> bool:
        deadline = time.monotonic() + dynamodb_table.PATIENCE_SECONDS
        while time.monotonic() < deadline:
            balance = self.balance(dataset)
            if balance is None:
                done = self._add(dataset, total, place)
            elif total < balance.spent:
                return False
            else:
                done = self._table.call("update_item", **_resetting(dataset, balance.total, total))
            if not done["failed"]:
                return True
        raise self._table.error("the ledger is too busy")

    def _add(self, dataset: str, total: Epsilon, place: Place | None) -> dict[str, Any]:
        """Write a new data set with its total, and claim its addresses, unless somebody is faster."""
        item: Item = {**_dataset_key(dataset), "total": _number(total.billionths), "left": _number(total.billionths)}
        put = {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        version, claims = self._all_claims()
        new = claims.admit([(dataset, place)])
        if not new:
            return self._table.call("put_item", **put)
        actions = [{"Put": {"TableName": self._table.name, **put}}, *self._claiming(new, version)]
        return self._table.call("transact_write_items", TransactItems=actions)

    def _run(self, item: Item) -> Run:
        committed, release, *rest = (
            self._text(item, name) if name in item else None for name in ("committed_at", "release", *STAGES, "state")
        )
        if (committed is None) != (release is None):
            raise self._malformed()
        return Run(
            self._text(item, "pk").removeprefix("run#"),
            self._text(item, "dataset"),
            self._amount(item, "epsilon"),
            self._text(item, "digest"),
            self._text(item, "reserved_at"),
            committed,
            release,
            *rest,
        )

    def _text(self, item: Item, name: str) -> str:
        value = item.get(name, {}).get("S")
        if not isinstance(value, str):
            raise self._malformed()
        return value

    def _whole(self, item: Item, name: str) -> int:
        value = item.get(name, {}).get("N")
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,38}", value):
            raise self._malformed()
        return int(value)

    def _amount(self, item: Item, name: str) -> Epsilon:
        return Epsilon.of_billionths(self._whole(item, name))

    def _malformed(self) -> LedgerError:
        return LedgerError.of("the ledger holds a malformed item", self._table.name, "a table that only we write")


def _resetting(dataset: str, old: Epsilon, new: Epsilon) -> dict[str, Any]:
    """The update from one total to another: it keeps what is spent, whatever is charged in between."""
    return {
        "Key": _dataset_key(dataset),
        "UpdateExpression": "SET #total = :new, #left = #left + :more",
        "ConditionExpression": "#total = :old AND #left >= :least",
        "ExpressionAttributeNames": {"#left": "left", "#total": "total"},
        "ExpressionAttributeValues": {
            ":old": _number(old.billionths),
            ":new": _number(new.billionths),
            ":more": _number(new.billionths - old.billionths),
            ":least": _number(max(old.billionths - new.billionths, 0)),
        },
    }


def _dataset_key(dataset: str) -> Item:
    if not 0 < len(dataset.encode(errors="surrogatepass")) <= _MAX_KEY:
        raise LedgerError.of(
            "the data set's name does not fit the ledger", dataset, f"1 to {_MAX_KEY} bytes of UTF-8"
        )
    return {"pk": {"S": "dataset"}, "sk": {"S": dataset}}


def _address_key(address: str) -> Item:
    if len(address.encode(errors="surrogatepass")) > _MAX_KEY:
        raise LedgerError.of(
            "the table's address does not fit the ledger", address, f"at most {_MAX_KEY} bytes of UTF-8"
        )
    return {"pk": {"S": "address"}, "sk": {"S": address}}


def _run_key(run_id: str) -> Item:
    return {"pk": {"S": f"run#{run_id}"}, "sk": {"S": "run"}}


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
