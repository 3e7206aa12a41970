"""The network: private subnets with one way out, or with none, and a stateless list that lets both work."""

from typing import Any

import pytest
from stacks.config import AppConfig
from stacks.errors import ConfigError
from stacks.known import INTERFACE_ENDPOINTS

from infra.scenarios import Scenario, scenario

NAT = ("defaults", "two-nat", "large")
ISOLATED = ("isolated", "isolated-kms", "adopted-isolated")
EVERY = (*NAT, *ISOLATED, "emr-off")


def name(properties: dict[str, Any]) -> str:
    return next(tag["Value"] for tag in properties["Tags"] if tag["Key"] == "Name")


def subnets(found: Scenario) -> dict[str, dict[str, Any]]:
    """The subnets' properties by name, each with its logical id."""
    return {name(each): each | {"id": key} for key, each in found.all("network", "EC2::Subnet").items()}


def routes(found: Scenario) -> dict[str, list[dict[str, Any]]]:
    """The routes of each subnet's route table, by the subnet's name."""
    tables = {
        each["SubnetId"]["Ref"]: each["RouteTableId"]
        for each in found.all("network", "EC2::SubnetRouteTableAssociation").values()
    }
    every = found.all("network", "EC2::Route").values()
    return {
        key: [route for route in every if route["RouteTableId"] == tables[subnet["id"]]]
        for key, subnet in subnets(found).items()
    }


def count(found: Scenario, kind: str) -> int:
    return len(found.all("network", kind))


@pytest.mark.parametrize(
    ("which", "prefix", "second", "ranges"),
    [
        (
            "defaults",
            "differential-privacy",
            "public",
            ["10.0.0.0/27", "10.0.0.32/27", "10.0.0.64/27", "10.0.0.96/27"],
        ),
        (
            "isolated",
            "differential-privacy",
            "endpoints",
            ["10.0.0.0/27", "10.0.0.32/27", "10.0.0.64/27", "10.0.0.96/27"],
        ),
        ("large", "other", "public", ["10.20.0.0/22", "10.20.4.0/22", "10.20.8.0/22", "10.20.12.0/22"]),
    ],
)
def test_four_subnets_in_two_zones(which: str, prefix: str, second: str, ranges: list[str]) -> None:
    names = [f"{prefix}-{group}-{letter}" for group in ("private", second) for letter in "ab"]
    there = subnets(scenario(which))
    assert {key: each["CidrBlock"] for key, each in there.items()} == dict(zip(names, ranges, strict=True))
    zones = {key: each["AvailabilityZone"] for key, each in there.items()}
    assert zones == {key: {"Fn::Select": ["ab".index(key[-1]), {"Fn::GetAZs": ""}]} for key in names}
    assert not any(each["MapPublicIpOnLaunch"] for each in there.values())


@pytest.mark.parametrize(("which", "nats"), [("defaults", 1), ("two-nat", 2), ("large", 1)])
def test_private_subnets_go_out_by_nat_and_public_ones_directly(which: str, nats: int) -> None:
    found = scenario(which)
    assert (count(found, "EC2::NatGateway"), count(found, "EC2::EIP"), count(found, "EC2::InternetGateway")) == (
        nats,
        nats,
        1,
    )
    gateways = found.all("network", "EC2::NatGateway")
    assert {each["AllocationId"]["Fn::GetAtt"][0] for each in gateways.values()} == set(
        found.all("network", "EC2::EIP")
    )
    by_id = {each["id"]: key for key, each in subnets(found).items()}
    home = {key: by_id[each["SubnetId"]["Ref"]] for key, each in gateways.items()}
    assert all("-public-" in each for each in home.values())
    used = set()
    for key, of in routes(found).items():
        (out,) = of
        assert out["DestinationCidrBlock"] == "0.0.0.0/0"
        if "-private-" in key:
            used.add(out["NatGatewayId"]["Ref"])
            # with a gateway in each zone no subnet depends on the other zone
            assert nats == 1 or home[out["NatGatewayId"]["Ref"]][-1] == key[-1]
        else:
            assert out["GatewayId"]["Ref"] in found.all("network", "EC2::InternetGateway")
    assert used == set(gateways)


