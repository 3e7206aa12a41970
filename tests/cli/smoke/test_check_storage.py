"""That the checks of stacks, bucket and ledger can fail: each is shown what it must not pass."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from smoke import check_storage
from smoke.checks import Outcome, Seen

from cli.smoke.asking import Altered, client, outcome

NOTHING = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'


def deploy(seen: Seen) -> None:
    for name in seen.deployment.stacks.values():
        client("cloudformation").create_stack(StackName=name, TemplateBody=NOTHING)


def test_a_stack_that_is_missing_or_not_complete_is_found(seen: Seen) -> None:
    deploy(seen)
    assert outcome(check_storage.stacks, seen) == (Outcome.PASSED, "5 stacks, all CREATE_COMPLETE")
    name = seen.deployment.stacks["glue"]
    two = NOTHING.replace('"T"', '"U"')
    client("cloudformation").update_stack(StackName=name, TemplateBody=two)
    assert "UPDATE_COMPLETE" in outcome(check_storage.stacks, seen)[1]
    assert outcome(check_storage.stacks, seen)[0] == Outcome.FAILED
    client("cloudformation").delete_stack(StackName=name)
    assert outcome(check_storage.stacks, seen)[0] == Outcome.FAILED


def test_a_stack_that_was_made_without_a_change_set_is_found(seen: Seen) -> None:
    deploy(seen)
    formation = client("cloudformation")
    without = {seen.deployment.stacks["emr"]}

    def describe(StackName: str) -> dict[str, Any]:
        [stack] = formation.describe_stacks(StackName=StackName)["Stacks"]
        return {"Stacks": [stack if StackName in without else {**stack, "ChangeSetId": "arn:of:one"}]}

    Altered(seen, "cloudformation", describe_stacks=describe)
    assert outcome(check_storage.change_sets, seen) == (
        Outcome.FAILED,
        f"{seen.deployment.stacks['emr']} was made without one",
    )
    without.clear()
    assert outcome(check_storage.change_sets, seen) == (Outcome.PASSED, "one each")


def test_an_open_bucket_is_found(seen: Seen, bucket: str) -> None:
    assert outcome(check_storage.bucket_settings, seen)[0] == Outcome.FAILED
    s3, all_on = client("s3"), dict.fromkeys(check_storage._PRIVATE, True)
    tls = {"Statement": [{"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
    rule = {"ID": "Logs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}}
    sse = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=all_on)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=sse)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(tls))
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert outcome(check_storage.bucket_settings, seen)[0] == Outcome.PASSED
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**all_on, "BlockPublicPolicy": False})
    assert outcome(check_storage.bucket_settings, seen) == (Outcome.FAILED, "BlockPublicPolicy is off")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=all_on)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert outcome(check_storage.bucket_settings, seen) == (Outcome.FAILED, "no versions")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [{"Effect": "Deny", "Principal": "*"}]}))
    assert outcome(check_storage.bucket_settings, seen) == (Outcome.FAILED, "takes more than TLS")
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(tls))
    off = {"Rules": [{**rule, "Status": "Disabled"}]}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=off)
    assert outcome(check_storage.bucket_settings, seen) == (Outcome.FAILED, "nothing expires")
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    none = {"ServerSideEncryptionConfiguration": {"Rules": []}}
    Altered(seen, "s3", get_bucket_encryption=lambda **_: none)
    assert outcome(check_storage.bucket_settings, seen) == (Outcome.FAILED, "no encryption")


def test_a_bucket_that_takes_a_plain_write_is_found(seen: Seen, bucket: str) -> None:
    assert outcome(check_storage.releases_kept, seen) == (Outcome.FAILED, "it was taken")
    assert outcome(check_storage.releases_once, seen) == (Outcome.PASSED, "the second got 412")


def test_a_ledger_without_recovery_is_found(seen: Seen, bucket: str) -> None:
    assert outcome(check_storage.ledger_settings, seen)[0] == Outcome.FAILED
    client("dynamodb").update_continuous_backups(
        TableName=seen.deployment.outputs["LedgerTableName"],
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    assert outcome(check_storage.ledger_settings, seen)[0] == Outcome.PASSED


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")


def test_only_the_refusal_of_a_second_write_will_do(seen: Seen, bucket: str) -> None:
    """Neither an error for another reason, nor a refusal behind which the object is another one."""
    real, code, asked = client("s3"), "PreconditionFailed", []

    def put(Body: bytes, **more: Any) -> None:
        asked.append(more.get("IfNoneMatch"))
        real.put_object(Body=Body, **{k: v for k, v in more.items() if k != "IfNoneMatch"})
        if len(asked) == 2:
            raise refusal(code, 412 if code == "PreconditionFailed" else 503)

    Altered(seen, "s3", put_object=put)
    assert outcome(check_storage.releases_once, seen) == (Outcome.FAILED, "the second write is there")
    assert asked == ["*", "*"]
    asked.clear()
    code = "SlowDown"
    assert outcome(check_storage.releases_once, seen) == (Outcome.FAILED, "AWS answers SlowDown to PutObject")
    Altered(seen, "s3", put_object=lambda **_: None)
    assert outcome(check_storage.releases_once, seen) == (Outcome.FAILED, "the second write was taken")


@pytest.mark.parametrize(("code", "expected"), [("AccessDenied", Outcome.PASSED), ("NoSuchBucket", Outcome.FAILED)])
def test_only_a_denial_of_a_plain_write_will_do(seen: Seen, bucket: str, code: str, expected: Outcome) -> None:
    def put(**given: Any) -> None:
        assert "IfNoneMatch" not in given
        raise refusal(code, 403)

    Altered(seen, "s3", put_object=put)
    assert outcome(check_storage.releases_kept, seen)[0] == expected


def test_what_the_cdk_left_is_found_though_it_was_swept(seen: Seen) -> None:
    prefix = seen.deployment.prefix
    bucket, table = f"bucket {prefix}-storage-bucket1", f"table {prefix}-storage-Ledger"
    complete = f"stack {prefix}-storage (CREATE_COMPLETE)"
    assert outcome(check_storage.data_destroyed, seen) == (Outcome.SKIPPED, "there was nothing to destroy")
    seen.stood = [f"stack {prefix}-storage (ROLLBACK_COMPLETE)", f"stack {prefix}-network (CREATE_COMPLETE)"]
    assert outcome(check_storage.data_destroyed, seen)[0] == Outcome.SKIPPED
    for there, lacks in (([], "no bucket and no table"), ([bucket], "no table"), ([table], "no bucket")):
        seen.stood = [complete, *there]
        assert outcome(check_storage.data_destroyed, seen) == (Outcome.FAILED, f"{lacks} was seen before")
    seen.stood = [complete, bucket, table]
    assert outcome(check_storage.data_destroyed, seen)[0] == Outcome.PASSED
    seen.stood = [f"stack {prefix}-storage (UPDATE_COMPLETE)", bucket, table]
    assert outcome(check_storage.data_destroyed, seen)[0] == Outcome.PASSED
    for left in (bucket, table):
        seen.destroyed_left = [left, "log group /aws-glue/x"]
        what, saw = outcome(check_storage.data_destroyed, seen)
        assert what == Outcome.FAILED
        assert left in saw
        assert "log group" not in saw
