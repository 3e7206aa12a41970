"""With the keys of people who have the policies, against the deployed stacks: what they can do, and cannot."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.glue.models import glue_backends
from moto.moto_api import state_manager

from deploy import moto_iam
from deploy.conftest import Deployment
from deploy.runner import ACCOUNT, REGION
from deploy.test_ask_machine import QUESTION, until
from dpcloud.cli import main
from dpjobs.epsilon import Epsilon
from dpjobs.ledger.base import Reservation
from dpjobs.ledger.dynamodb import DynamoDBLedger
from dpjobs.query import PrivacyBudget

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]
STACK = "differential-privacy"
RUN = "run-of-the-door"
Call = Callable[["Person"], Any]


class Person(NamedTuple):
    """Somebody with a key, and what is deployed."""

    key: dict[str, str]
    endpoint: str
    names: dict[str, str]

    def client(self, service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": self.key["AWS_ACCESS_KEY_ID"], "region_name": REGION, "config": config}
        secret = self.key["AWS_SECRET_ACCESS_KEY"]
        return boto3.client(service, endpoint_url=self.endpoint, aws_secret_access_key=secret, **keys)

    @property
    def bucket(self) -> str:
        return self.names["BucketName"]

    @property
    def table(self) -> str:
        return self.names["LedgerTableArn"].split("/")[-1]

    @property
    def machine(self) -> str:
        return self.names["AskMachineArn"]

    @property
    def execution(self) -> str:
        return self.machine.replace(":stateMachine:", ":execution:") + ":" + RUN


@pytest.fixture(scope="module")
def people(deployment: Deployment) -> Iterator[Callable[[str], Person]]:
    """Somebody who has the policy with this output, and no other; the deployed account has a table and a release."""
    names = deployment.outputs("ask")
    client, endpoint = deployment.client, deployment.environment["AWS_ENDPOINT_URL"]
    client("s3").put_object(Bucket=names["BucketName"], Key="data/raw.csv", Body=b"x\n1\n")
    for folder in ("releases/glue", "releases/emr", "warehouse", "emr/cluster-logs"):
        client("s3").put_object(Bucket=names["BucketName"], Key=f"{folder}/{RUN}.json", Body=b"{}")
    client("logs").create_log_group(logGroupName="/aws-glue/door")
    made: dict[str, Person] = {}

    def person(policy: str) -> Person:
        if policy not in made:
            user = f"{policy.lower()}-{uuid4()}"
            client("iam").create_user(UserName=user)
            client("iam").attach_user_policy(UserName=user, PolicyArn=names[f"{policy}PolicyArn"])
            key = client("iam").create_access_key(UserName=user)["AccessKey"]
            keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
            made[policy] = Person(keys, endpoint, names)
        return made[policy]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_REGION", REGION)
        moto_iam.enforced(patch)
        yield person
    client("logs").delete_log_group(logGroupName="/aws-glue/door")


@contextmanager
def as_(person: Person) -> Iterator[None]:
    """This process's own credentials are that person's."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in person.key.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module", autouse=True)
def runs_wait() -> Iterator[None]:
    before = state_manager.get_transition("glue::job_run")
    state_manager.set_transition("glue::job_run", {"progression": "manual", "times": 10**9})
    yield
    state_manager.set_transition("glue::job_run", before)


