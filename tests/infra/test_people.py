"""What holders of the policies Analyst and Owner may: every action of the services, on one thing of each kind."""

import copy
from functools import cache
from typing import Any

import pytest

from infra import iam_actions
from infra.iam import Account, Role
from infra.iam_actions import every_action
from infra.scenarios import OPTIONS, scenario

HERE = "eu-west-1:111122223333"
STATES = f"arn:aws:states:{HERE}"
PREFIX = "differential-privacy"
MACHINE = f"{STATES}:stateMachine:{PREFIX}-ask"
KEYS, PREFIXED, VIA = "dynamodb:LeadingKeys", "s3:prefix", "kms:ViaService"

READ = {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem"}
WRITE = {"dynamodb:PutItem", "dynamodb:UpdateItem"}
LOOK = {"dynamodb:DescribeTable"}
SEEN = READ | LOOK
SET = READ | WRITE | LOOK
FETCH = {"s3:GetObject"}
UPLOAD = {"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
UPLOADS = {"s3:ListBucketMultipartUploads"}

Where = tuple[str, dict[str, Any]]
Rights = dict[str, set[str]]

THINGS: dict[str, Where] = {
    "a table's object": ("{bucket}/data/census.csv", {}),
    "a part of a table": ("{bucket}/data/census/part-0.parquet", {}),
    "a release of Glue": ("{bucket}/releases/glue/run-1.json", {}),
    "a release of EMR": ("{bucket}/releases/emr/run-1.json", {}),
    "a release, written once": ("{bucket}/releases/glue/run-1.json", {"s3:if-none-match": "*"}),
    "what begins like the releases": ("{bucket}/releases-raw/x", {}),
    "a temporary table": ("{bucket}/warehouse/tumult_temp/part-0", {}),
    "the cluster's logs": ("{bucket}/emr/cluster-logs/j-1/node/i-1/stderr.gz", {}),
    "an object elsewhere": ("{bucket}/elsewhere", {}),
    "the bucket": ("{bucket}", {}),
    "the bucket's releases": ("{bucket}", {PREFIXED: "releases/glue/"}),
    "the bucket's tables": ("{bucket}", {PREFIXED: "data/"}),
    "the bucket's temporary tables": ("{bucket}", {PREFIXED: "warehouse/"}),
    "all of the bucket": ("{bucket}", {PREFIXED: ""}),
    "another bucket": ("arn:aws:s3:::somebody-elses-bucket", {PREFIXED: "releases/"}),
    "another bucket's release": ("arn:aws:s3:::somebody-elses-bucket/releases/glue/run-1.json", {}),
    "the ledger": ("{table}", {}),
    "a data set's row": ("{table}", {KEYS: ["dataset"]}),
    "an address's row": ("{table}", {KEYS: ["address"]}),
    "the addresses' version": ("{table}", {KEYS: ["addresses"]}),
    "a run's row": ("{table}", {KEYS: ["run#run-1"]}),
    "a history's row": ("{table}", {KEYS: ["history#census"]}),
    "a row of another kind": ("{table}", {KEYS: ["secret"]}),
    "a data set's row and a run's": ("{table}", {KEYS: ["dataset", "run#run-1"]}),
    "a run's row and another": ("{table}", {KEYS: ["run#run-1", "secret"]}),
    "an index of the ledger": ("{table}/index/any", {KEYS: ["dataset"]}),
    "the ledger's stream": ("{table}/stream/2026-01-01T00:00:00.000", {}),
    "another table": ("{table}-too", {KEYS: ["dataset"]}),
    "the machine": (MACHINE, {}),
    "a version of the machine": (f"{MACHINE}:1", {}),
    "an alias of the machine": (f"{MACHINE}:live", {}),
    "another machine": (f"{STATES}:stateMachine:other", {}),
    "a machine whose name begins like ours": (f"{MACHINE}s", {}),
    "an execution": (f"{STATES}:execution:{PREFIX}-ask:run-1", {}),
    "another machine's execution": (f"{STATES}:execution:other:run-1", {}),
    "an express execution": (f"{STATES}:express:{PREFIX}-ask:run-1:uuid", {}),
    "a map run": (f"{STATES}:mapRun:{PREFIX}-ask/x:uuid", {}),
    "a job": (f"arn:aws:glue:{HERE}:job/{PREFIX}-pipelinedp", {}),
    "the other job": (f"arn:aws:glue:{HERE}:job/{PREFIX}-tumult-ana", {}),
    "the catalog": (f"arn:aws:glue:{HERE}:catalog", {}),
    "a connection": (f"arn:aws:glue:{HERE}:connection/any", {}),
    "a job's log": (f"arn:aws:logs:{HERE}:log-group:/aws-glue/jobs/{PREFIX}:log-stream:jr_1", {}),
    "a log group": (f"arn:aws:logs:{HERE}:log-group:/aws-glue/{PREFIX}/any-role/any/output", {}),
    "the cluster": (f"arn:aws:elasticmapreduce:{HERE}:cluster/j-1", {}),
    "a machine of the cluster": (f"arn:aws:ec2:{HERE}:instance/i-1", {}),
    "a session": (f"arn:aws:ssm:{HERE}:session/any", {}),
    "a parameter": (f"arn:aws:ssm:{HERE}:parameter/{PREFIX}-emr", {}),
    "the ask stack": (f"arn:aws:cloudformation:{HERE}:stack/{PREFIX}-ask/id", {}),
    "the storage stack": (f"arn:aws:cloudformation:{HERE}:stack/{PREFIX}-storage/id", {}),
    "the glue stack": (f"arn:aws:cloudformation:{HERE}:stack/{PREFIX}-glue/id", {}),
    "the emr stack": (f"arn:aws:cloudformation:{HERE}:stack/{PREFIX}-emr/id", {}),
    "a stack whose name begins like ours": (f"arn:aws:cloudformation:{HERE}:stack/{PREFIX}-asks/id", {}),
    "the job's role": ("{glue_role}", {"iam:PassedToService": "glue.amazonaws.com"}),
    "the machine's role": ("{ask_role}", {"iam:PassedToService": "states.amazonaws.com"}),
    "the instances' role": ("{instance_role}", {"iam:PassedToService": "ec2.amazonaws.com"}),
    "the policy itself": ("{analyst}", {}),
    "themselves": ("arn:aws:iam::111122223333:user/somebody", {}),
    "the log key": ("{log_key}", {VIA: "s3.eu-west-1.amazonaws.com"}),
    "code": ("arn:aws:s3:::cdk-hnb659fds-assets-111122223333-eu-west-1/0.zip", {}),
    "no thing": ("*", {}),
}
"""One thing of each kind, and what AWS knows of a request for it."""

SEES: Rights = {
    **dict.fromkeys(("a data set's row", "an address's row", "the addresses' version"), SEEN),
    **dict.fromkeys(("a run's row", "a history's row", "a data set's row and a run's"), SEEN),
    **dict.fromkeys(("the ledger", "a row of another kind", "a run's row and another"), LOOK),
    "the ask stack": {"cloudformation:DescribeStacks"},
}
MAY: dict[str, Rights] = {
    "Analyst": {
        **SEES,
        "the machine": {"states:StartExecution"},
        "an execution": {"states:DescribeExecution"},
        **dict.fromkeys(("a release of Glue", "a release of EMR", "a release, written once"), FETCH),
        "the bucket's releases": {"s3:ListBucket"},
    },
    "Owner": {
        **SEES,
        **dict.fromkeys(("a data set's row", "an address's row", "the addresses' version"), SET),
        "the storage stack": {"cloudformation:DescribeStacks"},
        **dict.fromkeys(
            ("a table's object", "a part of a table"),
            UPLOAD,
        ),
        **dict.fromkeys(
            ("the bucket", "the bucket's releases", "the bucket's temporary tables", "all of the bucket"), UPLOADS
        ),
        "the bucket's tables": UPLOADS | {"s3:ListBucket"},
    },
}
"""All that each may, by the thing."""


@cache
def account(which: str) -> Account:
    return scenario(which).account()


@cache
def person(policy: str, which: str = "defaults") -> Role:
    return account(which).holder(f"ask/{policy}")


@cache
def names(which: str) -> dict[str, str]:
    asked = account(which)
    return {
        "bucket": asked.arn("storage/Bucket", "AWS::S3::Bucket"),
        "table": asked.arn("Ledger", "AWS::DynamoDB::Table"),
        "log_key": asked.arn("LogKey", "AWS::KMS::Key"),
        "glue_role": asked.role("glue/JobRole").arn,
        "instance_role": asked.role("emr/InstanceRole").arn,
        "ask_role": asked.role("ask/AskRole").arn,
        "analyst": asked.arn("ask/Analyst", "AWS::IAM::ManagedPolicy"),
    }


def allowed(asked: Account, who: Role, thing: Where, which: str = "defaults") -> set[str]:
    """Of all actions there are those that this one may on this thing."""
    resource, context = thing
    return iam_actions.allowed(asked, who, resource.format(**names(which)), context)


def test_actions_are_asked_one_for_all_that_are_alike() -> None:
    """The short way gives what asking each by itself does."""
    asked, who = account("defaults"), person("Owner")
    resource, context = THINGS["a data set's row"][0].format(**names("defaults")), THINGS["a data set's row"][1]
    some = {action for action in every_action() if action.startswith(("dynamodb:", "s3:", "kms:"))}
    each = {action for action in some if asked.may(who, action, resource, context)}
    assert each == iam_actions.allowed(asked, who, resource, context)


def test_the_actions_are_those_of_aws() -> None:
    assert len(every_action()) > 2800
    assert {
        "glue:StartJobRun", "glue:GetJobRun", "glue:UpdateJob", "s3:GetObjectVersion", "dynamodb:Scan",
        "dynamodb:TransactWriteItems", "logs:GetLogEvents", "logs:StartQuery", "cloudwatch:GetMetricData",
        "states:GetExecutionHistory", "states:StartSyncExecution", "states:RedriveExecution", "states:StopExecution",
        "ssm:StartSession", "elasticmapreduce:AddJobFlowSteps", "iam:CreatePolicyVersion", "sts:AssumeRole",
        "kms:CreateGrant", "ec2:RunInstances", "cloudformation:GetTemplate", "states:TestState",
    } <= every_action()  # fmt: skip


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("policy", MAY)
def test_people_may_this_and_nothing_else(policy: str, thing: str) -> None:
    assert allowed(account("defaults"), person(policy), THINGS[thing]) == MAY[policy].get(thing, set())


def test_whoever_has_both_may_no_more_than_each() -> None:
    asked = account("defaults")
    both = asked.holder("ask/Analyst", "ask/Owner")
    for thing, where in THINGS.items():
        assert allowed(asked, both, where) == MAY["Analyst"].get(thing, set()) | MAY["Owner"].get(thing, set()), thing


@pytest.mark.parametrize(
    ("policy", "actions"), [("Analyst", {"kms:Decrypt"}), ("Owner", {"kms:Decrypt", "kms:GenerateDataKey"})]
)
def test_the_storages_key_is_used_through_s3_and_dynamodb_alone(policy: str, actions: set[str]) -> None:
    asked = account("kms")
    key, who = asked.arn("storage/Key", "AWS::KMS::Key"), person(policy, "kms")
    for service in ("s3", "dynamodb"):
        assert allowed(asked, who, (key, {VIA: f"{service}.eu-west-1.amazonaws.com"}), "kms") == actions
    for context in ({}, {VIA: "glue.eu-west-1.amazonaws.com"}, {VIA: "s3.us-east-1.amazonaws.com"}):
        assert allowed(asked, who, (key, context), "kms") == set()


@pytest.mark.parametrize("which", [name for name in OPTIONS if name != "ask-off"])
def test_nobody_has_the_policies_but_whom_the_owner_gives_them(which: str) -> None:
    for policy in scenario(which).all("ask", "IAM::ManagedPolicy").values():
        assert not {"Roles", "Users", "Groups", "ManagedPolicyName"} & policy.keys()
        assert not [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] != "Allow"]


# -- the machine's own role


def test_the_machine_is_a_standard_one() -> None:
    """An Express one knows no names: a start whose answer is lost, and is tried again, would run twice."""
    assert scenario("defaults").only("ask", "StepFunctions::StateMachine")["StateMachineType"] == "STANDARD"


def test_the_machine_may_start_watch_and_stop_the_two_jobs_and_nothing_else() -> None:
    asked = account("defaults")
    runs = {"glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"}
    for thing, where in THINGS.items():
        wanted = runs if thing in ("a job", "the other job") else set()
        assert allowed(asked, asked.role("ask/AskRole"), where) == wanted, thing
    assert allowed(asked, asked.role("ask/AskRole"), (f"arn:aws:glue:{HERE}:job/other", {})) == set()


@pytest.mark.parametrize(
    ("service", "context", "trusted"),
    [
        ("states.amazonaws.com", {"aws:SourceAccount": "111122223333", "aws:SourceArn": MACHINE}, True),
        ("states.amazonaws.com", {"aws:SourceAccount": "444455556666", "aws:SourceArn": MACHINE}, False),
        ("states.amazonaws.com", {"aws:SourceAccount": "111122223333", "aws:SourceArn": f"{MACHINE}s"}, False),
        ("states.amazonaws.com", {}, False),
        ("glue.amazonaws.com", {"aws:SourceAccount": "111122223333", "aws:SourceArn": MACHINE}, False),
    ],
)
def test_the_machines_role_is_taken_by_the_machine_alone(
    service: str, context: dict[str, str], trusted: bool
) -> None:
    assert account("defaults").trusts("ask/AskRole", service, context) is trusted


# -- that the questions above can fail


@pytest.mark.parametrize("thing", THINGS)
def test_a_wider_policy_would_be_noticed(thing: str) -> None:
    templates = copy.deepcopy(scenario("defaults").templates)
    for body in templates["ask"]["Resources"].values():
        if body["Type"] == "AWS::IAM::ManagedPolicy":
            everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
            body["Properties"]["PolicyDocument"]["Statement"].append(everything)
    wide = Account.from_templates(templates)
    for policy in MAY:
        assert allowed(wide, wide.holder(f"ask/{policy}"), THINGS[thing]) > MAY[policy].get(thing, set())
