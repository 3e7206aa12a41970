"""That the checks of the cluster can fail: each is shown what it must not pass, on machines of moto's."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from smoke import check_answers, check_emr
from smoke.checks import Outcome, Run, Seen
from smoke.settings import ENGINES

from cli.smoke.asking import Altered, client, outcome


def machine(tokens: str = "required", encrypted: bool = True) -> str:
    """A machine with one disk."""
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 10, "Encrypted": encrypted}}
    started = client("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        MetadataOptions={"HttpTokens": tokens},
        BlockDeviceMappings=[disk],
    )
    return str(started["Instances"][0]["InstanceId"])


class Cluster:
    """A cluster of moto's, which has no machines and no subnet of its own: these are said here."""

    def __init__(self, seen: Seen, at_rest: bool = True) -> None:
        self._emr = client("emr")
        settings = {"EncryptionConfiguration": {"EnableAtRestEncryption": at_rest}}
        self._emr.create_security_configuration(Name="ours", SecurityConfiguration=json.dumps(settings))
        machines = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
        id_ = self._emr.run_job_flow(
            Name="x", Instances=machines, JobFlowRole="r", ServiceRole="r", SecurityConfiguration="ours"
        )["JobFlowId"]
        seen.deployment.outputs = {"ClusterId": id_}
        self.machines: list[str] = []
        self.state = "WAITING"
        ec2 = client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/27")["Subnet"]["SubnetId"]
        self.name(f"{seen.deployment.prefix}-private-a")
        Altered(seen, "emr", describe_cluster=self.describe, get_paginator=self.pages)

    def name(self, name: str) -> None:
        client("ec2").create_tags(Resources=[self.subnet], Tags=[{"Key": "Name", "Value": name}])

    def describe(self, **asked: Any) -> dict[str, Any]:
        told: dict[str, Any] = self._emr.describe_cluster(**asked)["Cluster"]
        place = {**told["Ec2InstanceAttributes"], "Ec2SubnetId": self.subnet}
        status = {"State": self.state, "StateChangeReason": {"Message": "no capacity"}}
        return {"Cluster": {**told, "Ec2InstanceAttributes": place, "Status": status}}

    def pages(self, of: str) -> "Cluster":
        assert of == "list_instances"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Instances": [{"Ec2InstanceId": each}]} for each in self.machines]


@pytest.mark.parametrize(
    ("state", "name", "expected"),
    [
        ("WAITING", "{}-private-a", Outcome.PASSED),
        ("RUNNING", "{}-private-a", Outcome.PASSED),
        ("BOOTSTRAPPING", "{}-private-a", Outcome.FAILED),
        ("TERMINATED_WITH_ERRORS", "{}-private-a", Outcome.FAILED),
        ("WAITING", "{}-private-b", Outcome.FAILED),
        ("WAITING", "other-private-a", Outcome.FAILED),
    ],
)
def test_a_cluster_that_is_not_up_or_lies_elsewhere_is_found(
    seen: Seen, state: str, name: str, expected: Outcome
) -> None:
    cluster = Cluster(seen)
    cluster.state = state
    cluster.name(name.format(seen.deployment.prefix))
    what, saw = outcome(check_emr.emr_cluster, seen)
    assert what == expected
    assert ("no capacity" in saw) is (state not in ("WAITING", "RUNNING"))


def test_disks_in_the_clear_and_machines_with_imdsv1_are_found(seen: Seen) -> None:
    cluster = Cluster(seen)
    assert outcome(check_emr.emr_encryption, seen) == (Outcome.FAILED, "it has no machines")
    cluster.machines = [machine(), machine()]
    assert outcome(check_emr.emr_encryption, seen) == (Outcome.PASSED, "2 disks on 2 machines")
    cluster.machines.append(machine(tokens="optional"))
    assert outcome(check_emr.emr_encryption, seen) == (Outcome.FAILED, f"{cluster.machines[2]} takes IMDSv1")
    cluster.machines[2] = machine(encrypted=False)
    what, saw = outcome(check_emr.emr_encryption, seen)
    assert (what, "1 of 3 disks are not encrypted" in saw) == (Outcome.FAILED, True)


