"""The two Glue jobs, with the role they run under and the encryption of what they log."""

from typing import Unpack

from aws_cdk import Aws, CfnOutput, Duration, RemovalPolicy, Stack, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.arguments import StackArguments
from stacks.components.glue_dp_job import GlueDpJob
from stacks.components.glue_log_groups import GlueLogGroups
from stacks.components.job_code import JobCode
from stacks.components.job_permissions import allow, deny, grant_code, grant_job
from stacks.components.job_storage import GLUE_RELEASES, JobStorage
from stacks.components.python_environment import PythonEnvironment
from stacks.config.app import AppConfig


class GlueStack(Stack):
    """Jobs PREFIX-tumult-ana and PREFIX-pipelinedp; in an isolated network they run in `workers_subnet`."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: AppConfig,
        vpc: ec2.IVpc,
        workers_subnet: ec2.ISubnet,
        storage: JobStorage,
        **kwargs: Unpack[StackArguments],
    ) -> None:
        super().__init__(scope, id, **kwargs)
        key, packed = self._key(config), config.glue.python_modules == "environment"
        self.role = self._role(config, storage, key)
        library = JobCode(self, "Code").library
        environment = PythonEnvironment(self, "Environment") if packed else None
        security = self._security(config, storage, key)
        connections = [self._connection(config, vpc, workers_subnet)] if config.isolated else []
        groups = GlueLogGroups(
            self,
            "Logs",
            name_prefix=config.name_prefix,
            days=config.storage.log_group_days,
            security=security,
            role=self.role,
            key=key,
        )
        scripts = []
        for id_, script, name in (
            ("TumultAna", "run_tmlt_ana_spark.py", "tumult-ana"),
            ("PipelineDp", "run_pipelinedp_spark.py", "pipelinedp"),
        ):
            job = GlueDpJob(
                self,
                id_,
                script=script,
                name_prefix=config.name_prefix,
                name=name,
                settings=config.glue,
                storage=storage,
                library=library,
                environment=environment,
                role=self.role,
                security=security,
                connections=connections,
            )
            scripts.append(job.script)
            job.node.add_dependency(self.role, groups)  # its policies, too, before any run
            CfnOutput(self, f"{id_}Job", value=job.job.job_name)
        grant_code(self.role, library, *([environment] if environment else []), *scripts)

    def _key(self, config: AppConfig) -> kms.Key:
        """Make the key of logs and bookmarks; CloudWatch Logs may use it for Glue's log groups only."""
        key = kms.Key(
            self,
            "LogKey",
            description=f"{config.name_prefix}: logs and bookmarks of Glue",
            enable_key_rotation=True,
            pending_window=Duration.days(7),
            removal_policy=RemovalPolicy.DESTROY,
        )
        groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws-glue/*"
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogsOfGlue",
                principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
                actions=["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            )
        )
        return key

    def _role(self, config: AppConfig, storage: JobStorage, key: kms.Key) -> iam.Role:
        role = iam.Role(
            self,
            "JobRole",
            # no condition on the source: AWS does not say that Glue names one, and roles stay in their account
            assumed_by=iam.ServicePrincipal("glue.amazonaws.com"),
            description="Runs the private jobs of Glue",
        )
        grant_job(
            role,
            storage=storage,
            releases=GLUE_RELEASES,
            data_locations=config.data_locations,
            data_kms_keys=config.data_kms_keys,
        )
        groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws-glue/*"
        actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"]
        allow(role, "WriteLogs", actions, [groups])
        allow(role, "UseLogKey", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"], [key.key_arn])
        # metrics show exact row counts, and whoever starts a run can ask for them
        deny(role, "NoMetrics", ["cloudwatch:PutMetricData"], ["*"])
        # Spark's daemons, executors among them, write here, and no setting of ours silences them: the sizes of
        # shuffled blocks can show a single row
        streams = ["logs:CreateLogStream", "logs:PutLogEvents"]
        errors = [f"{groups.removesuffix('/*')}/*error*"]
        if not config.glue.daemon_logs:
            deny(role, "NoDaemonLogs", streams, errors)
        return role

    def _allow_network_interfaces(self, subnet: ec2.ISubnet, group: ec2.SecurityGroup) -> None:
        """Let Glue put workers into their subnet and group; what it makes, and only that, it may tag and remove.

        Glue removes the interfaces by this role, some minutes after a run, and a group cannot be deleted before. So
        what looks and removes is a policy of its own, which does not name the group and is deleted after it.
        """
        role, outlives = self.role, iam.Policy(self.role, "Interfaces", roles=[self.role])
        group.node.add_dependency(outlives)
        # without Null the first would hold for a call that names no tag, too
        tagged = {
            "ForAllValues:StringEquals": {"aws:TagKeys": ["aws-glue-service-resource"]},
            "Null": {"aws:TagKeys": "false"},
        }
        made_by_glue = {"Null": {"aws:ResourceTag/aws-glue-service-resource": "false"}}
        ec2_arn = f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        look = [
            "ec2:DescribeVpcEndpoints",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSubnets",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeVpcAttribute",
            "ec2:DescribeNetworkInterfaces",
        ]
        tag, remove = ["ec2:CreateTags", "ec2:DeleteTags"], ["ec2:DeleteNetworkInterface"]
        interface = f"{ec2_arn}:network-interface/*"
        allow(role, "LookAtNetwork", look, ["*"], policy=outlives)
        theirs = [f"{ec2_arn}:subnet/{subnet.subnet_id}", f"{ec2_arn}:security-group/{group.security_group_id}"]
        allow(role, "MakeInterfaces", ["ec2:CreateNetworkInterface"], [interface, *theirs])
        allow(role, "TagInterfaces", tag, [interface], tagged, policy=outlives)
        allow(role, "RemoveInterfaces", remove, [interface], made_by_glue, policy=outlives)
        glue_arn = f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        allow(role, "ReadConnection", ["glue:GetConnection"], [f"{glue_arn}:catalog", f"{glue_arn}:connection/*"])

    def _security(self, config: AppConfig, storage: JobStorage, key: kms.Key) -> glue.SecurityConfiguration:
        files = glue.S3Encryption.kms(storage.key) if storage.key else glue.S3Encryption.s3_managed()
        security = glue.SecurityConfiguration(
            self,
            # its name is made from this: a change of mode makes a new one before the old goes
            f"Security{config.storage.encryption.title()}",
            s3_encryption=files,
            cloud_watch_encryption=glue.CloudWatchEncryption.kms(key),
            job_bookmarks_encryption=glue.JobBookmarksEncryption.client_side_kms(key),
        )
        # the CDK would retain it, and its name would then be taken at the next deployment
        security.apply_removal_policy(RemovalPolicy.DESTROY)
        return security

    def _connection(self, config: AppConfig, vpc: ec2.IVpc, subnet: ec2.ISubnet) -> glue.Connection:
        group = ec2.SecurityGroup(
            self, "WorkersGroup", vpc=vpc, allow_all_outbound=False, description="Workers of Glue"
        )
        group.add_ingress_rule(group, ec2.Port.all_tcp(), "Workers among themselves, as Glue demands")
        group.add_egress_rule(group, ec2.Port.all_tcp(), "Workers among themselves")
        # S3 and DynamoDB answer from public addresses through their gateway endpoints
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS services, through the endpoints")
        Tags.of(group).add("Name", f"{config.name_prefix}-glue-workers")
        self._allow_network_interfaces(subnet, group)
        return glue.Connection(
            self,
            "Network",
            type=glue.ConnectionType.NETWORK,
            network=glue.ConnectionNetwork.subnet(subnet),
            security_groups=[group],
        )
