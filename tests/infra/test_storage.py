"""The bucket and the ledger: closed, kept, and never silently replaced by empty ones."""

import json
from typing import Any

import pytest

from infra.scenarios import KEY, OPTIONS, Scenario, scenario

MADE = [name for name in OPTIONS if not name.startswith("adopted")]
DESTROYED = ("destroy", "kms-destroy", "trail-destroy")


def policies(body: dict[str, Any]) -> tuple[str | None, str | None]:
    return body.get("DeletionPolicy"), body.get("UpdateReplacePolicy")


def denials(found: Scenario) -> list[dict[str, Any]]:
    document = found.only("storage", "S3::BucketPolicy")["PolicyDocument"]
    return [each for each in document["Statement"] if each["Effect"] == "Deny"]


@pytest.mark.parametrize("which", MADE)
def test_the_bucket_is_closed_to_the_public_and_keeps_old_versions(which: str) -> None:
    bucket = scenario(which).only("storage", "S3::Bucket")
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "BucketName" not in bucket


@pytest.mark.parametrize("which", MADE)
def test_the_bucket_refuses_plain_http_from_anybody(which: str) -> None:
    found = scenario(which)
    (plain,) = [each for each in denials(found) if "Bool" in each["Condition"]]
    assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (plain["Action"], plain["Principal"]) == ("s3:*", {"AWS": "*"})
    ((bucket, _),) = found.all("storage", "S3::Bucket").items()
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    assert plain["Resource"] == [arn, {"Fn::Join": ["", [arn, "/*"]]}]
    assert found.only("storage", "S3::BucketPolicy")["Bucket"] == {"Ref": bucket}


@pytest.mark.parametrize("which", MADE)
def test_a_release_is_created_and_never_written_over(which: str) -> None:
    found = scenario(which)
    (once,) = [each for each in denials(found) if "Null" in each["Condition"]]
    assert once["Condition"] == {"Null": {"s3:if-none-match": "true"}}
    assert (once["Action"], once["Principal"]) == ("s3:PutObject", {"AWS": "*"})
    assert found.resolved("storage", once["Resource"]).endswith("/releases/*")


