"""What holds data: the bucket and the privacy ledger, its table. They outlive the stack unless told otherwise."""

from typing import Any, Unpack

from aws_cdk import CfnOutput, CfnWaitConditionHandle, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.arguments import StackArguments
from stacks.components.job_storage import EMR_LOGS, RELEASES, WAREHOUSE, JobStorage
from stacks.config.app import AppConfig
from stacks.config.storage import StorageConfig
from stacks.nag_exceptions import acknowledge


class StorageStack(Stack):
    """The bucket, the ledger's table and, where chosen, their key; or those that an earlier deployment left.

    `jobs` is what the jobs' stacks need of it.
    """

    def __init__(self, scope: Construct, id: str, *, config: AppConfig, **kwargs: Unpack[StackArguments]) -> None:
        super().__init__(scope, id, termination_protection=config.retains_data, **kwargs)
        self._removal = RemovalPolicy.RETAIN if config.retains_data else RemovalPolicy.DESTROY
        self._key = self._make_key(config)
        bucket, table = self._bucket(config), self._table(config)
        self.jobs = JobStorage(bucket=bucket, ledger=table, key=self._key)
        if config.storage.existing_bucket and config.storage.existing_table:
            CfnWaitConditionHandle(self, "Adopted")  # costs and does nothing: CloudFormation takes no empty stack
        CfnOutput(self, "BucketName", value=bucket.bucket_name, description="Tables go to data/ in it")
        CfnOutput(self, "LedgerTableName", value=table.table_name)
        CfnOutput(self, "LedgerTableArn", value=table.table_arn, description="For --ledger")

    def _make_key(self, config: AppConfig) -> kms.IKey | None:
        if config.storage.existing_key:
            return kms.Key.from_key_arn(self, "Key", config.storage.existing_key)
        if not config.storage.makes_key:
            return None
        description = f"{config.name_prefix}: bucket and ledger"
        return kms.Key(self, "Key", description=description, enable_key_rotation=True, removal_policy=self._removal)

    def _bucket(self, config: AppConfig) -> s3.IBucket:
        storage = config.storage
        if storage.existing_bucket:
            return s3.Bucket.from_bucket_attributes(
                self, "Bucket", bucket_name=storage.existing_bucket, encryption_key=self._key
            )
        bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS if self._key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=self._key,
            bucket_key_enabled=True if self._key else None,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            removal_policy=self._removal,
            auto_delete_objects=not config.retains_data,
            lifecycle_rules=_lifecycle(storage),
        )
        bucket.add_to_resource_policy(_create_only(bucket))
        if bucket.policy:  # without it, what is retained could be written over, and read in the clear
            bucket.policy.apply_removal_policy(self._removal)
        acknowledge(bucket, "AwsSolutions-S1")
        return bucket

    def _table(self, config: AppConfig) -> dynamodb.ITable:
        if config.storage.existing_table:
            return dynamodb.Table.from_table_name(self, "Ledger", config.storage.existing_table)
        # not TableV2: it makes a GlobalTable, which test servers do not know, for nothing that is used here
        return dynamodb.Table(
            self,
            "Ledger",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=config.protects_ledger,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if self._key else None,
            encryption_key=self._key,
            removal_policy=self._removal,
        )


def _lifecycle(storage: StorageConfig) -> list[s3.LifecycleRule]:
    """When what expires.

    What is deleted from a versioned bucket stays as a version: of the warehouse, which holds raw sums, for a day
    (where two rules speak of an object the shorter holds). A delete marker goes when nothing is left behind it; S3
    takes no such rule beside one of days.
    """
    return [
        _expire("Logs", EMR_LOGS, storage.log_days),
        _expire("Warehouse", WAREHOUSE, storage.warehouse_days, noncurrent_version_expiration=Duration.days(1)),
        s3.LifecycleRule(
            id="OldVersions",
            noncurrent_version_expiration=Duration.days(storage.old_version_days),
            abort_incomplete_multipart_upload_after=Duration.days(1),
            expired_object_delete_marker=True,
        ),
    ]


def _expire(name: str, prefix: str, days: int, **more: Any) -> s3.LifecycleRule:
    return s3.LifecycleRule(id=name, prefix=prefix, expiration=Duration.days(days), **more)


def _create_only(bucket: s3.Bucket) -> iam.PolicyStatement:
    """Refuse to write over a release, whoever asks: S3 creates an object only under If-None-Match."""
    return iam.PolicyStatement(
        sid="ReleasesAreCreatedOnce",
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["s3:PutObject"],
        resources=[bucket.arn_for_objects(f"{RELEASES}*")],
        conditions={"Null": {"s3:if-none-match": "true"}},
    )
