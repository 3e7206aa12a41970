"""The three security groups of an EMR cluster in a private subnet, with every rule that EMR would add by itself.

EMR adds what it misses behind CloudFormation's back, and a group that another group's rules name cannot be deleted.
EC2 takes few characters in a description: no apostrophe (tests/infra/aws_table.py).
"""

from typing import cast

from aws_cdk import Tags
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

EMR_TAG = ("for-use-with-amazon-emr-managed-policies", "true")
"""What AmazonEMRServicePolicy_v2 asks for on the subnet, the security groups and the cluster.

Not on the VPC: with it EMR (from 7.5 on) would make an interface endpoint there, which belongs to no stack, costs by
the hour and bars the network's deletion. Without it that call is denied, and EMR is reached as before.
"""
_TO_NODES, _FROM_PRIMARY = 8443, 9443
_NOWHERE = ec2.CfnSecurityGroup.EgressProperty(
    cidr_ip="255.255.255.255/32", ip_protocol="icmp", from_port=252, to_port=86, description="Nothing but to groups"
)
"""A rule that lets nothing out: EC2 gives a group without a rule of its own template one that lets everything out."""


class EmrGroups(Construct):
    """`primary`, `core` and `service` (service access)."""

    def __init__(self, scope: Construct, id: str, *, vpc: ec2.IVpc, name_prefix: str) -> None:
        super().__init__(scope, id)
        self.primary, self.core, self.service = (
            ec2.SecurityGroup(self, name, vpc=vpc, allow_all_outbound=False, description=f"EMR: {description}")
            for name, description in (
                ("Primary", "primary node"),
                ("Core", "core nodes"),
                ("Service", "service access"),
            )
        )
        nodes = (self.primary, self.core)
        among = (("TCP", ec2.Port.all_tcp()), ("UDP", ec2.Port.all_udp()), ("ICMP", ec2.Port.all_icmp()))
        for node in nodes:
            for other in nodes:
                for name, port in among:
                    node.add_ingress_rule(other, port, f"{name} among the nodes")
                    node.add_egress_rule(other, port, f"{name} among the nodes")
            node.add_ingress_rule(self.service, ec2.Port.tcp(_TO_NODES), "EMR service to the node")
            self.service.add_egress_rule(node, ec2.Port.tcp(_TO_NODES), "EMR service to the node")
            node.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS services and PyPI")
        self.primary.add_egress_rule(self.service, ec2.Port.tcp(_FROM_PRIMARY), "Primary node to the EMR service")
        self.service.add_ingress_rule(self.primary, ec2.Port.tcp(_FROM_PRIMARY), "Primary node to the EMR service")
        # its rules to the nodes are resources of their own, which come after EC2 has made up its mind
        cast(ec2.CfnSecurityGroup, self.service.node.default_child).security_group_egress = [_NOWHERE]
        for name, group in (("primary", self.primary), ("core", self.core), ("service", self.service)):
            Tags.of(group).add(*EMR_TAG)
            Tags.of(group).add("Name", f"{name_prefix}-emr-{name}")