def told(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    main(list(words))
    shown = capfd.readouterr()
    assert shown.err == ""
    return shown.out


# -- the owner


def test_an_owner_sets_a_budget_with_these_very_rights(
    people: Callable[[str], Person], capfd: pytest.CaptureFixture[str]
) -> None:
    owner = people("Owner")
    address = f"s3://{owner.bucket}/data/census-{uuid4()}.csv"
    with as_(owner):
        for total in ("5", "7"):  # the second one changes the row that is there
            said = told(capfd, "budget", "set", "--stack", STACK, "--file", address, "--total", total)
            assert said == f"{address}: total {total}, spent 0, left {total}\n"
        assert address in told(capfd, "budget", "show", "--stack", f"{STACK}-storage")
        assert told(capfd, "budget", "history", "--stack", STACK, "--file", address) == "no runs yet\n"
        told(capfd, "budget", "set", "--stack", STACK, "--dataset", f"free-{uuid4()}", "--total", "1")


def test_an_owner_brings_a_table_in_parts(people: Callable[[str], Person]) -> None:
    owner = people("Owner")
    s3, where = owner.client("s3"), {"Bucket": owner.bucket, "Key": "data/large.csv"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=io.BytesIO(b"x\n1\n"))["ETag"]
    assert [each["PartNumber"] for each in s3.list_parts(**where, UploadId=upload)["Parts"]] == [1]
    assert [each["Key"] for each in s3.list_multipart_uploads(Bucket=owner.bucket)["Uploads"]] == ["data/large.csv"]
    parts = [{"PartNumber": 1, "ETag": part}]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.list_objects_v2(Bucket=owner.bucket, Prefix="data/large")["KeyCount"] == 1


# -- the analyst


def test_an_analyst_asks_and_reads_the_answer(
    people: Callable[[str], Person], deployment: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    analyst = people("Analyst")
    states = analyst.client("stepfunctions")
    execution = states.start_execution(
        stateMachineArn=analyst.machine, name=RUN, input=json.dumps(QUESTION | {"run_id": RUN})
    )["executionArn"]
    assert execution == analyst.execution
    jobs = glue_backends[ACCOUNT][REGION].jobs
    runs = jobs[f"{STACK}-pipelinedp"].job_runs
    run = until(lambda: next((one for one in runs if one.arguments.get("--run_id") == RUN), None))
    assert run.arguments["--dataset"] == "by-address"
    assert run.arguments["--ledger"] == analyst.names["LedgerTableArn"]
    run.status = "SUCCEEDED"
    done = until(lambda: (it := states.describe_execution(executionArn=execution))["status"] != "RUNNING" and it)
    assert json.loads(done["output"]) == {"run_id": RUN, "state": "SUCCEEDED"}

    ledger = DynamoDBLedger(analyst.names["LedgerTableArn"])
    ledger.set_total("door", Epsilon.parse("3", "total"))
    ledger.reserve([Reservation(RUN, "door", PrivacyBudget(Epsilon.parse("1", "epsilon")), "0" * 64)])
    ledger.commit(RUN, "{}")
    with as_(analyst):
        own = DynamoDBLedger(analyst.names["LedgerTableArn"])
        own.ready()
        assert own.find(RUN).release == "{}"  # type: ignore[union-attr]
        assert [each.run_id for each in own.history("door")] == [RUN]
        assert "door: total 3, spent 1, left 2" in told(capfd, "budget", "show", "--stack", STACK)
    s3 = analyst.client("s3")
    for kind in ("glue", "emr"):
        assert s3.get_object(Bucket=analyst.bucket, Key=f"releases/{kind}/{RUN}.json")["Body"].read() == b"{}"
    listed = {one["Key"] for one in s3.list_objects_v2(Bucket=analyst.bucket, Prefix="releases/")["Contents"]}
    assert listed >= {f"releases/{kind}/{RUN}.json" for kind in ("glue", "emr")}  # other tests' runs, too
    described = analyst.client("cloudformation").describe_stacks(StackName=f"{STACK}-ask")["Stacks"][0]
    assert {each["OutputKey"] for each in described["Outputs"]} == {
        "AskMachineArn", "LedgerTableArn", "BucketName", "AnalystPolicyArn", "OwnerPolicyArn",
    }  # fmt: skip
    assert {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]} == deployment.outputs("ask")


def put(pk: str, operation: str = "put_item") -> Call:
    item = {"pk": {"S": pk}, "sk": {"S": "run"}}

    def call(one: Person) -> Any:
        dynamodb = one.client("dynamodb")
        if operation == "put_item":
            return dynamodb.put_item(TableName=one.table, Item=item)
        both = [{"pk": {"S": each}, "sk": {"S": "x"}} for each in ("dataset", pk)]
        return dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": one.table, "Item": i}} for i in both]
        )

    return call


