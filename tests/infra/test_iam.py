"""May this role do that? Asked of the policies themselves (infra.iam), in the scenarios that differ in rights."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from infra import iam_pairs
from infra.iam import NOTHING, Account
from infra.iam_pairs import ALLOWED, EMR, FORBIDDEN, GLUE, GROUPS, KEY, LOGS, SERVICE, Pair, names
from infra.scenarios import OPTIONS, scenario

# What our own statements say; of AWS's two policies EMR's acts on what carries its tag, and Lambda's writes logs.
MANAGED = {"AmazonEMRServicePolicy_v2": NOTHING, "AWSLambdaBasicExecutionRole": NOTHING}
SCENARIOS = ("defaults", "isolated", "locations")
MAY = {
    "defaults": ALLOWED,
    "isolated": ALLOWED + iam_pairs.NETWORK_OF_WORKERS,
    "locations": ALLOWED + iam_pairs.LOCATIONS,
}
MAY_NOT = {
    "defaults": FORBIDDEN + iam_pairs.NETWORK_OF_WORKERS + iam_pairs.LOCATIONS,
    "isolated": FORBIDDEN + iam_pairs.NOT_OF_WORKERS + iam_pairs.LOCATIONS,
    "locations": [
        *(pair for pair in FORBIDDEN if (pair[2] != KEY or pair[0] == SERVICE)),
        *iam_pairs.NETWORK_OF_WORKERS,
        *iam_pairs.NOT_OF_LOCATIONS,
    ],
}


@cache
def account(which: str) -> Account:
    return scenario(which).account(MANAGED)


@cache
def words(which: str) -> dict[str, str]:
    return names(scenario(which))


def may(asked: Account, which: str, pair: Pair) -> bool:
    role, action, resource, context = pair
    return asked.may(role, action, resource.format(**words(which)), context)


def every(table: dict[str, list[Pair]]) -> Any:
    listed = [(which, pair) for which in SCENARIOS for pair in table[which]]
    shown = [f"{which}-{pair[0]}-{pair[1]}-{pair[2]}" for which, pair in listed]
    return pytest.mark.parametrize(("which", "pair"), listed, ids=shown)


def test_there_are_twenty_pairs_of_each_for_every_job_role() -> None:
    for role in (GLUE, EMR):
        for pairs in (ALLOWED, FORBIDDEN):
            assert len({pair[1:3] for pair in pairs if pair[0] == role}) >= 20
    assert not [pair for which in SCENARIOS for pair in MAY[which] if pair in MAY_NOT[which]]


@every(MAY)
def test_a_role_may_what_its_work_needs(which: str, pair: Pair) -> None:
    assert may(account(which), which, pair)


@every(MAY_NOT)
def test_a_role_may_nothing_else(which: str, pair: Pair) -> None:
    assert not may(account(which), which, pair)


# -- that the questions above can fail


def changed(which: str, change: Callable[[str, dict[str, Any]], None]) -> Account:
    """The account after `change` has had every resource of a copy of the templates."""
    templates = copy.deepcopy(scenario(which).templates)
    for stack, template in templates.items():
        for body in list(template["Resources"].values()):
            change(stack, body)
    return Account.from_templates(templates, managed=MANAGED)


def without(effect: str) -> Callable[[str, dict[str, Any]], None]:
    def take(_: str, body: dict[str, Any]) -> None:
        document = body.get("Properties", {}).get("PolicyDocument")
        if document:
            document["Statement"] = [each for each in document["Statement"] if each["Effect"] != effect]

    return take


@cache
def generous() -> Account:
    """The defaults where each of the three roles may do everything."""
    ids = {account("defaults").role(role).logical_id for role in (GLUE, EMR, SERVICE)}

    def give(_: str, body: dict[str, Any]) -> None:
        if body["Type"] == "AWS::IAM::Policy" and {each["Ref"] for each in body["Properties"]["Roles"]} & ids:
            everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
            body["Properties"]["PolicyDocument"]["Statement"].append(everything)

    return changed("defaults", give)


DENIED = {  # refused whatever a role is given: by the bucket, by Glue's own Deny, by whom a role trusts
    *((f"{{bucket}}/releases/{part}run-1.json", "s3:PutObject") for part in ("", "glue/", "emr/")),
    ("{bucket}/data/census.csv", "s3:GetObject"),
    ("{instance_role}", "sts:AssumeRole"),
    ("{service_role}", "sts:AssumeRole"),
    ("{glue_role}", "sts:AssumeRole"),
}


@pytest.mark.parametrize("pair", MAY_NOT["defaults"], ids=lambda pair: f"{pair[0]}-{pair[1]}-{pair[2]}")
def test_a_wider_policy_would_be_noticed(pair: Pair) -> None:
    role, action, resource, context = pair
    held = (resource, action) in DENIED and (role != SERVICE or action != "s3:GetObject" or context)
    silenced = role == GLUE and (action == "cloudwatch:PutMetricData" or resource.startswith(iam_pairs.DAEMONS))
    once = "s3:if-none-match" in context and context.get("aws:SecureTransport", True)  # what the bucket takes
    refused = bool(held and not once) or (silenced and action != "logs:GetLogEvents")
    assert may(generous(), "defaults", pair) is not refused


@pytest.mark.parametrize("pair", ALLOWED, ids=lambda pair: f"{pair[0]}-{pair[1]}-{pair[2]}")
def test_a_narrower_policy_would_be_noticed(pair: Pair) -> None:
    assert not may(narrow(), "defaults", pair)


@cache
def narrow() -> Account:
    return changed("defaults", without("Allow"))


def test_without_the_buckets_policy_a_release_could_be_written_over() -> None:
    open_ = changed("defaults", without("Deny"))
    place = words("defaults")["bucket"] + "/releases/glue/run-1.json"
    assert open_.may(GLUE, "s3:PutObject", place)
    assert not account("defaults").may(GLUE, "s3:PutObject", place)


# -- who at all

WHO = {
    "dynamodb:UpdateContinuousBackups": "{table}",
    "dynamodb:DeleteTable": "{table}",
    "dynamodb:DeleteItem": "{table}",
    "dynamodb:UpdateTable": "{table}",
    "s3:PutBucketVersioning": "{bucket}",
    "s3:DeleteBucketPolicy": "{bucket}",
    "kms:ScheduleKeyDeletion": "{log_key}",
    "elasticmapreduce:RunJobFlow": "*",
    "iam:CreateRole": "*",
    "cloudwatch:PutMetricData": "*",
}


@pytest.mark.parametrize("which", ["defaults", "isolated", "kms", "locations", "tls", "bound", "sized"])
@pytest.mark.parametrize(("action", "resource"), WHO.items(), ids=WHO)
def test_nobody_may(action: str, resource: str, which: str) -> None:
    assert account(which).who_can(action, resource.format(**words(which))) == []


def test_data_is_deleted_by_nobody_but_the_destroyer() -> None:
    def deleters(which: str) -> list[str]:
        data = words(which)["bucket"] + "/data/census.csv"
        return [role.logical_id.removesuffix("8") for role in account(which).who_can("s3:DeleteObject", data)]

    assert deleters("defaults") == deleters("kms") == deleters("locations") == deleters("isolated") == []
    (destroyer,) = deleters("destroy")
    assert destroyer.startswith("CustomS3AutoDeleteObjects")


# -- who takes the roles

MINE = {"aws:SourceAccount": "111122223333"}
THEIRS = {"aws:SourceAccount": "444455556666"}
CLUSTERS = {"aws:SourceArn": "arn:aws:elasticmapreduce:eu-west-1:111122223333:cluster/j-1"}


@pytest.mark.parametrize(
    ("role", "service", "context", "trusted"),
    [
        (GLUE, "glue.amazonaws.com", MINE, True),
        (GLUE, "glue.amazonaws.com", {}, True),
        (GLUE, "ec2.amazonaws.com", MINE, False),
        (GLUE, "lambda.amazonaws.com", MINE, False),
        (EMR, "ec2.amazonaws.com", {}, True),
        (EMR, "elasticmapreduce.amazonaws.com", MINE, False),
        (EMR, "glue.amazonaws.com", MINE, False),
        (SERVICE, "elasticmapreduce.amazonaws.com", MINE | CLUSTERS, True),
        (SERVICE, "elasticmapreduce.amazonaws.com", THEIRS | CLUSTERS, False),
        (SERVICE, "elasticmapreduce.amazonaws.com", MINE, False),
        (SERVICE, "ec2.amazonaws.com", MINE | CLUSTERS, False),
    ],
)
def test_roles_are_taken_by_their_service_alone(
    role: str, service: str, context: dict[str, str], trusted: bool
) -> None:
    for which in SCENARIOS:
        assert account(which).trusts(role, service, context) is trusted


@pytest.mark.parametrize("which", OPTIONS)
def test_no_role_of_ours_can_take_another(which: str) -> None:
    asked = account(which)
    taken = [(one, other) for other in asked.roles for one in asked.who_can("sts:AssumeRole", other.arn)]
    assert taken == []


@pytest.mark.parametrize("which", OPTIONS)
def test_awss_own_policies_are_the_two_that_we_name(which: str) -> None:
    asked = account(which)
    by_role = {role.logical_id: [arn.split("/")[-1] for arn in asked.managed_policies(role)] for role in asked.roles}
    assert all(not policies for role, policies in by_role.items() if not role.startswith(("Service", "Custom")))
    used = {policy for policies in by_role.values() for policy in policies}
    assert used <= set(MANAGED)
    assert ("AmazonEMRServicePolicy_v2" in used) is (which != "emr-off")


def test_cloudwatch_may_use_the_log_key_for_glues_groups_only() -> None:
    asked, service = account("defaults"), "logs.eu-west-1.amazonaws.com"
    key = words("defaults")["log_key"]

    def of(group: str) -> dict[str, str]:
        return {"kms:EncryptionContext:aws:logs:arn": group}

    assert asked.may(service, "kms:Encrypt", key, of(GROUPS))
    assert not asked.may(service, "kms:Encrypt", key, of(LOGS + "/other"))
    assert not asked.may(service, "kms:Encrypt", key)
    assert not asked.may("s3.amazonaws.com", "kms:Encrypt", key, of(GROUPS))
    assert not asked.may(service, "kms:Encrypt", words("defaults")["disk_key"], of(GROUPS))


def test_with_a_key_of_their_own_data_are_read_with_it() -> None:
    asked, key = account("kms"), scenario("kms").account().arn("storage/Key", "AWS::KMS::Key")
    for role in (GLUE, EMR):
        assert asked.may(role, "kms:Decrypt", key)
        assert asked.may(role, "kms:GenerateDataKey", key)
        assert not asked.may(role, "kms:ScheduleKeyDeletion", key)
    assert not asked.may(SERVICE, "kms:Decrypt", key)


def test_the_certificate_is_read_by_the_nodes_alone() -> None:
    file = "arn:aws:s3:::certificates/emr/pem.zip"
    assert [role.logical_id for role in account("tls").who_can("s3:GetObject", file)] == [
        account("tls").role(EMR).logical_id
    ]
    assert account("tls").who_can("s3:GetObject", file + ".old") == []
    assert account("defaults").who_can("s3:GetObject", file) == []
