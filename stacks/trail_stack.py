"""The trail: CloudTrail's data events of the tables, the releases and the ledger, in a bucket of its own.

It says who asked for which object or row, when and from where. It belongs to the side of the raw data: the sizes of
what was read are in it.
"""

from typing import Unpack

from aws_cdk import ArnFormat, Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.arguments import StackArguments
from stacks.components.job_storage import DATA, RELEASES, JobStorage
from stacks.nag_exceptions import acknowledge

_SELECTOR = cloudtrail.CfnTrail.AdvancedEventSelectorProperty
_FIELD = cloudtrail.CfnTrail.AdvancedFieldSelectorProperty


class TrailStack(Stack):
    """The trail PREFIX-trail and the bucket of its log, which is kept when data is."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name_prefix: str,
        storage: JobStorage,
        keep_days: int,
        retains_data: bool,
        **kwargs: Unpack[StackArguments],
    ) -> None:
        super().__init__(scope, id, **kwargs)
        name = f"{name_prefix}-trail"
        arn = self.format_arn(
            service="cloudtrail", resource="trail", resource_name=name, arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
        log = self._log(arn, keep_days, retains_data)
        trail = cloudtrail.CfnTrail(
            self,
            "Trail",
            trail_name=name,  # before it is made: the bucket's policy has to name it
            s3_bucket_name=log.bucket_name,
            is_logging=True,
            enable_log_file_validation=True,
            include_global_service_events=False,
            is_multi_region_trail=False,
            advanced_event_selectors=[
                _SELECTOR(
                    name="Ledger",
                    field_selectors=[
                        _FIELD(field="eventCategory", equal_to=["Data"]),
                        _FIELD(field="resources.type", equal_to=["AWS::DynamoDB::Table"]),
                        _FIELD(field="resources.ARN", equal_to=[storage.ledger.table_arn]),
                    ],
                ),
                _SELECTOR(
                    name="TablesAndReleases",
                    field_selectors=[
                        _FIELD(field="eventCategory", equal_to=["Data"]),
                        _FIELD(field="resources.type", equal_to=["AWS::S3::Object"]),
                        _FIELD(
                            field="resources.ARN",
                            starts_with=[storage.bucket.arn_for_objects(folder) for folder in (DATA, RELEASES)],
                        ),
                    ],
                ),
            ],
        )
        if log.policy:
            trail.node.add_dependency(log.policy)  # CloudTrail tries the bucket when the trail is made

    def _log(self, trail_arn: str, keep_days: int, retains_data: bool) -> s3.Bucket:
        removal = RemovalPolicy.RETAIN if retains_data else RemovalPolicy.DESTROY
        log = s3.Bucket(
            self,
            "Log",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            removal_policy=removal,
            auto_delete_objects=not retains_data,
            lifecycle_rules=[s3.LifecycleRule(id="Log", expiration=Duration.days(keep_days))],
        )
        service = iam.ServicePrincipal("cloudtrail.amazonaws.com")
        ours = {"aws:SourceArn": trail_arn}
        log.add_to_resource_policy(
            iam.PolicyStatement(
                sid="TrailLooks",
                principals=[service],
                actions=["s3:GetBucketAcl"],
                resources=[log.bucket_arn],
                conditions={"StringEquals": ours},
            )
        )
        log.add_to_resource_policy(
            iam.PolicyStatement(
                sid="TrailWrites",
                principals=[service],
                actions=["s3:PutObject"],
                resources=[log.arn_for_objects(f"AWSLogs/{Aws.ACCOUNT_ID}/*")],
                conditions={"StringEquals": {**ours, "s3:x-amz-acl": "bucket-owner-full-control"}},
            )
        )
        if log.policy:
            log.policy.apply_removal_policy(removal)
        acknowledge(log, "AwsSolutions-S1")
        return log
