"""What AWS charges for by the hour or month is counted by the configuration, which `dpcloud cost` prices.

Here the counts are held against what each template has.
"""

import pytest
from stacks.config.app import AppConfig

from infra.scenarios import OPTIONS, Scenario, context, scenario


def config_of(which: str) -> AppConfig:
    return AppConfig.from_context(context(OPTIONS[which]))


def number(found: Scenario, kind: str) -> int:
    return sum(len(found.bodies(stack, kind)) for stack in found.templates)


@pytest.mark.parametrize("which", OPTIONS)
def test_gateways_and_their_addresses(which: str) -> None:
    count = config_of(which).nat_gateway_count
    assert number(scenario(which), "EC2::NatGateway") == number(scenario(which), "EC2::EIP") == count


@pytest.mark.parametrize("which", OPTIONS)
def test_interface_endpoints_in_their_zones(which: str) -> None:
    config = config_of(which)
    endpoints = [body for body in scenario(which).all("network", "EC2::VPCEndpoint").values() if "SubnetIds" in body]
    names = [str(body["ServiceName"]["Fn::Join"][1][-1]).strip(".") for body in endpoints]
    assert sorted(names) == sorted(config.interface_endpoints)
    assert {len(body["SubnetIds"]) for body in endpoints} <= {config.zone_count}


@pytest.mark.parametrize("which", OPTIONS)
def test_keys(which: str) -> None:
    found = scenario(which)
    stacks = {"Glue": "glue", "EMR": "emr", "bucket": "storage", "notices": "notice"}
    keys = [stack for stack in found.templates for _ in found.bodies(stack, "KMS::Key")]
    assert sorted(keys) == sorted(stacks[name] for name in config_of(which).kms_keys)


@pytest.mark.parametrize("which", OPTIONS)
def test_machines_and_workers(which: str) -> None:
    config, found = config_of(which), scenario(which)
    made = []
    for cluster in found.all("emr", "EMR::Cluster").values():
        instances = cluster["Instances"]
        for group in (instances["MasterInstanceGroup"], instances["CoreInstanceGroup"]):
            made.append((group["InstanceType"], group["InstanceCount"]))
        assert not {"TaskInstanceGroups", "TaskInstanceFleets", "MasterInstanceFleet"} & instances.keys()
    machines = config.emr.machines
    wanted = [(machines.primary, machines.primary_count), (machines.core, machines.core_count)]
    assert made == (wanted if config.emr.enabled else [])
    for job in found.all("glue", "Glue::Job").values():
        assert (job["WorkerType"], job["NumberOfWorkers"]) == (config.glue.worker_type, config.glue.number_of_workers)
        assert (job.get("ExecutionClass") == "FLEX") == config.glue.flex


def test_nothing_else_that_costs_by_the_hour_is_made() -> None:
    """A resource of a new type is either free of such a price, or counted above."""
    free = {
        "CDK::Metadata", "CloudFormation::WaitConditionHandle", "DynamoDB::Table", "EC2::FlowLog",
        "EC2::InternetGateway", "EC2::NetworkAcl", "EC2::NetworkAclEntry", "EC2::Route", "EC2::RouteTable",
        "EC2::SecurityGroup", "EC2::SecurityGroupEgress", "EC2::SecurityGroupIngress", "EC2::Subnet",
        "EC2::SubnetNetworkAclAssociation", "EC2::SubnetRouteTableAssociation", "EC2::VPC",
        "EC2::VPCGatewayAttachment", "EMR::SecurityConfiguration", "Glue::Connection",
        "Glue::SecurityConfiguration", "IAM::InstanceProfile", "IAM::ManagedPolicy", "IAM::Policy", "IAM::Role",
        "Lambda::Function",
        "Lambda::LayerVersion", "Logs::LogGroup", "S3::Bucket", "S3::BucketPolicy", "Budgets::Budget",
        "SSM::Parameter", "SNS::Topic", "SNS::TopicPolicy", "SNS::Subscription", "Events::Rule",
        "StepFunctions::StateMachine",  # paid for by the step, of which a question takes five or six
        "CloudTrail::Trail",
    }  # fmt: skip
    counted = {"EC2::NatGateway", "EC2::EIP", "EC2::VPCEndpoint", "KMS::Key", "EMR::Cluster", "Glue::Job"}
    types = {
        body["Type"].removeprefix("AWS::")
        for which in OPTIONS
        for template in scenario(which).templates.values()
        for body in template["Resources"].values()
    }
    assert {name for name in types if not name.startswith("Custom::")} - free == counted
