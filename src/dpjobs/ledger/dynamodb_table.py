"""A DynamoDB table as the ledger uses it: every trouble is one line, being busy is waited out, doubt is an error."""

import random
import re
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from dpjobs.errors import LedgerError

Item = dict[str, dict[str, Any]]
"""An item or a key as DynamoDB writes it: {"pk": {"S": "dataset"}, "total": {"N": "1"}}."""

MAX_ITEMS = 100
"""The most items of a transaction, and of a batch that is read."""
TAKEN = "ConditionalCheckFailed"
PATIENCE_SECONDS = 60.0
"""How long a call tries again while others use the same items, or DynamoDB throttles."""

_LONGEST_PAUSE_SECONDS = 1.0
_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
_ARN = re.compile(r"arn:aws[a-z-]*:dynamodb:([a-z0-9-]+):\d{12}:table/[A-Za-z0-9_.-]{3,255}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9.]{1,80}", re.ASCII)
_KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
_WAITING = {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_BUSY = {
    "TransactionConflictException",
    "TransactionInProgressException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
}
_REFUSED = {
    "AccessDeniedException": "the ledger may not be used by this role or user",
    "ResourceNotFoundException": "no such ledger table",
    "UnrecognizedClientException": "AWS refuses the credentials",
    "ExpiredTokenException": "the AWS credentials have expired",
}
_ALLOWED = "a ledger table that answers and that this role may use; the same run id again never pays twice"


def region_of(table: str) -> str | None:
    """Return the region in a table's ARN, None for a bare name; raises LedgerError when it is neither."""
    arn = _ARN.fullmatch(table)
    if arn is None and not _NAME.fullmatch(table):
        allowed = "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME, or NAME"
        raise LedgerError.of("no name of a DynamoDB table", table, allowed)
    return arn[1] if arn else None


class Table:
    """The table with this name or ARN. All reads are strongly consistent and complete."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._region = region_of(name)

    def ready(self) -> None:
        """Raise LedgerError unless the table is there, in use, and keyed by the texts pk and sk."""
        table = self.call("describe_table").get("Table", {})
        # a table that is being updated reads and writes as before
        if table.get("TableStatus") not in ("ACTIVE", "UPDATING"):
            raise self.error("the ledger table is not active")
        types = {a["AttributeName"]: a["AttributeType"] for a in table.get("AttributeDefinitions", [])}
        if table.get("KeySchema") != _KEYS or (types["pk"], types["sk"]) != ("S", "S"):
            raise LedgerError.of("the table is no ledger", self.name, "one with the keys pk and sk, both text")

    def get(self, key: Item) -> Item | None:
        """Return the item with this key, None when there is none."""
        item: Item | None = self.call("get_item", Key=key, ConsistentRead=True).get("Item")
        return item

    def sort_keys(self, pk: str) -> list[str]:
        """Return all sort keys beside this partition key, sorted."""
        return sorted(item["sk"]["S"] for item in self.items(pk, ProjectionExpression="sk"))

    def items(self, pk: str, **asked: Any) -> list[Item]:
        """Return all items beside this partition key."""
        asked |= {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
            "ConsistentRead": True,
        }
        items: list[Item] = []
        while True:
            page = self.call("query", **asked)
            items += page.get("Items", [])
            if not page.get("LastEvaluatedKey"):
                return items
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def batch(self, keys: Sequence[Item]) -> Iterator[Item]:
        """Return the items with these keys, as far as they are there, in any order."""
        for start in range(0, len(keys), MAX_ITEMS):
            unread: Any = {self.name: {"Keys": keys[start : start + MAX_ITEMS], "ConsistentRead": True}}
            for pause in _pauses():
                page = self.call("batch_get_item", RequestItems=unread)
                items = [item for table in page.get("Responses", {}).values() for item in table]
                yield from items
                unread = page.get("UnprocessedKeys")
                if not unread:
                    break
                time.sleep(0 if items else pause)
            else:
                raise self.error("the ledger is too busy")

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call DynamoDB, again while others are in the way, and return its answer.

        When a condition failed nothing was changed, and `failed` in the answer says so for each action.
        """
        if operation not in ("transact_write_items", "batch_get_item"):
            arguments["TableName"] = self.name
        for pause in _pauses():
            try:
                answer = {**getattr(self._client, operation)(**arguments), "failed": []}
                # botocore takes a stranger's page with status 200, too, for an answer without contents
                if not answer["ResponseMetadata"].get("RequestId"):
                    raise self.error("the ledger gave no answer of DynamoDB's")
                return answer
            except ClientError as error:
                failed = self._failed(error)
            except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
                raise self.error(_unanswered(error)) from None
            if failed:
                return {"failed": failed}
            time.sleep(pause)
        raise self.error("the ledger is too busy")

    def error(self, what: str) -> LedgerError:
        """Make the LedgerError for this table."""
        return LedgerError.of(what, self.name, _ALLOWED)

    @cached_property
    def _client(self) -> Any:
        # a session of its own: boto3's shared one is not safe where threads make clients
        return boto3.session.Session().client("dynamodb", region_name=self._region, config=_CONFIG)

    def _failed(self, error: ClientError) -> list[str]:
        """Return which conditions failed, nothing when it is worth trying again; else raise LedgerError."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "ConditionalCheckFailedException":
            return [TAKEN]
        if code in _BUSY:
            return []
        if code == "TransactionCanceledException":
            reasons = [str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])]
            if reasons and {*reasons} <= {*_WAITING, TAKEN}:
                return reasons if TAKEN in reasons else []
            code = next((reason for reason in reasons if reason not in _WAITING), code)
        named = f" ({code})" if _CODE.fullmatch(code) else ""
        raise self.error(_REFUSED.get(code, f"the ledger failed{named}")) from None


def _pauses() -> Iterator[float]:
    """Pauses of random length, longer and longer, until the patience is at its end."""
    deadline, longest = time.monotonic() + PATIENCE_SECONDS, 0.02
    while time.monotonic() < deadline:
        yield random.uniform(0, longest)  # noqa: S311 (no secret)
        longest = min(2 * longest, _LONGEST_PAUSE_SECONDS)


def _unanswered(error: Exception) -> str:
    if isinstance(error, NoRegionError):
        return "no AWS region is set for the ledger"
    if isinstance(error, NoCredentialsError):
        return "no AWS credentials for the ledger"
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return "the ledger cannot be reached"
    return f"the ledger gave no answer ({type(error).__name__})"
