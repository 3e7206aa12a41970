"""The DynamoDB ledger in trouble, on DynamoDB Local behind a proxy with faults: one line, one charge, no doubt."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, LedgerError
from dpjobs.ledger import dynamodb_table
from dpjobs.ledger.dynamodb import DynamoDBLedger, region_of
from library.ledger import dynamodb_local
from library.ledger.contract import DATASET, reservation, spent
from library.ledger.faulty import DROPPED, Faulty, cancelled, faulty, refusal


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    for name, value in dynamodb_local.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # botocore's own retries without its pauses of seconds, and the bound on ours
    quick = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
    monkeypatch.setattr(dynamodb_table, "_CONFIG", quick)
    monkeypatch.setattr(dynamodb_table, "PATIENCE_SECONDS", 3.0)
    with faulty(dynamodb_local.endpoint()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def ledger(proxy: Faulty) -> DynamoDBLedger:
    """A ledger with a total of 10 and one run of epsilon 1; the proxy has seen nothing yet."""
    ledger = DynamoDBLedger(dynamodb_local.make_table())
    ledger.set_total(DATASET, Epsilon(10))
    ledger.reserve([reservation()])
    proxy.calls.clear()
    proxy.bodies.clear()
    return ledger


def uses(ledger: DynamoDBLedger) -> dict[str, Callable[[], Any]]:
    """Every use of a ledger, by the operation whose trouble is its own."""
    return {
        "DescribeTable": ledger.ready,
        "GetItem": lambda: ledger.balance(DATASET),
        "TransactWriteItems": lambda: ledger.reserve([reservation("run-2")]),
        "UpdateItem": lambda: ledger.commit("run-1", "{}"),
        "PutItem": lambda: ledger.set_total("another", Epsilon(1)),
        "Query": ledger.datasets,
        "BatchGetItem": lambda: ledger.history(DATASET),
    }


def one_line(use: Callable[[], Any], words: str) -> None:
    with pytest.raises(LedgerError, match=words) as told:
        use()
    text = str(told.value)
    assert "\n" not in text
    assert "; allowed: " in text
    assert "SECRET" not in text
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_every_read_is_strongly_consistent(ledger: DynamoDBLedger, proxy: Faulty) -> None:
    for use in uses(ledger).values():
        use()
    reads = [body for body in proxy.bodies if "Key" in body and "UpdateExpression" not in body]
    reads += [body for body in proxy.bodies if "KeyConditionExpression" in body]
    reads += [table for body in proxy.bodies for table in body.get("RequestItems", {}).values()]
    assert len(reads) >= 7
    assert all(read["ConsistentRead"] is True for read in reads)
    assert {*proxy.calls} == {*uses(ledger)}


# -- answers that are lost


@pytest.mark.parametrize("tokens", [True, False], ids=["botocore's token", "no token"])
@pytest.mark.parametrize("lost", [1, 2], ids=["an attempt's answer", "every answer"])
def test_a_reservation_in_doubt_is_charged_once(
    ledger: DynamoDBLedger, proxy: Faulty, lost: int, tokens: bool
) -> None:
    """Without the token, as ten minutes later, all rests on the run's own item."""
    if not tokens:
        events = ledger._table._client.meta.events
        events.register("before-call.dynamodb.TransactWriteItems", _without_token)
    proxy.faults["TransactWriteItems"] = [DROPPED] * lost
    asked = reservation("in-doubt", "2")
    if lost == 2:
        one_line(lambda: ledger.reserve([asked]), r"gave no answer .*the same run id again never pays twice")
        assert ledger.find("in-doubt") is not None  # the server did what it was asked
    else:
        assert ledger.reserve([asked]) == {}
    assert ledger.reserve([asked]) == {}
    assert spent(ledger) == 3
    assert [run.run_id for run in ledger.history(DATASET)] == ["run-1", "in-doubt"]
    assert ledger.commit("in-doubt", "{}") == "{}"
    sent = [body for body in proxy.bodies if "TransactItems" in body]
    assert len(sent) == 2
    assert all(("ClientRequestToken" in body) == tokens for body in sent)


def _without_token(params: dict[str, Any], **_: object) -> None:
    body = json.loads(params["body"])
    del body["ClientRequestToken"]
    params["body"] = json.dumps(body).encode()


def test_a_process_that_lost_the_answer_and_another_that_tries_the_same_run(
    ledger: DynamoDBLedger, proxy: Faulty
) -> None:
    """The first one's look saw nothing; by the time it charges, the other has: the budget for one is enough."""
    ledger.set_total(DATASET, Epsilon(2))
    asked = [reservation("shared")]
    assert ledger._charge(asked) is True
    assert ledger._charge(asked) is False
    assert spent(ledger) == 2
    proxy.faults["TransactWriteItems"] = [cancelled("ConditionalCheckFailed", "None", "None")]
    assert ledger._charge(asked) is False  # DynamoDB need not tell more than the first reason


