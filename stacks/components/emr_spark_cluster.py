"""One EMR cluster for private jobs: what CloudFormation's own resources ask for, spelt out once."""

import json
from pathlib import Path
from typing import Any

from aws_cdk import Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_emr as emr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from stacks.components.emr_groups import EMR_TAG, EmrGroups
from stacks.components.job_storage import EMR_LOGS, WAREHOUSE, JobStorage
from stacks.components.paths import ROOT, existing
from stacks.components.python_environment import PythonEnvironment
from stacks.config.emr import EmrConfig

SETTINGS = ROOT / "emr_assets" / "software_settings.json"
BOOTSTRAP = ROOT / "emr_assets" / "emr_bootstrap.sh"


class EmrSparkCluster(Construct):
    """PREFIX-emr in a private subnet: it stays without steps, and ends itself when it is idle.

    `bootstrap` is the asset of its bootstrap action, for the instance role to read.
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
        self.cluster = emr.CfnCluster(
            self,
            # another generation is another cluster: CloudFormation makes it, and then takes the old one away
            "Cluster" if settings.generation == 1 else f"Cluster{settings.generation}",
            name=f"{name_prefix}-emr",
            release_label=settings.release_label,
            applications=[
                emr.CfnCluster.ApplicationProperty(name=name)
                for name, wanted in (
                    ("Spark", settings.spark),
                    ("Hadoop", settings.hadoop),
                    ("Zeppelin", settings.zeppelin),
                )
                if wanted
            ],
            instances=_instances(settings, subnet, groups),
            bootstrap_actions=[
                emr.CfnCluster.BootstrapActionConfigProperty(
                    name="Libraries Installation",
                    script_bootstrap_action=emr.CfnCluster.ScriptBootstrapActionConfigProperty(
                        path=self.bootstrap.s3_object_url, args=[environment.s3_object_url]
                    ),
                )
            ],
            configurations=[_configuration(block) for block in software_settings(storage.url(WAREHOUSE))],
            auto_termination_policy=emr.CfnCluster.AutoTerminationPolicyProperty(
                idle_timeout=settings.idle_timeout_seconds
            ),
            log_uri=storage.url(EMR_LOGS),
            security_configuration=security.ref,
            service_role=service_role.role_arn,
            job_flow_role=profile.ref,
            visible_to_all_users=True,
        )
        Tags.of(self.cluster).add(*EMR_TAG)
        # the roles' policies and the groups' rules are resources of their own, which must be there first, and
        # stay until the cluster is gone
        self.cluster.node.add_dependency(profile, service_role, instance_role, groups)


def software_settings(warehouse: str) -> list[dict[str, Any]]:
    """Return emr_assets/software_settings.json with the warehouse, where all nodes share it, in spark-defaults."""
    blocks: list[dict[str, Any]] = json.loads(Path(existing(SETTINGS)).read_text(encoding="utf-8"))
    for block in blocks:
        if block["Classification"] == "spark-defaults":
            block["Properties"]["spark.sql.warehouse.dir"] = warehouse
    return blocks


def _instances(
    settings: EmrConfig, subnet: ec2.ISubnet, groups: EmrGroups
) -> emr.CfnCluster.JobFlowInstancesConfigProperty:
    group = emr.CfnCluster.InstanceGroupConfigProperty
    return emr.CfnCluster.JobFlowInstancesConfigProperty(
        master_instance_group=group(
            instance_count=settings.machines.primary_count,
            instance_type=settings.machines.primary,
            market="ON_DEMAND",
            name="Primary",
        ),
        core_instance_group=group(
            instance_count=settings.machines.core_count,
            instance_type=settings.machines.core,
            market="ON_DEMAND",
            name="Core",
        ),
        ec2_subnet_id=subnet.subnet_id,
        emr_managed_master_security_group=groups.primary.security_group_id,
        emr_managed_slave_security_group=groups.core.security_group_id,
        service_access_security_group=groups.service.security_group_id,
        keep_job_flow_alive_when_no_steps=True,
        termination_protected=False,
    )


def _configuration(block: dict[str, Any]) -> emr.CfnCluster.ConfigurationProperty:
    return emr.CfnCluster.ConfigurationProperty(
        classification=block["Classification"],
        configuration_properties=block.get("Properties") or None,
        configurations=[_configuration(inner) for inner in block.get("Configurations", [])] or None,
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
