"""What a private job may do with data, results and the ledger: the same on Glue and on EMR, and nothing more."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from stacks.components.job_storage import DATA, WAREHOUSE, JobStorage
from stacks.nag_exceptions import acknowledge_wildcards


def grant_job(
    role: iam.Role,
    *,
    storage: JobStorage,
    releases: str,
    data_locations: Sequence[str],
    data_kms_keys: Sequence[str],
) -> None:
    """Let a role read data, create releases under their prefix, use the warehouse and charge the ledger.

    Data are what lies under data/ in the bucket, and in `data_locations`, whose keys are `data_kms_keys`.
    Not: overwrite or delete a release, create one elsewhere, write data, delete from the ledger or list it whole.
    """
    bucket = storage.bucket
    allow(role, "ReadData", ["s3:GetObject"], [bucket.arn_for_objects(f"{DATA}*")])
    allow(role, "CreateReleases", ["s3:PutObject", "s3:GetObject"], [bucket.arn_for_objects(f"{releases}*")])
    # Spark's committers on S3A (EMR from 7.10, Glue 5) write in parts, and clean up by listing them
    files = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    parts = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    allow(role, "UseWarehouse", [*files, *parts], [bucket.arn_for_objects(f"{WAREHOUSE}*")])
    allow(role, "ListUploads", ["s3:ListBucketMultipartUploads"], [bucket.bucket_arn])  # knows no prefix
    prefixes = [p for prefix in (DATA, releases, WAREHOUSE) for p in (prefix.rstrip("/"), f"{prefix}*")]
    allow(
        role,
        "ListOwnPrefixes",
        ["s3:ListBucket"],
        [bucket.bucket_arn],
        {"StringLike": {"s3:prefix": prefixes}},
    )
    allow(role, "FindBucket", ["s3:GetBucketLocation"], [bucket.bucket_arn])
    _read_locations(role, data_locations)
    table = [storage.ledger.table_arn]
    allow(role, "UseLedger", ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:DescribeTable"], table)
    # nothing narrower than UpdateItem can be charged with: what runs under this role is trusted with the ledger
    allow(role, "ChargeLedger", ["dynamodb:UpdateItem", "dynamodb:PutItem"], table)
    if storage.key:
        allow(role, "UseKey", ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"], [storage.key.key_arn])
    if data_kms_keys:
        allow(role, "UseDataKeys", ["kms:Decrypt"], list(data_kms_keys))


class Asset(Protocol):
    """A file in the CDK's bucket: an `aws_s3_assets.Asset`, or the packed environment."""

    @property
    def bucket(self) -> s3.IBucket:
        """The CDK's bucket."""

    @property
    def s3_object_key(self) -> str:
        """Its key there."""


def grant_code(role: iam.Role, *assets: Asset) -> None:
    """Let a role read these files of the CDK's asset bucket, and no other of it (which `grant_read` would add)."""
    objects = [asset.bucket.arn_for_objects(asset.s3_object_key) for asset in assets]
    allow(role, "ReadCode", ["s3:GetObject"], objects)


def allow(
    role: iam.Role,
    sid: str,
    actions: list[str],
    resources: list[str],
    conditions: Mapping[str, object] | None = None,
    policy: iam.Policy | None = None,
) -> None:
    """Add one named statement to a role; a wildcard in it needs a reason under that name in nag_exceptions.py.

    `policy` is one of the role's that the statement stands in, instead of the one that the CDK makes.
    """
    statement = iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)
    if policy:
        policy.add_statements(statement)
    else:
        role.add_to_principal_policy(statement)
    acknowledge_wildcards(role, sid, resources)


def deny(role: iam.Role, sid: str, actions: list[str], resources: list[str]) -> None:
    """Add one named statement that nothing else can overrule."""
    statement = iam.PolicyStatement(sid=sid, effect=iam.Effect.DENY, actions=actions, resources=resources)
    role.add_to_principal_policy(statement)


def _read_locations(role: iam.Role, data_locations: Sequence[str]) -> None:
    for i, uri in enumerate(data_locations):
        parts = urlsplit(uri)
        bucket, prefix = f"arn:{Aws.PARTITION}:s3:::{parts.netloc}", parts.path.strip("/")
        below = f"{prefix}/*" if prefix else "*"
        # the address may be one file's or a folder's
        objects = [f"{bucket}/{below}", *([f"{bucket}/{prefix}"] if prefix else [])]
        allow(role, f"ReadLocation{i}", ["s3:GetObject"], objects)
        only = {"StringLike": {"s3:prefix": [prefix, below]}} if prefix else None
        allow(role, f"ListLocation{i}", ["s3:ListBucket"], [bucket], only)