def test_a_machine_without_disks_proves_nothing(seen: Seen) -> None:
    cluster = Cluster(seen)
    cluster.machines = [machine()]
    Altered(seen, "ec2", describe_volumes=lambda **_: {"Volumes": []})
    assert outcome(check_emr.emr_encryption, seen) == (Outcome.FAILED, "its machines have no disks")


def test_a_security_configuration_that_encrypts_nothing_is_found(seen: Seen) -> None:
    Cluster(seen, at_rest=False).machines = [machine()]
    assert outcome(check_emr.emr_encryption, seen) == (Outcome.FAILED, "not by the security configuration")


def test_a_session_that_cannot_be_opened_is_found(seen: Seen) -> None:
    ended = []

    def start(Target: str) -> dict[str, str]:
        if Target != "i-reached":
            raise ClientError({"Error": {"Code": "TargetNotConnected"}}, "StartSession")
        return {"SessionId": f"of-{Target}"}

    Altered(seen, "ssm", start_session=start, terminate_session=lambda SessionId: ended.append(SessionId))
    cluster = Cluster(seen)
    assert outcome(check_emr.emr_session, seen) == (Outcome.FAILED, "it has no machines")
    cluster.machines = ["i-lost"]
    assert outcome(check_emr.emr_session, seen) == (Outcome.FAILED, "AWS answers TargetNotConnected to StartSession")
    cluster.machines = ["i-reached"]
    assert outcome(check_emr.emr_session, seen)[0] == Outcome.PASSED
    assert ended == ["of-i-reached"]  # nor is one left open


def test_a_rule_or_an_endpoint_of_emrs_own_is_found(seen: Seen) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="primary", Description="EMR", VpcId=vpc)["GroupId"]
    endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.s3")["VpcEndpoint"]
    kinds = {
        "AWS::EC2::SecurityGroup": {"Primary": group},
        "AWS::EC2::VPC": {"Vpc": vpc},
        "AWS::EC2::VPCEndpoint": {"S3": endpoint["VpcEndpointId"]},
    }
    seen.deployment.resources = lambda _, kind: kinds[kind]  # type: ignore[method-assign]
    every = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[r["SecurityGroupRuleId"] for r in every])

    def rule(port: int, **says: str) -> list[dict[str, Any]]:
        return [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.0.0.0/24", **says}]}
        ]

    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule(8443, Description="EMR's service"))
    assert outcome(check_emr.emr_groups, seen)[0] == Outcome.PASSED
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule(9443))
    assert "1 of 2 rules are not ours" in outcome(check_emr.emr_groups, seen)[1]

    assert outcome(check_emr.emr_endpoints, seen)[0] == Outcome.PASSED
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.elasticmapreduce")
    assert "elasticmapreduce" in outcome(check_emr.emr_endpoints, seen)[1]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("TERMINATED", Outcome.PASSED),
        ("TERMINATED_WITH_ERRORS", Outcome.FAILED),
        ("the idle cluster is WAITING after 30 minutes", Outcome.FAILED),
        ("", Outcome.FAILED),
    ],
)
def test_a_cluster_that_does_not_end_is_found(seen: Seen, end: str, expected: Outcome) -> None:
    seen.cluster_end = end
    assert outcome(check_emr.emr_ends, seen)[0] == expected


@pytest.mark.parametrize("missing", ["glue", "steps", "end", None])
def test_the_isolated_round_is_all_of_it(seen: Seen, missing: str | None) -> None:
    """Runs, steps and the end of the idle cluster, which nobody has seen without a way to the internet."""
    for runs, name in ((seen.glue_runs, "glue"), (seen.steps, "steps")):
        for engine in ENGINES:
            runs[engine] = Run(f"{name} {engine}", "r", "", "FAILED" if missing == name else "COMPLETED")
    seen.cluster_end = "" if missing == "end" else "TERMINATED"
    assert outcome(check_answers.isolated, seen) == (Outcome.SKIPPED, "run it again with --isolated")
    seen.deployment.isolated = True
    assert outcome(check_answers.isolated, seen)[0] == (Outcome.FAILED if missing else Outcome.PASSED)
