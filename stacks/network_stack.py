"""The network: four subnets in two zones, with NAT to the internet, or isolated with AWS's services inside."""

from collections.abc import Mapping
from typing import Unpack

from aws_cdk import Aws, Fn, RemovalPolicy, Stack, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.arguments import StackArguments
from stacks.components.emr_groups import EMR_TAG
from stacks.config.app import AppConfig
from stacks.nag_exceptions import acknowledge

_EDGE = "edge"
"""The group of the other two subnets, public or with the endpoints: one name, so that a change of mode keeps them."""


class NetworkStack(Stack):
    """VPC, subnets, routes, network ACL, flow logs and endpoints; `emr_subnet` is EMR's, `private_b` Glue's."""

    def __init__(self, scope: Construct, id: str, *, config: AppConfig, **kwargs: Unpack[StackArguments]) -> None:
        self._config = config  # first: the VPC asks for `availability_zones` while it is made
        super().__init__(scope, id, **kwargs)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(config.vpc_cidr),
            max_azs=config.zone_count,
            nat_gateways=config.nat_gateway_count,
            create_internet_gateway=not config.isolated,
            subnet_configuration=_subnets(config),
        )
        if config.availability_zones:
            acknowledge(self.vpc, "CloudFormation-Validate::W3010")
        self.private_a, self.private_b = self._group("private")
        self.emr_subnet = self.private_a if config.emr.zone == "a" else self.private_b
        self._name(config)
        self._acl(config)
        self._flow_logs(config)
        self._gateway_endpoints(config)
        if config.interface_endpoints:
            self._interface_endpoints(config)
        # exported whether a stack imports them now or not: CloudFormation refuses to remove an export that a deployed
        # stack imports, and switching EMR off would remove it before EMR's stack is updated
        for shared in (self.vpc.vpc_id, self.private_a.subnet_id, self.private_b.subnet_id):
            self.export_value(shared)

    @property
    def availability_zones(self) -> list[str]:
        """Those given, or two of whichever region it becomes: one bound would else be looked up over the network."""
        given = list(self._config.availability_zones)
        return given or [Fn.select(i, Fn.get_azs()) for i in range(self._config.zone_count)]

    def _group(self, name: str) -> list[ec2.ISubnet]:
        return self.vpc.select_subnets(subnet_group_name=name).subnets

    def _name(self, config: AppConfig) -> None:
        Tags.of(self.vpc).add("Name", f"{config.name_prefix}-vpc")
        for group, label in (("private", "private"), (_EDGE, "endpoints" if config.isolated else "public")):
            for letter, subnet in zip("ab", self._group(group), strict=True):
                Tags.of(subnet).add("Name", f"{config.name_prefix}-{label}-{letter}")
        Tags.of(self.emr_subnet).add(*EMR_TAG)

    def _acl(self, config: AppConfig) -> None:
        """One stateless list on all four subnets: what comes back to a NAT gateway comes to ports 1024 to 65535.

        An isolated network needs that rule, too: S3 and DynamoDB answer from public addresses.
        """
        everywhere = ec2.SubnetSelection(subnets=[*self._group("private"), *self._group(_EDGE)])
        acl = ec2.NetworkAcl(self, "Acl", vpc=self.vpc, subnet_selection=everywhere)
        Tags.of(acl).add("Name", f"{config.name_prefix}-acl")
        inside, anywhere = ec2.AclCidr.ipv4(config.vpc_cidr), ec2.AclCidr.any_ipv4()
        entries = (
            ("Inside", 100, inside, ec2.AclTraffic.all_traffic(), ec2.TrafficDirection.INGRESS),
            ("Answers", 110, anywhere, ec2.AclTraffic.tcp_port_range(1024, 65535), ec2.TrafficDirection.INGRESS),
            ("Outbound", 100, anywhere, ec2.AclTraffic.all_traffic(), ec2.TrafficDirection.EGRESS),
        )
        for name, number, cidr, traffic, direction in entries:
            acl.add_entry(name, cidr=cidr, rule_number=number, traffic=traffic, direction=direction)
        acknowledge(acl, "AwsSolutions-VPC3")

    def _flow_logs(self, config: AppConfig) -> None:
        group = logs.LogGroup(
            self, "FlowLogs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
        )
        log = self.vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(group))
        Tags.of(log).add("Name", f"{config.name_prefix}-flow-log")

    def _gateway_endpoints(self, config: AppConfig) -> None:
        """S3 and DynamoDB, with what may pass through them, whoever's credentials a caller has.

        S3 is read anywhere: the repositories of Amazon Linux, EMR's and Glue's own buckets and those in
        data_locations are other accounts', under names that change by region and release. It is written in our
        account only, so that nothing read here can be put into somebody else's bucket.
        """
        services = ec2.GatewayVpcEndpointAwsService
        s3 = self.vpc.add_gateway_endpoint("S3", service=services.S3)
        s3.add_to_policy(_pass("ReadAnywhere", ["s3:Get*", "s3:List*"], "*"))
        ours = {"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}}
        s3.add_to_policy(_pass("WriteInOurAccount", ["s3:*"], "*", ours))
        dynamodb = self.vpc.add_gateway_endpoint("DynamoDb", service=services.DYNAMODB)
        tables = f"arn:{Aws.PARTITION}:dynamodb:{Aws.REGION}:{Aws.ACCOUNT_ID}:table/*"
        dynamodb.add_to_policy(_pass("TablesOfOurAccount", ["dynamodb:*"], tables))
        for name, endpoint in (("s3", s3), ("dynamodb", dynamodb)):
            Tags.of(endpoint).add("Name", f"{config.name_prefix}-{name}")

    def _interface_endpoints(self, config: AppConfig) -> None:
        group = ec2.SecurityGroup(
            self, "EndpointsGroup", vpc=self.vpc, allow_all_outbound=False, description="AWS services, from the VPC"
        )
        group.add_ingress_rule(ec2.Peer.ipv4(config.vpc_cidr), ec2.Port.tcp(443), "HTTPS from the VPC")
        Tags.of(group).add("Name", f"{config.name_prefix}-endpoints")
        for service in config.interface_endpoints:
            endpoint = self.vpc.add_interface_endpoint(
                service.title(),
                service=ec2.InterfaceVpcEndpointAwsService(service),
                subnets=ec2.SubnetSelection(subnet_group_name=_EDGE),
                security_groups=[group],
                open=False,
            )
            Tags.of(endpoint).add("Name", f"{config.name_prefix}-{service}")


def _pass(
    sid: str, actions: list[str], resource: str, conditions: Mapping[str, object] | None = None
) -> iam.PolicyStatement:
    """Let everybody's calls of these actions through an endpoint; what a caller may do is in its own policies."""
    return iam.PolicyStatement(
        sid=sid, principals=[iam.AnyPrincipal()], actions=actions, resources=[resource], conditions=conditions
    )


def _subnets(config: AppConfig) -> list[ec2.SubnetConfiguration]:
    """The private subnets come first, so that they have the lower addresses."""
    kinds = ec2.SubnetType
    private, second = (
        (kinds.PRIVATE_ISOLATED, kinds.PRIVATE_ISOLATED)
        if config.isolated
        else (kinds.PRIVATE_WITH_EGRESS, kinds.PUBLIC)
    )
    public = {} if config.isolated else {"map_public_ip_on_launch": False}
    return [
        ec2.SubnetConfiguration(name="private", cidr_mask=config.subnet_mask, subnet_type=private),
        ec2.SubnetConfiguration(name=_EDGE, cidr_mask=config.subnet_mask, subnet_type=second, **public),
    ]