NOBODY: dict[str, Call] = {
    "read a table": lambda one: one.client("s3").get_object(Bucket=one.bucket, Key="data/raw.csv"),
    "look at a table": lambda one: one.client("s3").head_object(Bucket=one.bucket, Key="data/raw.csv"),
    "copy a table": lambda one: one.client("s3").copy_object(
        Bucket=one.bucket, Key="data/copy.csv", CopySource={"Bucket": one.bucket, "Key": "data/raw.csv"}
    ),
    "read a temporary table": lambda one: one.client("s3").get_object(Bucket=one.bucket, Key=f"warehouse/{RUN}.json"),
    "read a log": lambda one: one.client("s3").get_object(Bucket=one.bucket, Key=f"emr/cluster-logs/{RUN}.json"),
    "list the bucket": lambda one: one.client("s3").list_objects_v2(Bucket=one.bucket),
    "delete a table": lambda one: one.client("s3").delete_object(Bucket=one.bucket, Key="data/raw.csv"),
    "write a release": lambda one: one.client("s3").put_object(
        Bucket=one.bucket, Key="releases/glue/x.json", Body=b""
    ),
    "start a job": lambda one: one.client("glue").start_job_run(JobName=f"{STACK}-pipelinedp"),
    "look at a job": lambda one: one.client("glue").get_job(JobName=f"{STACK}-pipelinedp"),
    "look at the runs": lambda one: one.client("glue").get_job_runs(JobName=f"{STACK}-pipelinedp"),
    "change a job": lambda one: one.client("glue").update_job(JobName=f"{STACK}-pipelinedp", JobUpdate={}),
    "read logs": lambda one: one.client("logs").get_log_events(logGroupName="/aws-glue/door", logStreamName="x"),
    "list logs": lambda one: one.client("logs").describe_log_groups(),
    "read metrics": lambda one: one.client("cloudwatch").list_metrics(),
    "see an execution's history": lambda one: one.client("stepfunctions").get_execution_history(
        executionArn=one.execution
    ),
    "list executions": lambda one: one.client("stepfunctions").list_executions(stateMachineArn=one.machine),
    "stop an execution": lambda one: one.client("stepfunctions").stop_execution(executionArn=one.execution),
    "change the machine": lambda one: one.client("stepfunctions").update_state_machine(
        stateMachineArn=one.machine, definition="{}"
    ),
    "write a run's row": put("run#other"),
    "write a history's row": put("history#door"),
    "write a run's row beside a budget": put("run#other", "transact_write_items"),
    "scan the ledger": lambda one: one.client("dynamodb").scan(TableName=one.table),
    "delete a run's row": lambda one: one.client("dynamodb").delete_item(
        TableName=one.table, Key={"pk": {"S": "dataset"}, "sk": {"S": "door"}}
    ),
    "see where the cluster is": lambda one: one.client("emr").list_clusters(),
    "look at the glue stack": lambda one: one.client("cloudformation").describe_stacks(StackName=f"{STACK}-glue"),
    "read a stack's template": lambda one: one.client("cloudformation").get_template(StackName=f"{STACK}-ask"),
    "read a parameter": lambda one: one.client("ssm").get_parameter(Name="any"),
    "open a session": lambda one: one.client("ec2").describe_instances(),
    "make a key": lambda one: one.client("iam").create_access_key(UserName="admin"),
    "take a role": lambda one: one.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/any", RoleSessionName="any"
    ),
}
ONLY_ANALYSTS: dict[str, Call] = {
    "ask": lambda one: one.client("stepfunctions").start_execution(stateMachineArn=one.machine, name="x", input="{}"),
    "read a release": lambda one: one.client("s3").get_object(Bucket=one.bucket, Key=f"releases/glue/{RUN}.json"),
    "see an execution": lambda one: one.client("stepfunctions").describe_execution(executionArn=one.execution),
}
ONLY_OWNERS: dict[str, Call] = {
    "set a budget": put("dataset"),
    "bring a table": lambda one: one.client("s3").put_object(Bucket=one.bucket, Key="data/new.csv", Body=b""),
    "list tables": lambda one: one.client("s3").list_objects_v2(Bucket=one.bucket, Prefix="data/"),
}
REFUSED = {"Analyst": NOBODY | ONLY_OWNERS, "Owner": NOBODY | ONLY_ANALYSTS}


@pytest.mark.parametrize(("policy", "what"), [(policy, what) for policy, all_ in REFUSED.items() for what in all_])
def test_it_is_refused(policy: str, what: str, people: Callable[[str], Person]) -> None:
    with pytest.raises(ClientError) as refused:
        REFUSED[policy][what](people(policy))
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, refused.value
    assert refused.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "403"), refused.value


def test_what_is_refused_is_there_for_the_account_itself(people: Callable[[str], Person]) -> None:
    """So that no refusal above is but a call that cannot work."""
    account = people("Analyst")._replace(key={"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"})
    for what in ("read a table", "read a log", "look at a job", "see an execution's history", "list executions"):
        NOBODY[what](account)
    for what in ("read logs", "list the bucket", "look at the runs", "scan the ledger", "look at the glue stack"):
        try:
            NOBODY[what](account)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] != 403  # noqa: PT017