@pytest.mark.parametrize("which", ISOLATED)
def test_isolated_there_is_no_route_to_the_internet(which: str) -> None:
    found = scenario(which)
    for kind in (
        "InternetGateway",
        "VPCGatewayAttachment",
        "NatGateway",
        "EIP",
        "EgressOnlyInternetGateway",
        "Route",
    ):
        assert count(found, f"EC2::{kind}") == 0, kind
    assert set(map(len, routes(found).values())) == {0}


@pytest.mark.parametrize("which", EVERY)
def test_one_acl_of_three_rules_on_all_subnets(which: str) -> None:
    found = scenario(which)
    (acl,) = found.all("network", "EC2::NetworkAcl")
    on = found.all("network", "EC2::SubnetNetworkAclAssociation").values()
    assert sorted(each["SubnetId"]["Ref"] for each in on) == sorted(found.all("network", "EC2::Subnet"))
    assert {each["NetworkAclId"]["Ref"] for each in on} == {acl}
    cidr = found.only("network", "EC2::VPC")["CidrBlock"]
    rules = {
        (e["Egress"], e["RuleNumber"], e["CidrBlock"], e["RuleAction"], e["Protocol"], str(e.get("PortRange")))
        for e in found.all("network", "EC2::NetworkAclEntry").values()
    }
    assert rules == {
        (False, 100, cidr, "allow", -1, "None"),
        (False, 110, "0.0.0.0/0", "allow", 6, "{'From': 1024, 'To': 65535}"),  # what comes back to the NAT gateway
        (True, 100, "0.0.0.0/0", "allow", -1, "None"),
    }
    assert count(found, "EC2::NetworkAclEntry") == 3


@pytest.mark.parametrize("which", EVERY)
def test_s3_and_dynamodb_have_gateways_in_every_subnet(which: str) -> None:
    found = scenario(which)
    of = [e for e in found.all("network", "EC2::VPCEndpoint").values() if e["VpcEndpointType"] == "Gateway"]
    services = sorted(found.resolved("network", each["ServiceName"]) for each in of)
    assert services == ["com.amazonaws.eu-west-1.dynamodb", "com.amazonaws.eu-west-1.s3"]
    tables = sorted(found.all("network", "EC2::RouteTable"))
    assert len(tables) == 4
    for each in of:
        assert sorted(table["Ref"] for table in each["RouteTableIds"]) == tables


