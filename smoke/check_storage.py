"""The lines of the checklist about the bucket, the ledger's table, the deployment itself, and its removal."""

from botocore.exceptions import ClientError

from smoke.account import code_of
from smoke.checks import Failed, Seen, Skipped, Stage, check
from smoke.removal import there

_PROBE = "releases/smoke-probe.json"
_PRIVATE = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@check("stacks", "CloudFormation takes all stacks", Stage.DEPLOYED)
def stacks(seen: Seen) -> str:
    """The status of each stack."""
    found = seen.deployment.standing()
    wrong = {name: status for name, status in found.items() if status != "CREATE_COMPLETE"}
    if wrong or len(found) != len(seen.deployment.stacks):
        raise Failed(f"there are {found or 'none'}")
    return f"{len(found)} stacks, all CREATE_COMPLETE"


@check("change-sets", "… and by the default way of `cdk deploy`", Stage.DEPLOYED, needs=("change sets",))
def change_sets(seen: Seen) -> str:
    """The change set with which each stack was made."""
    formation = seen.account.client("cloudformation")
    for name in seen.deployment.stacks.values():
        if not formation.describe_stacks(StackName=name)["Stacks"][0].get("ChangeSetId"):
            raise Failed(f"{name} was made without one")
    return "one each"


@check("releases-once", "S3 creates a release only once, under If-None-Match", Stage.DEPLOYED)
def releases_once(seen: Seen) -> str:
    """Two writes of the same object under releases/."""
    s3, bucket = seen.account.client("s3"), seen.deployment.outputs["BucketName"]
    s3.put_object(Bucket=bucket, Key=_PROBE, Body=b"first", IfNoneMatch="*")
    try:
        s3.put_object(Bucket=bucket, Key=_PROBE, Body=b"second", IfNoneMatch="*")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
            raise
        if s3.get_object(Bucket=bucket, Key=_PROBE)["Body"].read() != b"first":
            raise Failed("the second write is there") from None
        return "the second got 412"
    raise Failed("the second write was taken")


@check(
    "releases-kept",
    "… and refuses to write over one without it, whoever asks",
    Stage.DEPLOYED,
    needs=("bucket policies",),
)
def releases_kept(seen: Seen) -> str:
    """A plain write under releases/ by whoever deployed."""
    try:
        key = "releases/smoke-plain.json"
        seen.account.client("s3").put_object(Bucket=seen.deployment.outputs["BucketName"], Key=key, Body=b"x")
    except ClientError as error:
        if code_of(error) != "AccessDenied":
            raise
        return "AccessDenied"
    raise Failed("it was taken")


@check(
    "bucket", "The bucket is private, versioned and encrypted, takes TLS only, and forgets", Stage.DEPLOYED,
    needs=("bucket settings", "bucket policies"),
)  # fmt: skip
def bucket_settings(seen: Seen) -> str:
    """The bucket's public access block, versions, encryption, policy and lifecycle."""
    s3, name = seen.account.client("s3"), {"Bucket": seen.deployment.outputs["BucketName"]}
    block = s3.get_public_access_block(**name)["PublicAccessBlockConfiguration"]
    wrong = [f"{key} is off" for key in _PRIVATE if not block.get(key)]
    if s3.get_bucket_versioning(**name).get("Status") != "Enabled":
        wrong.append("no versions")
    if not s3.get_bucket_encryption(**name)["ServerSideEncryptionConfiguration"]["Rules"]:
        wrong.append("no encryption")
    if "aws:SecureTransport" not in s3.get_bucket_policy(**name)["Policy"]:
        wrong.append("takes more than TLS")
    rules = [r for r in s3.get_bucket_lifecycle_configuration(**name)["Rules"] if r["Status"] == "Enabled"]
    if not rules:
        wrong.append("nothing expires")
    if wrong:
        raise Failed(", ".join(wrong))
    return f"all of it; {len(rules)} lifecycle rules"


@check("ledger", "The ledger can be brought back to any moment", Stage.DEPLOYED, needs=("table settings",))
def ledger_settings(seen: Seen) -> str:
    """The continuous backups of the ledger's table."""
    table = seen.deployment.outputs["LedgerTableName"]
    told = seen.account.client("dynamodb").describe_continuous_backups(TableName=table)
    status = told["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    if status != "ENABLED":
        raise Failed(f"point-in-time recovery is {status}")
    return "point-in-time recovery is on"


@check("alarm", "The cost alarm's first e-mail comes when 80 % are spent", Stage.RAN)
def alarm(seen: Seen) -> str:
    """Nothing: the mail comes to a person."""
    raise Skipped("only the owner of the mailbox can see it, in a month in which so much is spent")


@check("removed", "`cdk destroy` leaves nothing, EMR's security groups included", Stage.REMOVED)
def removed(seen: Seen) -> str:
    """Stacks, networks, gateways, groups, buckets, tables, clusters and log groups of this prefix."""
    if seen.left:
        raise Failed("left: " + "; ".join(seen.left))
    return "nothing of this prefix is left"


@check(
    "data-destroyed",
    "`data_retention: destroy` empties and deletes the bucket, and deletes the ledger",
    Stage.REMOVED,
    needs=("functions",),
)
def data_destroyed(seen: Seen) -> str:
    """Whether bucket and table were there, and `cdk destroy` by itself left one of them."""
    missing = [kind for kind in ("bucket", "table") if not there(seen.stood, (kind,))]
    if missing and f"stack {seen.deployment.stacks['storage']} (CREATE_COMPLETE)" not in seen.stood:
        raise Skipped("there was nothing to destroy")
    if missing:
        raise Failed(f"no {' and no '.join(missing)} was seen before")
    if found := there(seen.destroyed_left, ("bucket", "table")):
        raise Failed(f"this script had to delete: {'; '.join(found)}")
    return "both went with the stack"
