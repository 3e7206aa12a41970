"""The EMR cluster with its two roles, and the words of a step that runs one of its scripts."""

from typing import Unpack
from urllib.parse import urlsplit

from aws_cdk import Aws, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from stacks.arguments import StackArguments
from stacks.components.emr_spark_cluster import EmrSparkCluster
from stacks.components.job_code import JobCode
from stacks.components.job_permissions import Asset, allow, grant_code, grant_job
from stacks.components.job_storage import EMR_LOGS, EMR_RELEASES, JobStorage
from stacks.components.paths import ROOT, existing
from stacks.components.python_environment import PythonEnvironment
from stacks.config.app import AppConfig
from stacks.nag_exceptions import acknowledge, acknowledge_managed


class EmrStack(Stack):
    """Roles, scripts and, unless `emr.enabled` is false, the cluster PREFIX-emr in its subnet."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: AppConfig,
        vpc: ec2.IVpc,
        cluster_subnet: ec2.ISubnet,
        storage: JobStorage,
        **kwargs: Unpack[StackArguments],
    ) -> None:
        super().__init__(scope, id, **kwargs)
        code = JobCode(self, "Code")
        self.instance_role = self._instance_role(config, storage)
        assets: list[Asset] = [code.library]
        for id_, script in (
            ("TumultAna", "run_tmlt_ana_spark.py"),
            ("PipelineDp", "run_pipelinedp_spark.py"),
        ):
            asset = s3_assets.Asset(self, id_, path=existing(ROOT / "emr_assets" / script))
            assets.append(asset)
            CfnOutput(
                self,
                f"{id_}Step",
                description="The first arguments of a Spark step; docs/operations.md says how to add one",
                value=",".join(
                    [
                        "--deploy-mode,cluster",
                        f"--py-files,{code.library.s3_object_url}",
                        asset.s3_object_url,
                        f"--ledger,{storage.ledger.table_arn}",
                        f"--releases,{storage.url(EMR_RELEASES)}",
                    ]
                ),
            )
        if config.emr.enabled:
            environment = PythonEnvironment(self, "Environment")
            assets += [environment, self._cluster(config, vpc, cluster_subnet, storage, environment).bootstrap]
        grant_code(self.instance_role, *assets)

    def _cluster(
        self,
        config: AppConfig,
        vpc: ec2.IVpc,
        subnet: ec2.ISubnet,
        storage: JobStorage,
        environment: PythonEnvironment,
    ) -> EmrSparkCluster:
        key = kms.Key(
            self,
            "DiskKey",
            description=f"{config.name_prefix}: disks of the EMR cluster",
            enable_key_rotation=True,
            pending_window=Duration.days(7),
            removal_policy=RemovalPolicy.DESTROY,
        )
        service_role = self._service_role()
        for role in (service_role, self.instance_role):
            _use_disks(role, key)
        cluster = EmrSparkCluster(
            self,
            "Spark",
            name_prefix=config.name_prefix,
            settings=config.emr,
            vpc=vpc,
            subnet=subnet,
            storage=storage,
            environment=environment,
            disk_key=key,
            service_role=service_role,
            instance_role=self.instance_role,
        )
        acknowledge(cluster.cluster, "AwsSolutions-EMR4", "AwsSolutions-EMR5", "AwsSolutions-EMR6")
        CfnOutput(self, "ClusterId", value=cluster.cluster.ref)
        CfnOutput(self, "ClusterDefinition", value=cluster.definition.ref, description="What dpcloud emr start reads")
        return cluster

    def _service_role(self) -> iam.Role:
        policy = "service-role/AmazonEMRServicePolicy_v2"
        role = iam.Role(
            self,
            "ServiceRole",
            assumed_by=iam.ServicePrincipal(
                "elasticmapreduce.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {
                        "aws:SourceArn": f"arn:{Aws.PARTITION}:elasticmapreduce:{Aws.REGION}:{Aws.ACCOUNT_ID}:*"
                    },
                },
            ),
            description="EMR makes and ends the cluster's machines with it",
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(policy)],
        )
        to_ec2 = {"StringEquals": {"iam:PassedToService": f"ec2.{Aws.URL_SUFFIX}"}}
        allow(role, "PassInstanceRole", ["iam:PassRole"], [self.instance_role.role_arn], to_ec2)
        acknowledge_managed(role, policy)
        return role

    def _instance_role(self, config: AppConfig, storage: JobStorage) -> iam.Role:
        role = iam.Role(
            self,
            "InstanceRole",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description="Runs the private jobs of EMR",
        )
        grant_job(
            role,
            storage=storage,
            releases=EMR_RELEASES,
            data_locations=config.data_locations,
            data_kms_keys=config.data_kms_keys,
        )
        allow(role, "WriteLogs", ["s3:PutObject"], [storage.bucket.arn_for_objects(f"{EMR_LOGS}*")])
        sessions = [
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ]
        allow(role, "TakeSessions", sessions, ["*"])  # these know no resources
        if config.emr.tls_certificate_s3 is not None:
            parts = urlsplit(config.emr.tls_certificate_s3)
            allow(
                role,
                "ReadCertificate",
                ["s3:GetObject"],
                [f"arn:{Aws.PARTITION}:s3:::{parts.netloc}{parts.path}"],
            )
        return role


def _use_disks(role: iam.Role, key: kms.Key) -> None:
    """What encrypted EBS volumes need of their key."""
    actions = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKey"]
    allow(role, "UseDiskKey", [*actions, "kms:ReEncryptFrom", "kms:ReEncryptTo"], [key.key_arn])
    for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    allow(role, "GrantDiskKey", ["kms:CreateGrant"], [key.key_arn], for_aws)