def test_a_commit_in_doubt_keeps_the_release(ledger: DynamoDBLedger, proxy: Faulty) -> None:
    proxy.faults["UpdateItem"] = [DROPPED, DROPPED]
    one_line(lambda: ledger.commit("run-1", "first"), "gave no answer")
    assert ledger.commit("run-1", "second") == "first"
    ledger.reserve([reservation("run-2")])
    proxy.faults["UpdateItem"] = [DROPPED]
    assert ledger.commit("run-2", "first") == "first"


def test_draws_in_doubt_are_drawn_once(ledger: DynamoDBLedger, proxy: Faulty) -> None:
    """The server stored them, nobody heard of it: whoever comes next gets those, not its own."""
    proxy.faults["UpdateItem"] = [DROPPED, DROPPED]
    one_line(lambda: ledger.store_draws("run-1", "totals", "first"), "gave no answer")
    assert ledger.store_draws("run-1", "totals", "second") == "first"
    proxy.faults["UpdateItem"] = [DROPPED]
    assert ledger.store_draws("run-1", "histogram", "first") == "first"
    ledger.reserve([reservation("run-2")])
    proxy.faults["GetItem"] = [DROPPED, DROPPED]  # stored, but what is stored cannot be read
    one_line(lambda: ledger.store_draws("run-2", "totals", "first"), "gave no answer")
    assert ledger.store_draws("run-2", "totals", "second") == "first"


@pytest.mark.parametrize("lost", [1, 2], ids=["an attempt's answer", "every answer"])
def test_a_claim_in_doubt_is_the_same_claim(ledger: DynamoDBLedger, proxy: Faulty, lost: int) -> None:
    proxy.faults["TransactWriteItems"] = [DROPPED] * lost
    if lost == 2:
        one_line(lambda: ledger.set_total("s3://bkt/data", Epsilon(1)), "gave no answer")
    ledger.set_total("s3://bkt/data", Epsilon(7))
    assert ledger.balance("s3://bkt/data").left == 7
    with pytest.raises(BudgetError, match="lies in one that has a budget"):
        ledger.set_total("s3://bkt/data/x.csv", Epsilon(1))


@pytest.mark.parametrize("lost", [1, 2])
def test_a_total_in_doubt_can_be_set_again(ledger: DynamoDBLedger, proxy: Faulty, lost: int) -> None:
    for dataset, operation in ((DATASET, "UpdateItem"), ("new", "PutItem")):
        proxy.faults[operation] = [DROPPED] * lost
        if lost == 2:
            one_line(lambda dataset=dataset: ledger.set_total(dataset, Epsilon(7)), "gave no answer")
        ledger.set_total(dataset, Epsilon(7))
    assert (ledger.balance(DATASET).left, ledger.balance("new").left) == (6, 7)


def test_an_answer_that_comes_too_late(ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:  # takes connections, says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        waiting = DynamoDBLedger(ledger._table.name)
        one_line(lambda: waiting.reserve([reservation("run-2")]), r"gave no answer \(ReadTimeoutError\)")
    assert spent(ledger) == 1


# -- others in the way


def test_conflicts_and_throttling_are_waited_out(ledger: DynamoDBLedger, proxy: Faulty) -> None:
    proxy.faults["TransactWriteItems"] = [
        cancelled("TransactionConflict", "None", "None"),
        cancelled("None", "TransactionConflict", "ThrottlingError"),
        cancelled("ProvisionedThroughputExceeded", "None", "None"),
        *[refusal("ThrottlingException")] * 3,
        refusal("TransactionInProgressException"),
    ]
    proxy.faults["UpdateItem"] = [refusal("TransactionConflictException")] * 3
    proxy.faults["GetItem"] = [refusal("ProvisionedThroughputExceededException")] * 3
    assert ledger.reserve([reservation("run-2")]) == {}
    assert spent(ledger) == 2
    assert ledger.commit("run-2", "{}") == "{}"
    assert not any(proxy.faults.values())


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("TransactWriteItems", cancelled("TransactionConflict", "None", "None")),
        ("TransactWriteItems", refusal("ThrottlingException")),
        ("UpdateItem", refusal("TransactionConflictException")),
    ],
)
def test_being_busy_for_ever_is_an_error(
    ledger: DynamoDBLedger, proxy: Faulty, operation: str, fault: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "PATIENCE_SECONDS", 0.3)
    proxy.faults[operation] = [fault] * 10_000
    one_line(uses(ledger)[operation], "the ledger is too busy")
    assert spent(ledger) == 1


