"""One EMR cluster for private jobs: what CloudFormation's own resources ask for, spelt out once."""

from typing import Any

from aws_cdk import Stack, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_emr as emr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stacks.components.emr_definition import properties_of, request_of, tags_of
from stacks.components.emr_groups import EMR_TAG, EmrGroups
from stacks.components.job_storage import EMR_LOGS, WAREHOUSE, JobStorage
from stacks.components.paths import ROOT, existing
from stacks.components.python_environment import PythonEnvironment
from stacks.config.emr import EmrConfig

BOOTSTRAP = ROOT / "emr_assets" / "emr_bootstrap.sh"


class EmrSparkCluster(Construct):
    """PREFIX-emr in a private subnet: it stays without steps, and ends itself when it is idle.

    `bootstrap` is the asset of its bootstrap action, for the instance role to read; `definition` the parameter that
    keeps the request by which the same cluster can be started once more, when this one has ended.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name_prefix: str,
        settings: EmrConfig,
        vpc: ec2.IVpc,
        subnet: ec2.ISubnet,
        storage: JobStorage,
        environment: PythonEnvironment,
        disk_key: kms.IKey,
        service_role: iam.Role,
        instance_role: iam.Role,
    ) -> None:
        super().__init__(scope, id)
        self.bootstrap = s3_assets.Asset(self, "Bootstrap", path=existing(BOOTSTRAP))
        profile = iam.CfnInstanceProfile(
            self,
            "Profile",
            roles=[instance_role.role_name],
            instance_profile_name=instance_role.role_name,  # EMR takes no profile of another name
        )
        groups = EmrGroups(self, "Groups", vpc=vpc, name_prefix=name_prefix)
        security = emr.CfnSecurityConfiguration(
            self, "Security", security_configuration=_security(settings, storage, disk_key)
        )
        request = request_of(
            name=f"{name_prefix}-emr",
            settings=settings,
            subnet_id=subnet.subnet_id,
            primary_group=groups.primary.security_group_id,
            core_group=groups.core.security_group_id,
            service_group=groups.service.security_group_id,
            bootstrap_url=self.bootstrap.s3_object_url,
            environment_url=environment.s3_object_url,
            warehouse_url=storage.url(WAREHOUSE),
            log_url=storage.url(EMR_LOGS),
            security_configuration=security.ref,
            service_role=service_role.role_arn,
            instance_profile=profile.ref,
        )
        # another generation is another cluster: CloudFormation makes it, and then takes the old one away
        id_ = "Cluster" if settings.generation == 1 else f"Cluster{settings.generation}"
        self.cluster = emr.CfnCluster(self, id_, **properties_of(request))
        Tags.of(self.cluster).add(*EMR_TAG)
        # the roles' policies and the groups' rules are resources of their own, which must be there first, and
        # stay until the cluster is gone
        self.cluster.node.add_dependency(profile, service_role, instance_role, groups)
        self.definition = ssm.CfnParameter(
            self,
            "Definition",
            type="String",
            description=f"{name_prefix}: the cluster as dpcloud emr start brings it back",
            value=Stack.of(self).to_json_string({**request, "Tags": tags_of(self.cluster)}),
        )


def _security(settings: EmrConfig, storage: JobStorage, disk_key: kms.IKey) -> dict[str, Any]:
    files = {"EncryptionMode": "SSE-S3"}
    if storage.key:
        files = {"EncryptionMode": "SSE-KMS", "AwsKmsKey": storage.key.key_arn}
    encryption: dict[str, Any] = {
        "EnableAtRestEncryption": True,
        "AtRestEncryptionConfiguration": {
            "S3EncryptionConfiguration": files,
            "LocalDiskEncryptionConfiguration": {
                "EncryptionKeyProviderType": "AwsKms",
                "AwsKmsKey": disk_key.key_arn,
                "EnableEbsEncryption": True,
            },
        },
        "EnableInTransitEncryption": settings.tls_certificate_s3 is not None,
    }
    if settings.tls_certificate_s3 is not None:
        certificate = {"CertificateProviderType": "PEM", "S3Object": settings.tls_certificate_s3}
        encryption["InTransitEncryptionConfiguration"] = {"TLSCertificateConfiguration": certificate}
    return {
        "EncryptionConfiguration": encryption,
        "InstanceMetadataServiceConfiguration": {
            "MinimumInstanceMetadataServiceVersion": 2,
            "HttpPutResponseHopLimit": 1,
        },
    }
