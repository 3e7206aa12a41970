"""`dpcloud budget … --stack`: a deployed ledger, on a server with AWS's protocols (moto) in this process."""

import json
import re
import socket
from collections.abc import Iterator
from decimal import Decimal

import boto3
import pytest

from dpcloud.cli import main
from dpjobs.ledger.dynamodb import DynamoDBLedger
from library.ledger import dynamodb_local
from library.ledger.contract import reservation

CENSUS = "s3://my-bucket/data/census.csv"
TEMPLATE = {
    "Resources": {
        "Ledger": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "AttributeDefinitions": [
                    {"AttributeName": "pk", "AttributeType": "S"},
                    {"AttributeName": "sk", "AttributeType": "S"},
                ],
            },
        }
    },
    "Outputs": {"LedgerTableArn": {"Value": {"Fn::GetAtt": ["Ledger", "Arn"]}}},
}
EMPTY = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
FOREIGN = {**EMPTY, "Outputs": {"LedgerTableArn": {"Value": "arn:aws:s3:::a-bucket"}}}
GONE = {**EMPTY, "Outputs": {"LedgerTableArn": {"Value": "arn:aws:dynamodb:us-east-1:123456789012:table/gone"}}}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    cloudformation = boto3.client("cloudformation", endpoint_url=address, **keys)
    for name, template in (
        ("dp-storage", TEMPLATE),
        ("empty-storage", EMPTY),
        ("foreign-storage", FOREIGN),
        ("gone-storage", GONE),
    ):
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    yield address
    server.stop()


@pytest.fixture(autouse=True)
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    for name, value in {**dynamodb_local.ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)


def told(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    main(["budget", *words])
    shown = capfd.readouterr()
    assert shown.err == ""
    return shown.out


def one_line(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["budget", *words])
    shown = capfd.readouterr()
    assert (left.value.code, shown.out) == (2, "")
    assert re.fullmatch(r"dpcloud: [^\n]+; allowed: [^\n]+\n", shown.err)
    return shown.err


def test_the_way_of_a_budget(capfd: pytest.CaptureFixture[str]) -> None:
    """Set, spent by a job, shown with its history; by the stack's name and by the prefix of its name."""
    on = ("--stack", "dp")
    assert told(capfd, "show", *on) == "no data set has a total yet\n"
    none = f"{CENSUS}: no total yet, so no run can use it (see `dpcloud budget set --help`)\n"
    assert told(capfd, "show", *on, "--file", CENSUS) == none
    assert told(capfd, "history", *on, "--file", CENSUS) == "no runs yet\n"
    assert told(capfd, "set", *on, "--file", "s3a://my-bucket/data/census.csv/", "--total", "2.5") == (
        f"{CENSUS}: total 2.5, spent 0, left 2.5\n"
    )
    assert told(capfd, "set", "--stack", "dp-storage", "--dataset", "other", "--total", "1") == (
        "other: total 1, spent 0, left 1\n"
    )

    from dpcloud.aws.stacks import ledger_table

    ledger = DynamoDBLedger(ledger_table("dp"))
    assert ledger_table("dp").startswith("arn:aws:dynamodb:us-east-1:123456789012:table/")
    ledger.reserve([reservation("first", "0.5", CENSUS), reservation("second", "1", CENSUS)])
    ledger.commit("first", "{}")
    shown = ["other: total 1, spent 0, left 1", f"{CENSUS}: total 2.5, spent 1.5, left 1"]
    assert told(capfd, "show", *on).splitlines() == shown
    assert told(capfd, "show", *on, "--dataset", CENSUS).splitlines() == shown[1:]
    history = told(capfd, "history", *on, "--file", CENSUS).splitlines()
    assert [line.split()[1:5] for line in history] == [
        ["epsilon", "0.5", "first", "committed"],
        ["epsilon", "1", "second", "reserved,"],
    ]
    line = one_line(capfd, "set", *on, "--file", CENSUS, "--total", "1.4")
    assert "the total is below what is spent: given '1.4'; allowed: at least 1.5" in line
    assert ledger.balance(CENSUS).left == Decimal(1)
    # the ledger of this machine is another one
    assert told(capfd, "show") == "no data set has been used yet\n"


def test_the_region(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION, as the CDK reads it, finds the stack; its table is where the ARN says."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert "no such stack" in one_line(capfd, "history", "--stack", "dp", "--dataset", "unused")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert told(capfd, "history", "--stack", "dp", "--dataset", "unused") == "no runs yet\n"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert told(capfd, "history", "--stack", "dp", "--dataset", "unused") == "no runs yet\n"


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("nothing", "no such stack in this account and region (us-east-1): given 'nothing-storage'"),
        ("empty", "the stack has no output LedgerTableArn: given 'empty-storage'; allowed: `cdk deploy --all`"),
        ("foreign", "no name of a DynamoDB table: given 'arn:aws:s3:::a-bucket'"),
        ("gone", "no such ledger table: given 'arn:aws:dynamodb:us-east-1:123456789012:table/gone'"),
        ("", "malformed stack name: given ''"),
        ("a stack", "malformed stack name: given 'a stack'"),
        ("x" * 129, "malformed stack name: given 'xxx"),
        ("x" * 118, "no such stack in this account and region (us-east-1): given 'xxx"),
    ],
)
def test_stacks_without_a_ledger(capfd: pytest.CaptureFixture[str], stack: str, said: str) -> None:
    for words in (["show"], ["set", "--dataset", "a", "--total", "1"], ["history", "--dataset", "a"]):
        assert said in one_line(capfd, *words, "--stack", stack)