def test_a_total_that_others_always_change_first(ledger: DynamoDBLedger, proxy: Faulty) -> None:
    proxy.faults["UpdateItem"] = [refusal("ConditionalCheckFailedException")] * 2
    ledger.set_total(DATASET, Epsilon(5))
    assert ledger.balance(DATASET).left == 4
    proxy.faults["UpdateItem"] = [refusal("ConditionalCheckFailedException")] * 10_000
    one_line(lambda: ledger.set_total(DATASET, Epsilon(6)), "the ledger is too busy")


def test_a_budget_that_came_back_is_tried_again(ledger: DynamoDBLedger, proxy: Faulty) -> None:
    """Refused for too little, but by the time of the look there is enough: a total was raised in between."""
    proxy.faults["TransactWriteItems"] = [cancelled("ConditionalCheckFailed", "None", "None")]
    assert ledger.reserve([reservation("run-2")]) == {}
    assert spent(ledger) == 2


def test_a_batch_that_is_read_in_parts(
    ledger: DynamoDBLedger, proxy: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"pk": {"S": "run#run-1"}, "sk": {"S": "run"}}
    rest = {"Responses": {}, "UnprocessedKeys": {ledger._table.name: {"Keys": [key], "ConsistentRead": True}}}
    proxy.faults["BatchGetItem"] = [(200, json.dumps(rest).encode())] * 3
    assert [run.run_id for run in ledger.history(DATASET)] == ["run-1"]
    monkeypatch.setattr(dynamodb_table, "PATIENCE_SECONDS", 0.3)
    proxy.faults["BatchGetItem"] = [(200, json.dumps(rest).encode())] * 10_000
    one_line(lambda: ledger.history(DATASET), "the ledger is too busy")


# -- refusals and failures


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refusal("AccessDeniedException"), "the ledger may not be used by this role or user"),
        (refusal("ResourceNotFoundException"), "no such ledger table"),
        (refusal("UnrecognizedClientException"), "AWS refuses the credentials"),
        (refusal("ExpiredTokenException"), "the AWS credentials have expired"),
        (refusal("ItemCollectionSizeLimitExceededException"), r"failed \(ItemCollectionSizeLimitExceededException\)"),
        (refusal("InternalServerError", 500), r"the ledger failed \(InternalServerError\)"),
        (refusal("SECRET and\nmore"), "the ledger failed: given"),
        ((200, b"SECRET, no JSON"), "the ledger gave no answer"),
        (DROPPED, "the ledger gave no answer"),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else value[:30],
)
def test_every_use_says_what_is_wrong(ledger: DynamoDBLedger, proxy: Faulty, fault: object, words: str) -> None:
    for operation, use in uses(ledger).items():
        proxy.faults[operation] = [fault] * 2
        one_line(use, words)
        proxy.faults.clear()


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["AccessDenied", "None", "None"], r"the ledger failed \(AccessDenied\)"),
        (["TransactionConflict", "ValidationError", "ConditionalCheckFailed"], r"failed \(ValidationError\)"),
        ([], r"failed \(TransactionCanceledException\)"),
    ],
)
def test_a_transaction_cancelled_for_another_reason(
    ledger: DynamoDBLedger, proxy: Faulty, codes: list[str], words: str
) -> None:
    proxy.faults["TransactWriteItems"] = [cancelled(*codes)]
    one_line(lambda: ledger.reserve([reservation("run-2")]), words)
    assert spent(ledger) == 1


def test_a_place_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        for use in uses(DynamoDBLedger("ledger")).values():
            one_line(use, "the ledger cannot be reached: given 'ledger'")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AWS_DEFAULT_REGION": None}, "no AWS region is set for the ledger"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no AWS credentials for the ledger"),
        ({"AWS_ENDPOINT_URL": "no address"}, "the ledger gave no answer"),
        ({"AWS_PROFILE": "nobody"}, r"the ledger gave no answer \(ProfileNotFound\)"),
    ],
)
def test_a_machine_that_is_not_set_up(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], words: str
) -> None:
    for name, value in changed.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    one_line(DynamoDBLedger("ledger").ready, words)


# -- names of tables


@pytest.mark.parametrize(
    ("table", "region"),
    [
        ("ledger", None),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/a-Ledger_1.x", "eu-west-1"),
        ("arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/ledger", "us-gov-west-1"),
    ],
)
def test_the_region_is_in_the_arn(
    monkeypatch: pytest.MonkeyPatch, proxy: Faulty, table: str, region: str | None
) -> None:
    assert region_of(table) == region
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    assert DynamoDBLedger(table)._table._client.meta.region_name == (region or "ap-south-1")


@pytest.mark.parametrize(
    "table",
    ["", "ab", "x" * 256, "a table", "ledger\n", "arn:aws:s3:::bucket", "arn:aws:dynamodb:us-east-1:1:table/ledger"],
)
def test_what_names_no_table(table: str) -> None:
    one_line(lambda: DynamoDBLedger(table), "no name of a DynamoDB table: given")
