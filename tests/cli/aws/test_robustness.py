"""AWS is busy, refuses, has forgotten us, is silent or elsewhere: one line, the next thing to type, the exit code."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.retries.standard import ExponentialBackoff

from cli.aws.account import PREFIX, TABLE, Aws
from cli.aws.faults import SECRET, Call, Fault, Faults, before
from cli.aws.test_cloud_run import QUESTION, run_id_of, typed
from dpcloud.aws.errors import AwsError
from dpcloud.aws.stacks import Deployment
from dpcloud.cli import main
from dpcloud.targets import door
from dpcloud.targets.base import CloudRun, Phase, Question
from dpcloud.targets.emr import Emr
from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.query import new_run_id
from library.ledger import dynamodb_local

STACK = ("--stack", PREFIX)
ASK = ("run", "--on", "glue", *QUESTION, "--epsilon", "0.01")
THROTTLED = Fault(400, "ThrottlingException")
BROKEN = Fault(500, "InternalFailure")
COMMANDS = ("run", "status", "runs", "logs", "stop", "result", "upload")
QUESTION_WORDS = {"s3_file": TABLE, "query": "COUNT", "column_name": "*", "epsilon": "1"}
NEXT = re.compile(r"; allowed: \S|`(dpcloud|aws|cdk) [^`]+`")


@pytest.fixture(scope="module")
def ended(server: Aws) -> str:
    """A run that has ended: its id."""
    with pytest.MonkeyPatch.context() as patch, server.working():
        _environment(patch, server.endpoint)
        patch.setattr("dpcloud.cloud.following._FIRST_PAUSE_SECONDS", 0.05)
        if server.ledger.balance(TABLE) is None:
            server.ledger.set_total(TABLE, Epsilon(900), Place(TABLE))
        name = new_run_id()
        main([*ASK, "--run-id", name])
    return name


@pytest.fixture(scope="module")
def between(server: Aws) -> Iterator[Faults]:
    with before(server.endpoint) as faults:
        yield faults


@pytest.fixture
def faults(between: Faults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Faults:
    """AWS behind a server with faults, a table to send, and no waiting between two tries."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    monkeypatch.setattr("dpjobs.ledger.dynamodb_table.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("dpcloud.cloud.following._FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    Path("small.csv").write_text("TotalPop\n1\n")
    _environment(monkeypatch, between.endpoint)
    between.of = lambda _: None
    return between


@pytest.fixture
def run_id(faults: Faults, ended: str) -> str:
    faults.calls.clear()
    return ended


def _environment(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    patch.delenv("AWS_REGION", raising=False)
    for name, value in {**dynamodb_local.ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}.items():
        patch.setenv(name, value)


def words(command: str, run_id: str) -> tuple[str, ...]:
    """The words of a command; `stop` is of a run that has ended where it gets that far."""
    if command == "run":
        return ASK
    if command == "upload":
        return ("upload", "small.csv", "--as", f"{new_run_id()}.csv", *STACK)
    return (command, *STACK) if command == "runs" else (command, run_id, *STACK)


def one_line(capfd: pytest.CaptureFixture[str], *asked: str, code: int = 2) -> str:
    """The one line of a command that fails, which names the next thing to type and nothing of AWS's own text."""
    shown, said = typed(capfd, *asked, code=code)
    assert shown == ""
    assert len(said.splitlines()) == 1, said
    assert NEXT.search(said), said
    assert SECRET not in said
    assert "unexpected" not in said
    return said


@pytest.mark.parametrize(
    ("command", "fault"), [*((command, THROTTLED) for command in COMMANDS), ("status", BROKEN), ("upload", BROKEN)]
)
def test_what_is_busy_for_a_while_is_tried_again(
    capfd: pytest.CaptureFixture[str], faults: Faults, server: Aws, run_id: str, command: str, fault: Fault
) -> None:
    faults.first(fault, times=2)
    if command == "stop":
        assert "the run is over: given 'SUCCEEDED'" in one_line(capfd, *words(command, run_id))
    else:
        with server.working():
            typed(capfd, *words(command, run_id))
    assert {call.service for call in faults.calls} >= {"cloudformation"}
    assert any(faults.calls.count(call) > 2 for call in faults.calls)


@pytest.mark.parametrize("fault", [THROTTLED, BROKEN], ids=lambda fault: fault.code)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_stays_busy(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str, fault: Fault
) -> None:
    faults.always(fault)
    line = one_line(capfd, *words(command, run_id))
    assert re.search(
        rf"AWS is too busy \({fault.code}\), to look at the stack {PREFIX}-\w+; allowed: the same command", line
    )
    # the ledger alone
    faults.always(fault, "dynamodb")
    if command not in ("logs", "stop"):
        assert "the ledger " in one_line(capfd, *words(command, run_id))
    assert len(faults.calls) < 200


@pytest.mark.parametrize("command", COMMANDS)
def test_credentials_that_have_expired(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str
) -> None:
    faults.always(Fault(400, "ExpiredToken"))
    line = one_line(capfd, *words(command, run_id))
    assert "the AWS credentials have expired (ExpiredToken), to " in line
    assert "allowed: `aws sso login`, or however you get AWS credentials, and the same command again" in line


@pytest.mark.usefixtures("run_id")  # which gives the table its budget
def test_credentials_that_expire_while_a_run_is_followed(capfd: pytest.CaptureFixture[str], faults: Faults) -> None:
    """The run goes on, whatever became of us; 3, for it may have spent by now."""
    faults.of = lambda call: Fault(400, "ExpiredTokenException") if call.operation == "GetJobRun" else None
    _, said = typed(capfd, *ASK, code=3)
    line = said.splitlines()[-1]
    assert "the AWS credentials have expired (ExpiredTokenException), to look at a Glue job run" in line
    assert re.search("the run goes on in AWS, and pays once: `dpcloud status run-.*`, `dpcloud result run-.*`", line)


@pytest.mark.parametrize(
    ("command", "operation", "action"),
    [
        ("run", "StartJobRun", "glue:StartJobRun"),
        ("logs", "DescribeLogGroups", "logs:DescribeLogGroups"),
        ("upload", "POST uploads", "s3:PutObject"),
        ("upload", "PUT partNumber uploadId", "s3:PutObject"),
        ("upload", "POST uploadId", "s3:PutObject"),
        ("upload", "GET uploads", "s3:ListBucketMultipartUploads"),
        ("upload", "GET list-type", "s3:ListBucket"),
    ],
)
def test_a_permission_that_is_missing_is_named(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str, operation: str, action: str
) -> None:
    text = f"User: {SECRET} is not authorized to perform: {action} on resource: x because no identity-based policy"
    faults.of = lambda call: Fault(403, "AccessDenied", text) if call.operation == operation else None
    line = one_line(capfd, *words(command, run_id))
    assert re.search(r"AWS does not let you .* \(AccessDenied\); allowed: a user or role with the permission", line)
    assert f"the permission {action}" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_who_may_look_at_nothing(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str
) -> None:
    text = f"User: {SECRET} is not authorized to perform: cloudformation:DescribeStacks on resource: x"
    faults.always(Fault(403, "AccessDenied", text))
    line = one_line(capfd, *words(command, run_id))
    assert "allowed: a user or role with the permission cloudformation:DescribeStacks" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_stack_that_is_not_there(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str
) -> None:
    asked = tuple("nowhere" if word == PREFIX else word for word in words(command, run_id))
    line = one_line(capfd, *asked)
    assert "no such stack in this account and region (us-east-1): given 'nowhere-" in line
    assert "allowed: `cdk deploy --all`, or AWS_PROFILE and AWS_REGION of where it is deployed" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_another_region(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    line = one_line(capfd, *words(command, run_id))
    assert f"no such stack in this account and region (eu-west-1): given '{PREFIX}-" in line
    monkeypatch.setenv("AWS_REGION", "no region")
    one_line(capfd, *words(command, run_id))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_network_without_a_way_there(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        line = one_line(capfd, *words(command, run_id))
    assert "AWS cannot be reached (EndpointConnectionError), to look at the stack" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_does_not_answer(
    capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dpcloud.aws import session

    monkeypatch.setattr(session, "READ_SECONDS", 0.2)
    session._client.cache_clear()
    faults.always(Fault(0, "", hangs=True))
    faults.calls.clear()
    began = time.monotonic()
    line = one_line(capfd, *words(command, run_id))
    assert "AWS cannot be reached (ReadTimeoutError), to look at the stack" in line
    assert time.monotonic() - began < 30
    assert len(faults.calls) == session._ATTEMPTS
    session._client.cache_clear()


def test_a_start_whose_answer_is_lost(
    capfd: pytest.CaptureFixture[str], faults: Faults, server: Aws, ended: str
) -> None:
    """Whether it was started nobody knows: 3, and the run id with which the same command pays once."""
    faults.of = lambda call: BROKEN if call.operation == "StartJobRun" else None
    line = one_line(capfd, *ASK, code=3)
    run_id = run_id_of(line)
    assert f"whether it was started is not known; the same command with --run-id {run_id} pays once" in line
    faults.of = lambda _: None
    with server.working():
        typed(capfd, *ASK, "--run-id", run_id)
    row = server.ledger.find(run_id)
    assert row
    assert (str(row.epsilon), row.release is not None) == ("0.01", True)


def test_an_execution_that_is_not_known_yet_is_waited_for(
    capfd: pytest.CaptureFixture[str], faults: Faults, server: Aws, run_id: str
) -> None:
    """DescribeExecution is eventually consistent: just after its start an execution may not be there."""
    server.deploy_door()
    unknown = Fault(400, "ExecutionDoesNotExist")
    try:
        seen: list[Call] = []
        faults.of = lambda call: (seen.append(call) or unknown) if _described(call) and len(seen) < 2 else None
        with server.working():
            shown, _ = typed(capfd, *ASK)
        assert len(seen) == 2
        assert "MEAN of TotalPop" in shown
        # one that was started long ago is not there
        old = CloudRun(
            target="glue",
            run_id=None,
            platform_id="arn",
            state="RUNNING",
            phase=Phase.RUNNING,
            started_at=datetime.now(UTC) - timedelta(seconds=90),
        )
        faults.of = lambda call: unknown if _described(call) else None
        with pytest.raises(AwsError, match="ExecutionDoesNotExist"):
            door.Door(Deployment(PREFIX)).look(old)
    finally:
        server.destroy("ask")


def _described(call: Call) -> bool:
    return call.operation == "DescribeExecution"


def test_following_a_step_asks_for_the_step_and_nothing_else_twice(faults: Faults, server: Aws) -> None:
    """EMR's lists are throttled for the whole account, and a run is looked at every few seconds."""
    server.cluster()
    emr = Emr(Deployment(PREFIX))
    run = emr.start(Question.of_words({**QUESTION_WORDS, "run_id": new_run_id()}))
    faults.calls.clear()
    for _ in range(3):
        run = emr.look(run)
    assert [call.operation for call in faults.calls] == ["DescribeStep", "ListInstanceGroups", *["DescribeStep"] * 2]
    assert run.usd is not None


def test_what_an_upload_asks_for(capfd: pytest.CaptureFixture[str], faults: Faults, run_id: str) -> None:
    """What the policy of owners grants is enough: nothing of a table is read back, not even its head."""
    faults.calls.clear()
    asked = words("upload", run_id)
    typed(capfd, *asked)
    typed(capfd, *asked, "--replace")
    assert {call.operation for call in faults.calls if call.service == "s3"} == {
        "GET list-type",  # s3:ListBucket
        "GET uploads",  # s3:ListBucketMultipartUploads
        "POST uploads",  # s3:PutObject, the following, too
        "PUT partNumber uploadId",
        "POST uploadId",
    }
    ledger = {call.operation for call in faults.calls if call.service == "dynamodb"}
    assert ledger <= {"GetItem", "Query", "BatchGetItem", "DescribeTable"}
    assert {call for call in faults.calls if call.service not in ("s3", "dynamodb")} == {
        Call("cloudformation", "DescribeStacks")
    }
