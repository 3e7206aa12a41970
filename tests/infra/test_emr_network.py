"""What EMR's service may do to our network, by the policy that AWS really attaches: version 6, as moto carries it."""

import json
import re
from functools import cache
from typing import Any

import pytest

from infra.aws_models import SITE_PACKAGES
from infra.iam import Account
from infra.iam_pairs import EC2, SERVICE, names
from infra.scenarios import scenario
from infra.statements import Statement

TAG = "for-use-with-amazon-emr-managed-policies"
NAME = "AmazonEMRServicePolicy_v2"


@cache
def policy() -> dict[str, Any]:
    """AWS's policy out of moto's copy of them all, which is one text of JSON in a module (read, not imported)."""
    text = (SITE_PACKAGES / "moto" / "iam" / "aws_managed_policies.py").read_text(encoding="utf-8")
    start = re.search(rf'"{NAME}"\s*:\s*', text)
    assert start
    document, _ = json.JSONDecoder().raw_decode(text, start.end())
    assert document["DefaultVersionId"] == "v6"
    found: dict[str, Any] = document["Document"]
    return found


@cache
def account() -> Account:
    return scenario("defaults").account(
        {NAME: policy(), "AWSLambdaBasicExecutionRole": {**policy(), "Statement": []}}
    )


def tags(logical_id: str) -> dict[str, str]:
    """A resource's tags, as conditions see them."""
    for template in scenario("defaults").templates.values():
        for key, body in template["Resources"].items():
            if key.startswith(logical_id):
                return {f"aws:ResourceTag/{each['Key']}": each["Value"] for each in body["Properties"]["Tags"]}
    raise KeyError(logical_id)


def may(action: str, what: str, of: dict[str, str]) -> bool:
    return account().may(SERVICE, action, what.format(**names(scenario("defaults"))), of)


def test_it_may_start_machines_in_its_subnet_and_groups() -> None:
    for what, logical_id in (
        ("{private_a}", "VpcprivateSubnet1Subnet"),
        ("{primary_group}", "SparkGroupsPrimary"),
        ("{core_group}", "SparkGroupsCore"),
        ("{service_group}", "SparkGroupsService"),
    ):
        assert may("ec2:RunInstances", what, tags(logical_id)), what
    assert not may("ec2:RunInstances", "{private_b}", tags("VpcprivateSubnet2Subnet"))


@pytest.mark.parametrize("action", ["ec2:CreateVpcEndpoint", "ec2:CreateSecurityGroup"])
def test_it_may_put_nothing_of_its_own_into_the_vpc(action: str) -> None:
    """An endpoint of EMR's (from 7.5 on) would belong to no stack, cost by the hour, and bar the VPC's deletion."""
    vpc = tags("Vpc8378EB38")
    assert f"aws:ResourceTag/{TAG}" not in vpc
    assert not may(action, "{vpc}", vpc)
    assert may(action, "{vpc}", vpc | {f"aws:ResourceTag/{TAG}": "true"})  # it is the tag that decides


def test_every_call_of_the_policy_that_makes_an_endpoint_asks_for_the_vpc() -> None:
    """CreateVpcEndpoint is asked for the VPC, too: denied there, it is denied."""
    statements: list[Statement] = [
        each for each in policy()["Statement"] if "ec2:CreateVpcEndpoint" in json.dumps(each["Action"])
    ]
    on_vpcs = [each for each in statements if any(":vpc/" in of for of in each["Resource"])]
    assert len(statements) == 2
    assert [each["Condition"] for each in on_vpcs] == [{"StringEquals": {f"aws:ResourceTag/{TAG}": "true"}}]
    new = f"{EC2}vpc-endpoint/vpce-1"
    assert may(
        "ec2:CreateVpcEndpoint", new, {f"aws:RequestTag/{TAG}": "true", "aws:RequestTag/Name": "emr-service-vpce"}
    )