@pytest.mark.parametrize("which", EVERY)
def test_interface_endpoints_are_there_in_isolation_only(which: str) -> None:
    found = scenario(which)
    of = [e for e in found.all("network", "EC2::VPCEndpoint").values() if e["VpcEndpointType"] == "Interface"]
    wanted = INTERFACE_ENDPOINTS if which in ISOLATED else ()
    assert sorted(found.resolved("network", each["ServiceName"]) for each in of) == sorted(
        f"com.amazonaws.eu-west-1.{service}" for service in wanted
    )
    second = {each["id"] for key, each in subnets(found).items() if "-endpoints-" in key}
    for each in of:
        assert each["PrivateDnsEnabled"] is True
        assert {subnet["Ref"] for subnet in each["SubnetIds"]} == second
        (group,) = each["SecurityGroupIds"]
        inside = found.all("network", "EC2::SecurityGroup")[group["Fn::GetAtt"][0]]
        (rule,) = inside["SecurityGroupIngress"]
        assert (rule["CidrIp"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == (
            "10.0.0.0/24",
            "tcp",
            443,
            443,
        )


def test_what_isolated_jobs_call_has_an_endpoint() -> None:
    assert {"glue", "elasticmapreduce", "ssm", "ssmmessages", "ec2messages", "logs", "kms", "sts"} <= set(
        INTERFACE_ENDPOINTS
    )


@pytest.mark.parametrize("which", EVERY)
def test_flow_logs_of_all_traffic_are_kept_a_month_and_go_with_the_stack(which: str) -> None:
    found = scenario(which)
    log = found.only("network", "EC2::FlowLog")
    (vpc,) = found.all("network", "EC2::VPC")
    assert (log["ResourceId"], log["ResourceType"], log["TrafficType"]) == ({"Ref": vpc}, "VPC", "ALL")
    ((key, group),) = found.bodies("network", "Logs::LogGroup").items()
    assert log["LogGroupName"] == {"Ref": key}
    assert group["Properties"]["RetentionInDays"] == 30
    assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == ("Delete", "Delete")


def test_emr_may_use_private_a_alone() -> None:
    tag = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}
    assert [key for key, each in subnets(scenario("defaults")).items() if tag in each["Tags"]] == [
        "differential-privacy-private-a"
    ]


def test_without_emr_the_network_exports_the_same_and_has_no_nat_gateway() -> None:
    # an export that vanishes while EMR's stack still imports it would stop the deployment
    off, on = (scenario(name).templates for name in ("emr-off", "defaults"))
    assert off["network"]["Outputs"] == on["network"]["Outputs"]
    assert off["storage"] == on["storage"]
    # nothing is left in the private subnets that would use it
    gone = on["network"]["Resources"].keys() - off["network"]["Resources"].keys()
    types = sorted(on["network"]["Resources"][key]["Type"] for key in gone)
    assert types == ["AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::EC2::Route", "AWS::EC2::Route"]
    assert scenario("emr-off").bodies("glue", "Glue::Connection") == {}


def test_between_nat_and_isolated_the_subnets_stay() -> None:
    """CloudFormation makes the new before the old goes: another logical id could not have the same addresses."""
    nat, isolated = (scenario(name).bodies("network", "EC2::Subnet") for name in ("defaults", "isolated"))
    assert {key: body["Properties"]["CidrBlock"] for key, body in nat.items()} == {
        key: body["Properties"]["CidrBlock"] for key, body in isolated.items()
    }


@pytest.mark.parametrize(
    ("workers", "runs", "mask", "fits"),
    [
        (13, 1, 27, True),
        (14, 1, 27, False),
        (6, 2, 27, True),
        (7, 2, 27, False),
        (29, 1, 26, True),
        (30, 1, 26, False),
    ],
)
def test_isolated_both_jobs_workers_need_an_address_each(workers: int, runs: int, mask: int, fits: bool) -> None:
    glue = {"dp.glue.number_of_workers": str(workers), "dp.glue.max_concurrent_runs": str(runs)}
    given = glue | {"dp.network": "isolated", "dp.subnet_mask": str(mask)}
    if fits:
        assert AppConfig.from_context(given).isolated
        return
    with pytest.raises(ConfigError, match="need an address each, and private-b has"):
        AppConfig.from_context(given)


def test_glues_workers_are_alone_in_private_b() -> None:
    found = scenario("isolated")
    connection = found.only("glue", "Glue::Connection")["ConnectionInput"]
    place = connection["PhysicalConnectionRequirements"]
    there = subnets(found)
    assert found.resolved("glue", place["SubnetId"]) == found.resolved(
        "network", {"Ref": there["differential-privacy-private-b"]["id"]}
    )
    assert connection["ConnectionType"] == "NETWORK"
    ((group, _),) = found.all("glue", "EC2::SecurityGroup").items()
    assert [each["Fn::GetAtt"][0] for each in place["SecurityGroupIdList"]] == [group]
    itself = {"Fn::GetAtt": [group, "GroupId"]}
    ingress, egress = (found.only("glue", f"EC2::SecurityGroup{way}") for way in ("Ingress", "Egress"))
    assert (ingress["GroupId"], ingress["SourceSecurityGroupId"]) == (itself, itself)
    assert (egress["GroupId"], egress["DestinationSecurityGroupId"]) == (itself, itself)
    for rule in (ingress, egress):
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 0, 65535)
    for job in found.all("glue", "Glue::Job").values():
        (used,) = job["Connections"]["Connections"]
        assert used["Ref"] in found.all("glue", "Glue::Connection")
    assert not scenario("defaults").all("glue", "Glue::Connection")