@pytest.mark.parametrize("file", ["census.csv", "/data/census.csv", "file:///data/census.csv", "~/census.csv"])
def test_a_file_of_this_machine_is_no_name_there(capfd: pytest.CaptureFixture[str], file: str) -> None:
    said = f"a file of this machine, which no deployed job reads: given '{file}'; allowed: s3://bucket/key"
    for words in (["show"], ["set", "--total", "1"], ["history"]):
        assert said in one_line(capfd, *words, "--stack", "dp", "--file", file)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AWS_DEFAULT_REGION": None}, "no AWS region is set, to use cloudformation; allowed: AWS_REGION, or"),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "no AWS credentials, to look at the stack dp-storage; allowed: `aws sso login`",
        ),
        ({"AWS_ENDPOINT_URL": "no address"}, "AWS cannot be reached (ValueError), to "),
        ({"AWS_PROFILE": "nobody"}, "the AWS settings cannot be used (ProfileNotFound), to "),
        ({"AWS_REGION": "no region"}, "the AWS region that is set is none, to "),
        (
            {"AWS_ENDPOINT_URL": "CLOSED"},
            "AWS cannot be reached (EndpointConnectionError), to look at the stack dp-storage",
        ),
    ],
    ids=["region", "credentials", "endpoint", "profile", "no region", "no reach"],
)
def test_a_machine_that_is_not_set_up(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], said: str
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for name, value in changed.items():
            if value is None:
                monkeypatch.delenv(name)
            else:
                monkeypatch.setenv(name, value.replace("CLOSED", f"http://127.0.0.1:{closed.getsockname()[1]}"))
        assert said in one_line(capfd, "show", "--stack", "dp")


def test_a_user_who_may_not_look(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))  # else the answer may be lost
            text = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>SECRET</Message></Error></ErrorResponse>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        line = one_line(capfd, "show", "--stack", "dp")
        server.shutdown()
    assert "AWS does not let you look at the stack dp-storage (AccessDenied); allowed: a user or role with" in line
    assert "SECRET" not in line


def test_a_user_who_may_look_at_the_ask_stack_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an analyst's policy has it: what is refused may be the wrong stack."""
    from dpcloud.aws import stacks
    from dpcloud.aws.errors import AwsError

    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/ledger"

    def outputs(stack: str) -> dict[str, str] | None:
        if stack != "dp-ask":
            error = AwsError(f"refused: {stack}")
            error.code = "AccessDenied"
            raise error
        return {"LedgerTableArn": arn}

    monkeypatch.setattr(stacks, "outputs_of", outputs)
    assert stacks.ledger_table("dp") == arn
    with pytest.raises(AwsError, match=r"^refused: other-storage$"):
        stacks.ledger_table("other")
