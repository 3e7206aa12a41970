"""The log groups of Glue's runs, so that they have a key and an end, and go with the stack."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

KINDS = ("output", "error")
"""What a run's own process prints, and what Glue's daemons say."""


class GlueLogGroups(Construct):
    """The groups that Glue 5 writes to under a security configuration: PREFIX/CONFIGURATION-role/ROLE/KIND."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name_prefix: str,
        days: int,
        security: glue.SecurityConfiguration,
        role: iam.Role,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        of_role = f"{log_prefix(name_prefix)}/{security.security_configuration_name}-role/{role.role_name}"
        for kind in KINDS:
            group = logs.CfnLogGroup(
                self,
                kind.title(),
                log_group_name=f"{of_role}/{kind}",
                retention_in_days=days,
                kms_key_id=key.key_arn,
            )
            group.apply_removal_policy(RemovalPolicy.DESTROY)


def log_prefix(name_prefix: str) -> str:
    """Return what --custom-logGroup-prefix of a job says."""
    return f"/aws-glue/{name_prefix}"