@pytest.mark.parametrize(("which", "logs", "warehouse", "old"), [("defaults", 90, 7, 30), ("sized", 10, 2, 3)])
def test_logs_warehouse_and_old_versions_expire_and_nothing_else(
    which: str, logs: int, warehouse: int, old: int
) -> None:
    rules = scenario(which).only("storage", "S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert {each["Status"] for each in rules} == {"Enabled"}
    expiring = {each.get("Prefix"): each["ExpirationInDays"] for each in rules if "ExpirationInDays" in each}
    assert expiring == {"emr/cluster-logs/": logs, "warehouse/": warehouse}
    (rest,) = [each for each in rules if "ExpirationInDays" not in each]
    assert rest["NoncurrentVersionExpiration"] == {"NoncurrentDays": old}
    assert rest["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert rest["ExpiredObjectDeleteMarker"] is True  # of every prefix: else a marker a file would stay for ever
    assert not {"Prefix", "ExpirationDate", "TagFilters"} & set(rest)


@pytest.mark.parametrize("which", MADE)
def test_deleted_temporary_tables_are_gone_after_a_day(which: str) -> None:
    """They hold raw sums, and a version of a deleted object stays until a rule takes it."""
    rules = scenario(which).only("storage", "S3::Bucket")["LifecycleConfiguration"]["Rules"]
    (warehouse,) = [each for each in rules if each.get("Prefix") == "warehouse/"]
    assert warehouse["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert "NewerNoncurrentVersions" not in warehouse["NoncurrentVersionExpiration"]  # would keep some of them


@pytest.mark.parametrize("which", OPTIONS)
def test_the_stack_is_protected_as_long_as_its_data_are_kept(which: str) -> None:
    manifest = json.loads((scenario(which).folder / "manifest.json").read_text())["artifacts"]
    protected = {
        key
        for key, each in manifest.items()
        if each["type"] == "aws:cloudformation:stack" and each["properties"].get("terminationProtection")
    }
    assert protected == (set() if which in DESTROYED else {"storage"})
    # what cannot be destroyed is the last that `cdk destroy --all` comes to
    assert "storage" in manifest["network"]["dependencies"]


@pytest.mark.parametrize("which", OPTIONS)
def test_data_and_nothing_else_stays_behind(which: str) -> None:
    found = scenario(which)
    holds = [key for kind in ("S3::Bucket", "DynamoDB::Table", "KMS::Key") for key in found.all("storage", kind)]
    made = {"adopted-isolated": 1, "kms": 3, "kms-destroy": 3, "isolated-kms": 3}
    made |= {"adopted": 0, "adopted-kms": 0, "adopted-kms-longest": 0}
    assert len(holds) == made.get(which, 2)
    kept = {
        (stack, key): policies(body)
        for stack, template in found.templates.items()
        for key, body in template["Resources"].items()
        if not set(policies(body)) <= {"Delete", None}
    }
    # a bucket that stays without its policy could be written over
    stays = [("storage", key) for key in (*holds, *found.all("storage", "S3::BucketPolicy"))]
    if "trail" in found.templates:  # who read the data that stay is kept with them
        stays += [("trail", key) for kind in ("S3::Bucket", "S3::BucketPolicy") for key in found.all("trail", kind)]
    assert kept == ({} if which in DESTROYED else dict.fromkeys(stays, ("Retain", "Retain")))


@pytest.mark.parametrize("which", OPTIONS)
def test_what_is_destroyed_is_emptied_first(which: str) -> None:
    types = [body["Type"] for body in scenario(which).templates["storage"]["Resources"].values()]
    assert ("Custom::S3AutoDeleteObjects" in types) is (which in DESTROYED)
    held = [
        body for kind in ("DynamoDB::Table", "KMS::Key") for body in scenario(which).bodies("storage", kind).values()
    ]
    if which in DESTROYED:
        assert {policies(body) for body in held} == {("Delete", "Delete")}


@pytest.mark.parametrize("which", OPTIONS)
def test_keys_and_logs_of_the_other_stacks_are_deleted(which: str) -> None:
    found = scenario(which)
    kinds = ("KMS::Key", "Logs::LogGroup", "Glue::SecurityConfiguration")
    others = [stack for stack in found.templates if stack != "storage"]
    every = [body for stack in others for kind in kinds for body in found.bodies(stack, kind).values()]
    assert len(every) == (5 if which == "emr-off" else 6) + ("notice" in found.templates)
    assert {policies(body) for body in every} == {("Delete", "Delete")}


@pytest.mark.parametrize("which", MADE)
def test_the_ledger_is_on_demand_and_can_be_restored(which: str) -> None:
    table = scenario(which).only("storage", "DynamoDB::Table")
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert table["AttributeDefinitions"] == [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert "TableName" not in table
    assert "TimeToLiveSpecification" not in table  # a spend that expires is a budget reset


@pytest.mark.parametrize(
    ("which", "protected"), [("defaults", True), ("kms", True), ("sized", False), ("destroy", False)]
)
def test_the_ledger_refuses_to_be_deleted_where_it_is_kept(which: str, protected: bool) -> None:
    assert scenario(which).only("storage", "DynamoDB::Table")["DeletionProtectionEnabled"] is protected


def test_the_bucket_is_encrypted_by_s3_or_by_one_key_for_bucket_and_ledger() -> None:
    def encryption(which: str) -> Any:
        (rule,) = scenario(which).only("storage", "S3::Bucket")["BucketEncryption"][
            "ServerSideEncryptionConfiguration"
        ]
        return rule

    assert encryption("defaults") == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert not scenario("defaults").all("storage", "KMS::Key")
    ((key, body),) = scenario("kms").all("storage", "KMS::Key").items()
    assert body["EnableKeyRotation"] is True
    arn = {"Fn::GetAtt": [key, "Arn"]}
    by_key = {"KMSMasterKeyID": arn, "SSEAlgorithm": "aws:kms"}
    assert encryption("kms") == {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": by_key}
    table = scenario("kms").only("storage", "DynamoDB::Table")["SSESpecification"]
    assert table == {"KMSMasterKeyId": arn, "SSEEnabled": True, "SSEType": "KMS"}


@pytest.mark.parametrize("which", ["adopted", "adopted-kms"])
def test_what_is_adopted_is_not_made_again(which: str) -> None:
    found = scenario(which)
    kinds = {body["Type"] for body in found.templates["storage"]["Resources"].values()}
    assert kinds == {"AWS::CloudFormation::WaitConditionHandle"}  # CloudFormation takes no empty stack
    outputs = {
        key: found.resolved("storage", each["Value"]) for key, each in found.templates["storage"]["Outputs"].items()
    }
    assert outputs["BucketName"] == "kept-bucket"
    assert outputs["LedgerTableName"] == "kept-table"
    assert outputs["LedgerTableArn"] == "arn:aws:dynamodb:eu-west-1:111122223333:table/kept-table"
    for job in found.all("glue", "Glue::Job").values():
        fixed = found.resolved("glue", job["NonOverridableArguments"])
        assert fixed["--ledger"] == outputs["LedgerTableArn"]
        assert fixed["--releases"] == "s3://kept-bucket/releases/glue/"


def test_an_adopted_bucket_keeps_its_key() -> None:
    found = scenario("adopted-kms")
    files = found.only("glue", "Glue::SecurityConfiguration")["EncryptionConfiguration"]["S3Encryptions"]
    assert files == [{"KmsKeyArn": KEY, "S3EncryptionMode": "SSE-KMS"}]
    assert found.account().may("glue/JobRole", "kms:Decrypt", KEY)
    assert not scenario("adopted").account().may("glue/JobRole", "kms:Decrypt", KEY)


def test_only_the_table_is_made_beside_an_adopted_bucket() -> None:
    found = scenario("adopted-isolated")
    assert not found.all("storage", "S3::Bucket")
    assert found.bodies("storage", "DynamoDB::Table")


@pytest.mark.parametrize("which", OPTIONS)
def test_no_code_lies_in_the_bucket(which: str) -> None:
    """Who may write a name there would run code with a job's role: code comes from the CDK's bucket alone."""
    found = scenario(which)
    bucket = (
        OPTIONS[which].get("dp.storage.existing_bucket")
        or (found.account().arn("storage/Bucket", "AWS::S3::Bucket").rpartition(":")[2])
    )
    assert not found.assets("storage") or "destroy" in which  # the CDK's function that empties the bucket
    for job in found.all("glue", "Glue::Job").values():
        fixed = found.resolved("glue", job["NonOverridableArguments"])
        for name in ("--scriptLocation", "--extra-py-files", "--extra-jars", "--extra-files", "--python-virtual-env"):
            assert not fixed[name].startswith(f"s3://{bucket}/")
    for cluster in found.all("emr", "EMR::Cluster").values():
        for action in found.resolved("emr", cluster["BootstrapActions"]):
            script = action["ScriptBootstrapAction"]
            assert not [uri for uri in (script["Path"], *script["Args"]) if uri.startswith(f"s3://{bucket}/")]
