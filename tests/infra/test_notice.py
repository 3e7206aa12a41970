"""The notices: states alone travel, nobody but their own role publishes, and a cluster of a day is looked for."""

import json
import re
from typing import Any

import pytest

from infra.iam import NOTHING
from infra.scenarios import Scenario, scenario

PUBLISHER, STARTER = "notice/Publisher", "notice/Starter"
PREFIX = "arn:aws:states:eu-west-1:111122223333:stateMachine:"
MANAGED = {"AmazonEMRServicePolicy_v2": NOTHING}
STATES_ONLY = {
    "$.detail.jobName", "$.detail.jobRunId", "$.detail.stepId", "$.detail.clusterId", "$.detail.state",
    "$.detail.status", "$.detail.name", "$.time",
}  # fmt: skip
"""What may be read of an event. Not its message, input, output or reason, which may hold anything."""


def notice() -> Scenario:
    return scenario("notice")


def rules(found: Scenario) -> dict[str, dict[str, Any]]:
    """The rules by what they listen to; the one of the clock by its schedule."""
    named = {}
    for body in found.all("notice", "Events::Rule").values():
        pattern = found.resolved("notice", body.get("EventPattern", {}))
        named[pattern["detail-type"][0] if pattern else body["ScheduleExpression"]] = body
    return named


def machines(found: Scenario) -> dict[str, Any]:
    """The definitions of both state machines by the start of their logical ids."""
    return {
        key[:-8]: json.loads(found.resolved("notice", body["DefinitionString"]))
        for key, body in found.all("notice", "StepFunctions::StateMachine").items()
    }


def test_nothing_but_states_is_read_of_an_event() -> None:
    listening = {kind: rule for kind, rule in rules(notice()).items() if not kind.startswith("rate")}
    assert set(listening) == {
        "Glue Job State Change",
        "EMR Step Status Change",
        "EMR Cluster State Change",
        "Step Functions Execution Status Change",
    }
    for kind, rule in listening.items():
        [target] = rule["Targets"]
        assert not {"Input", "InputPath"} & set(target), kind
        read = target["InputTransformer"]["InputPathsMap"]
        assert set(read.values()) <= STATES_ONLY, kind
        # a step's and a cluster's name is whatever somebody has typed; an execution's is the run id
        assert ("$.detail.name" in read.values()) is (kind == "Step Functions Execution Status Change"), kind
        assert set(re.findall("<([^>]+)>", target["InputTransformer"]["InputTemplate"])) == set(read), kind


def test_only_what_is_ours_is_listened_to() -> None:
    found = notice()
    details = {
        kind: found.resolved("notice", rule["EventPattern"])["detail"]
        for kind, rule in rules(found).items()
        if "EventPattern" in rule
    }
    assert details["Glue Job State Change"] == {
        "jobName": ["differential-privacy-tumult-ana", "differential-privacy-pipelinedp"]
    }
    assert details["EMR Cluster State Change"]["name"] == ["differential-privacy-emr"]
    assert details["Step Functions Execution Status Change"]["stateMachineArn"] == [
        f"{PREFIX}differential-privacy-ask"
    ]
    # a step's event does not name its cluster: the machine asks
    assert machines(found)["Told"]["States"]["IsItOurs"]["Choices"] == [
        {"Variable": "$.of.name", "StringEquals": "differential-privacy-emr", "Next": "Tell"}
    ]


