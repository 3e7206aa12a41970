"""The network: private subnets with one way out, or with none, and a stateless list that lets both work."""

from typing import Any

import pytest
from stacks.config.app import INTERFACE_ENDPOINTS, AppConfig
from stacks.config.errors import ConfigError

from infra.scenarios import OPTIONS, Scenario, scenario
from infra.statements import applies

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
    assert {"glue", "elasticmapreduce", "ssm", "ssmmessages", "logs", "kms", "sts"} <= set(INTERFACE_ENDPOINTS)


def test_sessions_have_the_endpoints_of_what_the_machines_may_call_and_no_other() -> None:
    """An endpoint costs by the hour; ec2messages, which new regions do not have, is no longer SSM's way."""
    (document,) = [
        each["PolicyDocument"]
        for each in scenario("isolated").all("emr", "IAM::Policy").values()
        if "TakeSessions" in str(each)
    ]
    (sessions,) = [each["Action"] for each in document["Statement"] if each["Sid"] == "TakeSessions"]
    services = {action.partition(":")[0] for action in sessions}
    assert services == {each for each in INTERFACE_ENDPOINTS if "messages" in each or each == "ssm"}


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


@pytest.mark.parametrize("which", OPTIONS)
def test_no_group_keeps_the_way_out_that_ec2_gives_it(which: str) -> None:
    """EC2 lets everything out of a group whose own template holds no rule; rules between groups come too late."""
    groups = [
        (f"{stack}/{key}", body)
        for stack in scenario(which).templates
        for key, body in scenario(which).all(stack, "EC2::SecurityGroup").items()
    ]
    assert len(groups) == {"emr-off": 0}.get(which, 3) + (2 if "dp.network" in OPTIONS[which] else 0)
    for key, body in groups:
        assert body["SecurityGroupEgress"], key
        for rule in body["SecurityGroupEgress"]:
            assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) in (("tcp", 443, 443), ("icmp", 252, 86)), (
                key
            )
            assert rule["IpProtocol"] == "tcp" or rule["CidrIp"] == "255.255.255.255/32"  # to nowhere
    for stack in scenario(which).templates:
        for way in ("Ingress", "Egress"):
            for key, rule in scenario(which).all(stack, f"EC2::SecurityGroup{way}").items():
                assert rule["IpProtocol"] != "-1", key
                assert not {"CidrIp", "CidrIpv6"} & set(rule), key  # to groups only


@pytest.mark.parametrize("which", OPTIONS)
def test_every_name_begins_with_the_prefix(which: str) -> None:
    prefix = OPTIONS[which].get("dp.name_prefix", "differential-privacy")
    named = [
        (f"{stack}/{key}", tag["Value"])
        for stack, template in scenario(which).templates.items()
        for key, body in template["Resources"].items()
        if isinstance(tags := body.get("Properties", {}).get("Tags", []), list)
        for tag in tags
        if tag["Key"] == "Name"
    ]
    assert len(named) > 10
    assert [each for each in named if not each[1].startswith(f"{prefix}-")] == []


def test_zones_are_those_given_or_the_regions_first_two() -> None:
    zones = {key[-9:]: each["AvailabilityZone"][-1] for key, each in subnets(scenario("small")).items()}
    assert zones == {"private-a": "c", "private-b": "a", "-public-a": "c", "-public-b": "a"}


def through(which: str, service: str) -> dict[str, Any]:
    """The endpoint of a service: its policy, without intrinsics."""
    found = scenario(which)
    (policy,) = [
        each["PolicyDocument"]
        for each in found.all("network", "EC2::VPCEndpoint").values()
        if found.resolved("network", each["ServiceName"]).endswith(f".{service}")
    ]
    return found.resolved("network", policy)


@pytest.mark.parametrize("which", EVERY)
def test_nothing_is_written_through_s3s_endpoint_but_in_our_account(which: str) -> None:
    """With whatever credentials. It is read anywhere: Amazon Linux, EMR and Glue have buckets of their own."""
    statements = through(which, "s3")["Statement"]

    def passes(action: str, account: str) -> bool:
        resource, context = "arn:aws:s3:::any-bucket/key", {"aws:resourceaccount": [account]}
        return any(applies(each, action, resource, context) and each["Effect"] == "Allow" for each in statements)

    ours, theirs = "111122223333", "444455556666"
    for action in ("s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"):
        assert passes(action, ours)
        assert passes(action, theirs), action
    for action in (
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:CreateBucket",
        "s3:PutObjectAcl",
    ):
        assert passes(action, ours)
        assert not passes(action, theirs), action


@pytest.mark.parametrize("which", EVERY)
def test_only_tables_of_our_account_pass_through_dynamodbs_endpoint(which: str) -> None:
    (statement,) = through(which, "dynamodb")["Statement"]
    ours = "arn:aws:dynamodb:eu-west-1:111122223333:table/any"
    assert applies(statement, "dynamodb:UpdateItem", ours, {})
    assert not applies(statement, "dynamodb:PutItem", ours.replace("111122223333", "444455556666"), {})
    assert not applies(statement, "dynamodb:PutItem", ours.replace("eu-west-1", "us-east-1"), {})
    assert not applies(statement, "s3:PutObject", "arn:aws:s3:::any/key", {})


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
    # besides among themselves they call AWS's services, and nobody calls them
    properties = found.only("glue", "EC2::SecurityGroup")
    out = [(r["CidrIp"], r["IpProtocol"], r["FromPort"], r["ToPort"]) for r in properties["SecurityGroupEgress"]]
    assert out == [("0.0.0.0/0", "tcp", 443, 443)]
    assert "SecurityGroupIngress" not in properties
    for job in found.all("glue", "Glue::Job").values():
        (used,) = job["Connections"]["Connections"]
        assert used["Ref"] in found.all("glue", "Glue::Connection")
    assert not scenario("defaults").all("glue", "Glue::Connection")
