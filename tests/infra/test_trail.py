"""The trail: every request to tables, releases and ledger, to a bucket that only CloudTrail writes to."""

from typing import Any

import pytest

from infra.scenarios import OPTIONS, scenario

WITH_TRAIL = [name for name in OPTIONS if "dp.trail.enabled" in OPTIONS[name]]
TRAIL = "cloudtrail.amazonaws.com"
ARN = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/differential-privacy-trail"
FULL = {"s3:x-amz-acl": "bucket-owner-full-control"}


def selectors(which: str) -> dict[str, dict[str, Any]]:
    """What is recorded: by name, each field with what it is compared to."""
    found = scenario(which)
    trail = found.resolved("trail", found.only("trail", "CloudTrail::Trail"))
    return {
        each["Name"]: {field.pop("Field"): field for field in each["FieldSelectors"]}
        for each in trail["AdvancedEventSelectors"]
    }


@pytest.mark.parametrize("which", WITH_TRAIL)
def test_what_is_recorded(which: str) -> None:
    found = scenario(which)
    data = {"Equals": ["Data"]}
    ledger = found.resolved("glue", _fixed(which, "--ledger"))
    bucket = found.resolved("glue", _fixed(which, "--releases")).removeprefix("s3://").partition("/")[0]
    assert selectors(which) == {
        "Ledger": {
            "eventCategory": data,
            "resources.type": {"Equals": ["AWS::DynamoDB::Table"]},
            "resources.ARN": {"Equals": [ledger]},
        },
        "TablesAndReleases": {
            "eventCategory": data,
            "resources.type": {"Equals": ["AWS::S3::Object"]},
            "resources.ARN": {"StartsWith": [f"arn:aws:s3:::{bucket}/data/", f"arn:aws:s3:::{bucket}/releases/"]},
        },
    }


def _fixed(which: str, name: str) -> Any:
    return next(iter(scenario(which).all("glue", "Glue::Job").values()))["NonOverridableArguments"][name]


@pytest.mark.parametrize("which", WITH_TRAIL)
def test_it_runs_and_its_log_can_be_checked(which: str) -> None:
    trail = scenario(which).only("trail", "CloudTrail::Trail")
    assert (trail["IsLogging"], trail["EnableLogFileValidation"]) == (True, True)
    assert trail["TrailName"] == f"{OPTIONS[which].get('dp.name_prefix', 'differential-privacy')}-trail"


def test_cloudtrail_may_write_its_log_and_nobody_elses() -> None:
    """As awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html has it."""
    account = scenario("notice").account()
    log = account.arn("trail/Log", "AWS::S3::Bucket")
    place = f"{log}/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/26/x.json.gz"
    ours = {"aws:SourceArn": ARN}
    assert account.may(TRAIL, "s3:GetBucketAcl", log, ours)
    assert account.may(TRAIL, "s3:PutObject", place, ours | FULL)
    assert not account.may(TRAIL, "s3:PutObject", place, ours)
    assert not account.may(TRAIL, "s3:PutObject", place, FULL)
    assert not account.may(TRAIL, "s3:PutObject", place, {"aws:SourceArn": ARN.replace("1111", "9999")} | FULL)
    assert not account.may(TRAIL, "s3:PutObject", f"{log}/AWSLogs/999999999999/x.json.gz", ours | FULL)
    assert not account.may(TRAIL, "s3:GetObject", place, ours)
    assert not account.may(TRAIL, "s3:PutObject", place, ours | FULL | {"aws:SecureTransport": False})
    for role in ("glue/JobRole", "emr/InstanceRole"):
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
            assert not account.may(role, action, place)


@pytest.mark.parametrize(("which", "policy", "days"), [("notice", "Retain", 365), ("trail-destroy", "Delete", 30)])
def test_its_log_is_kept_as_data_is_and_expires(which: str, policy: str, days: int) -> None:
    found = scenario(which)
    for kind in ("S3::Bucket", "S3::BucketPolicy"):
        (body,) = found.bodies("trail", kind).values()
        assert (body["DeletionPolicy"], body["UpdateReplacePolicy"]) == (policy, policy)
    bucket = found.only("trail", "S3::Bucket")
    [rule] = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["Status"], "Prefix" in rule) == (days, "Enabled", False)
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketName" not in bucket
    types = {body["Type"] for body in found.templates["trail"]["Resources"].values()}
    assert ("Custom::S3AutoDeleteObjects" in types) is (policy == "Delete")


@pytest.mark.parametrize("which", WITH_TRAIL)
def test_the_buckets_policy_is_there_before_the_trail(which: str) -> None:
    """CloudTrail tries to write when it is made."""
    found = scenario(which)
    (policy,) = found.all("trail", "S3::BucketPolicy")
    (body,) = found.bodies("trail", "CloudTrail::Trail").values()
    assert policy in body["DependsOn"]