def test_every_end_is_told_the_bad_ones_above_all() -> None:
    """Each state that ends a step, a cluster or a question, and the start of a cluster, from which on it costs."""
    found = notice()
    listened = {
        kind: found.resolved("notice", rule["EventPattern"])["detail"]
        for kind, rule in rules(found).items()
        if "EventPattern" in rule
    }
    assert {kind: set(each.get("state", each.get("status", ()))) for kind, each in listened.items()} == {
        "Glue Job State Change": set(),  # all that there are: Glue tells of ends alone
        "EMR Step Status Change": {"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"},
        "EMR Cluster State Change": {"STARTING", "TERMINATED", "TERMINATED_WITH_ERRORS"},
        "Step Functions Execution Status Change": {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"},
    }


def test_twice_a_day_a_look_that_takes_a_day() -> None:
    found = notice()
    look = rules(found)["rate(12 hours)"]
    assert look["State"] == "ENABLED"
    [target] = look["Targets"]
    assert json.loads(target["Input"]) == {"seconds": 86_400}
    assert found.resolved("notice", target["Arn"]).startswith(f"{PREFIX}notice-Watched")
    assert (
        machines(found)["Watched"]["States"]["Each"]["ItemProcessor"]["States"]["ADay"]["SecondsPath"] == "$.seconds"
    )


def test_any_live_state_is_told_of() -> None:
    """The same states as `dpcloud emr` takes for live; above all WAITING, in which clusters are forgotten."""
    watched = machines(notice())["Watched"]["States"]
    inner = watched["Each"]["ItemProcessor"]["States"]
    [choice] = inner["IsItUp"]["Choices"]
    told = {each["StringEquals"] for each in choice["Or"]}
    assert told == set(watched["WhichAreUp"]["Parameters"]["ClusterStates"])
    assert told == {"STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"}
    assert inner[choice["Next"]]["Resource"].endswith(":sns:publish")


def test_every_task_is_tried_again_and_what_fails_for_good_is_told() -> None:
    def tasks(definition: dict[str, Any]) -> list[dict[str, Any]]:
        found = [state for state in definition["States"].values() if state["Type"] == "Task"]
        inner = [s["ItemProcessor"] for s in definition["States"].values() if s["Type"] == "Map"]
        return found + [task for each in inner for task in tasks(each)]

    every = [task for definition in machines(notice()).values() for task in tasks(definition)]
    assert len(every) == 7
    for task in every:
        assert task["Retry"][0]["ErrorEquals"] == ["States.ALL"]
        if "sns" not in task["Resource"]:
            [caught] = task["Catch"]
            assert caught["Next"].startswith("Tell")
            assert caught["ResultPath"] == "$.unknown"  # else the notice would not know what it is about


def test_the_topic_is_encrypted_and_no_service_may_publish() -> None:
    """EventBridge and whoever makes rules in another account: not even with the topic's name."""
    found, account = notice(), notice().account(MANAGED)
    topic = found.only("notice", "SNS::Topic")
    assert found.resolved("notice", topic["KmsMasterKeyId"]) == account.arn("notice/Key", "AWS::KMS::Key")
    arn = account.arn("Topic", "AWS::SNS::Topic")
    for service in ("events.amazonaws.com", "states.amazonaws.com", "cloudwatch.amazonaws.com"):
        assert not account.may(service, "sns:Publish", arn)
        assert not account.may(service, "kms:Decrypt", account.arn("notice/Key", "AWS::KMS::Key"))
    assert [role.logical_id[:-8] for role in account.who_can("sns:Publish", arn)] == ["Publisher"]
    assert not account.may(PUBLISHER, "sns:Publish", arn, {"aws:SecureTransport": False})


def test_the_mail_goes_to_the_one_address() -> None:
    [subscription] = notice().all("notice", "SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "owner@example.org")


MAY = [
    (PUBLISHER, "sns:Publish", "{topic}"),
    (PUBLISHER, "kms:GenerateDataKey", "{key}"),
    (PUBLISHER, "kms:Decrypt", "{key}"),
    (PUBLISHER, "elasticmapreduce:DescribeCluster", "{cluster}"),
    (PUBLISHER, "elasticmapreduce:ListClusters", "*"),
    (STARTER, "states:StartExecution", "{told}"),
    (STARTER, "states:StartExecution", "{watched}"),
]
MAY_NOT = [
    *[
        (PUBLISHER, action, "{cluster}")
        for action in (
            "elasticmapreduce:TerminateJobFlows",
            "elasticmapreduce:AddJobFlowSteps",
            "elasticmapreduce:ListSteps",
            "elasticmapreduce:DescribeStep",
        )
    ],
    (PUBLISHER, "elasticmapreduce:RunJobFlow", "*"),
    (PUBLISHER, "sns:Publish", "arn:aws:sns:eu-west-1:111122223333:other"),
    (PUBLISHER, "sns:Subscribe", "{topic}"),
    (PUBLISHER, "kms:CreateGrant", "{key}"),
    (PUBLISHER, "glue:GetJobRun", "*"),
    (PUBLISHER, "logs:GetLogEvents", "*"),
    (PUBLISHER, "s3:GetObject", "{bucket}/data/census.csv"),
    (PUBLISHER, "dynamodb:GetItem", "{table}"),
    (STARTER, "sns:Publish", "{topic}"),
    (STARTER, "kms:Decrypt", "{key}"),
    (STARTER, "states:StartExecution", f"{PREFIX}differential-privacy-ask"),
    (STARTER, "glue:StartJobRun", "*"),
]


def names() -> dict[str, str]:
    account = notice().account()
    return {
        "topic": account.arn("Topic", "AWS::SNS::Topic"),
        "key": account.arn("notice/Key", "AWS::KMS::Key"),
        "cluster": "arn:aws:elasticmapreduce:eu-west-1:111122223333:cluster/j-1",
        "told": account.arn("Told", "AWS::StepFunctions::StateMachine"),
        "watched": account.arn("Watched", "AWS::StepFunctions::StateMachine"),
        "bucket": account.arn("storage/Bucket", "AWS::S3::Bucket"),
        "table": account.arn("Ledger", "AWS::DynamoDB::Table"),
    }


@pytest.mark.parametrize(("role", "action", "resource"), MAY)
def test_a_role_may_what_its_work_needs(role: str, action: str, resource: str) -> None:
    assert notice().account().may(role, action, resource.format(**names()))


@pytest.mark.parametrize(("role", "action", "resource"), MAY_NOT)
def test_a_role_may_nothing_else(role: str, action: str, resource: str) -> None:
    assert not notice().account().may(role, action, resource.format(**names()))


def test_only_this_accounts_services_assume_the_roles() -> None:
    account = notice().account()
    ours = {"aws:SourceAccount": "111122223333"}
    machine = {"aws:SourceArn": f"{PREFIX}notice-Told"}
    assert account.trusts(PUBLISHER, "states.amazonaws.com", ours | machine)
    assert account.trusts(STARTER, "events.amazonaws.com", ours)
    assert not account.trusts(PUBLISHER, "states.amazonaws.com", ours)
    assert not account.trusts(
        PUBLISHER, "states.amazonaws.com", ours | {"aws:SourceArn": "arn:aws:sns:eu-west-1:x:y"}
    )
    for role, service in ((PUBLISHER, "states.amazonaws.com"), (STARTER, "events.amazonaws.com")):
        assert not account.trusts(role, service, {"aws:SourceAccount": "999999999999"} | machine)
        assert not account.trusts(role, "lambda.amazonaws.com", ours | machine)


def test_the_role_is_there_before_a_machine_uses_it() -> None:
    found = notice()
    policy = next(key for key in found.all("notice", "IAM::Policy") if key.startswith("Publisher"))
    for body in found.bodies("notice", "StepFunctions::StateMachine").values():
        assert policy in body["DependsOn"]
