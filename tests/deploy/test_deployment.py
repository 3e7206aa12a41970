"""`cdk bootstrap`, `cdk deploy --all` and `cdk destroy --all` as users type them, against a moto server.

The tests of this file build on each other, in this order.
"""

import json
import subprocess
import sys

import pytest

from deploy.conftest import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]
PREFIX = "differential-privacy"


def test_the_network_is_there(deployment: Deployment) -> None:
    ec2 = deployment.client("ec2")
    [vpc] = [v for v in ec2.describe_vpcs()["Vpcs"] if not v["IsDefault"]]
    assert vpc["CidrBlock"] == "10.0.0.0/24"
    mine = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = {_name(s): s for s in ec2.describe_subnets(Filters=mine)["Subnets"]}
    assert {name: s["CidrBlock"] for name, s in subnets.items()} == {
        f"{PREFIX}-private-a": "10.0.0.0/27",
        f"{PREFIX}-private-b": "10.0.0.32/27",
        f"{PREFIX}-public-a": "10.0.0.64/27",
        f"{PREFIX}-public-b": "10.0.0.96/27",
    }
    zones = [
        subnets[f"{PREFIX}-{kind}-{letter}"]["AvailabilityZone"] for kind in ("private", "public") for letter in "ab"
    ]
    assert zones[:2] == zones[2:]
    assert zones[0] != zones[1]

    [nat] = ec2.describe_nat_gateways(Filters=mine)["NatGateways"]
    assert nat["SubnetId"] == subnets[f"{PREFIX}-public-a"]["SubnetId"]
    [address] = ec2.describe_addresses()["Addresses"]
    assert address["AllocationId"] == nat["NatGatewayAddresses"][0]["AllocationId"]
    [gateway] = [g for g in ec2.describe_internet_gateways()["InternetGateways"] if g["Attachments"]]
    ways = {}
    for table in ec2.describe_route_tables(Filters=mine)["RouteTables"]:
        for association in table["Associations"]:
            out = [r for r in table["Routes"] if r.get("DestinationCidrBlock") == "0.0.0.0/0"]
            ways[association.get("SubnetId")] = [r.get("NatGatewayId") or r.get("GatewayId") for r in out]
    for name, subnet in subnets.items():
        way = nat["NatGatewayId"] if "private" in name else gateway["InternetGatewayId"]
        assert ways[subnet["SubnetId"]] == [way], name
    [log] = ec2.describe_flow_logs()["FlowLogs"]
    assert (log["ResourceId"], log["TrafficType"]) == (vpc["VpcId"], "ALL")
    services = {e["ServiceName"] for e in ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]}
    assert services == {"com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.dynamodb"}


def test_bucket_ledger_and_roles_are_there(deployment: Deployment) -> None:
    names = deployment.outputs("storage")
    assert names["BucketName"] in _buckets(deployment)
    table = deployment.client("dynamodb").describe_table(TableName=names["LedgerTableName"])["Table"]
    assert [(k["AttributeName"], k["KeyType"]) for k in table["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionProtectionEnabled"] is True
    trusts = {r["RoleName"]: json.dumps(r["AssumeRolePolicyDocument"]) for r in _roles(deployment)}
    services = ["glue.amazonaws.com", "elasticmapreduce.amazonaws.com", "ec2.amazonaws.com"]
    for service in services:
        assert [name for name, trust in trusts.items() if service in trust], service
    [profile] = deployment.client("iam").list_instance_profiles()["InstanceProfiles"]
    assert [r["RoleName"] for r in profile["Roles"]] == [profile["InstanceProfileName"]]
    [cluster] = deployment.client("emr").list_clusters()["Clusters"]
    assert cluster["Name"] == f"{PREFIX}-emr"
    asked = deployment.outputs("ask")
    assert _machines(deployment) == [asked["AskMachineArn"]]
    assert sorted(_policies(deployment)) == sorted([asked["AnalystPolicyArn"], asked["OwnerPolicyArn"]])
    assert asked.items() >= {key: names[key] for key in ("BucketName", "LedgerTableArn")}.items()


def test_a_second_deploy_changes_nothing(deployment: Deployment) -> None:
    said = deployment.deploy()
    assert said.count("(no changes)") == 5


def test_a_changed_script_changes_the_glue_stack_alone(deployment: Deployment) -> None:
    script = deployment.project / "glue_scripts/run_pipelinedp_spark.py"
    before = script.read_text()
    script.write_text(f"{before}\n# changed\n")
    said = deployment.deploy()
    script.write_text(before)
    changed = {line.split()[1] for line in said.splitlines() if line.startswith("✅") and "no changes" not in line}
    assert changed == {"glue"}


def test_another_generation_brings_a_new_cluster_in_one_deploy(deployment: Deployment) -> None:
    """moto's clusters are TERMINATED from the start: this is the one that has ended itself."""

    def clusters() -> set[str]:
        return {each["Id"] for each in deployment.client("emr").list_clusters()["Clusters"]}

    old = deployment.outputs("emr")["ClusterId"]
    assert clusters() == {old}
    how = ("--exclusively", "--method=direct", "--require-approval=never")
    deployment.cdk("deploy", "emr", *how, "-c", "dp.emr.generation=2")
    new = deployment.outputs("emr")["ClusterId"]
    assert new != old
    assert clusters() == {old, new}
    of = deployment.client("emr").describe_cluster(ClusterId=new)["Cluster"]
    assert of["Name"] == f"{PREFIX}-emr"


def test_the_cluster_is_ended_and_brought_back_as_it_is_deployed(deployment: Deployment) -> None:
    """By the command line, from what the deployed stack keeps of it."""

    def emr(*words: str) -> str:
        command = [sys.executable, "-m", "dpcloud", "emr", *words]
        done = subprocess.run(command, env=deployment.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert emr("stop").count("has ended") == 1
    id_ = emr("start", "--yes", "--wait").split()[0]
    of = deployment.client("emr").describe_cluster(ClusterId=id_)["Cluster"]
    [made] = deployment.resources("emr", "AWS::EMR::Cluster")
    assert (of["Name"], of["ReleaseLabel"]) == (made["Name"], made["ReleaseLabel"])
    assert of["LogUri"] == made["LogUri"]
    assert of["Ec2InstanceAttributes"]["Ec2SubnetId"] == made["Instances"]["Ec2SubnetId"]
    roles = {role["RoleName"] for role in _roles(deployment)}
    assert {of["ServiceRole"].rpartition("/")[2], of["Ec2InstanceAttributes"]["IamInstanceProfile"]} <= roles
    ec2 = deployment.client("ec2")
    groups = {g["GroupId"]: g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]}
    assert "Service" in groups[of["Ec2InstanceAttributes"]["ServiceAccessSecurityGroup"]]
    assert "no step waits or runs" in emr("status")
    emr("stop")


def test_the_notices_come_and_go(deployment: Deployment) -> None:
    """Not the subscription, nor the trail: moto's CloudFormation makes neither, and keeps the bucket of its log."""
    which = ("notice", "-c", "dp.notice.email=owner@example.org")
    deployment.cdk("deploy", *which, "--exclusively", "--method=direct", "--require-approval=never")
    [topic] = deployment.client("sns").list_topics()["Topics"]
    events, machines = deployment.client("events"), deployment.client("stepfunctions")
    ours = {m["stateMachineArn"] for m in machines.list_state_machines()["stateMachines"]}
    rules = [rule["Name"] for rule in events.list_rules()["Rules"]]
    reached = [target["Arn"] for rule in rules for target in events.list_targets_by_rule(Rule=rule)["Targets"]]
    assert len(reached) == len(rules) == 5
    assert set(reached) <= ours
    told = [machines.describe_state_machine(stateMachineArn=arn)["definition"] for arn in sorted(set(reached))]
    assert len(told) == 2
    assert all(f'"TopicArn":"{topic["TopicArn"]}"' in definition for definition in told)
    deployment.cdk("destroy", *which, "--exclusively", "--force")
    assert deployment.client("sns").list_topics()["Topics"] == []
    assert events.list_rules()["Rules"] == []


def test_destroy_leaves_the_stack_that_is_protected_and_nothing_else(deployment: Deployment) -> None:
    kept = deployment.outputs("storage")
    said = deployment.cdk("destroy", "--all", "--force", code=1)
    assert "leaves differential-privacy-storage, which is protected" in said
    assert "Stack [differential-privacy-storage] cannot be deleted while TerminationProtection is enabled" in said
    stacks = deployment.client("cloudformation").describe_stacks()["Stacks"]
    assert {s["StackName"] for s in stacks} == {"CDKToolkit", f"{PREFIX}-storage"}
    assert deployment.outputs("storage") == kept
    _assert_nothing_is_left_but(deployment, kept)


def test_unprotected_it_goes_too_and_leaves_what_is_retained(deployment: Deployment) -> None:
    """As docs/operations.md says."""
    kept = deployment.outputs("storage")
    deployment.client("cloudformation").update_termination_protection(
        StackName=f"{PREFIX}-storage", EnableTerminationProtection=False
    )
    deployment.cdk("destroy", "--all", "--force")
    stacks = deployment.client("cloudformation").describe_stacks()["Stacks"]
    assert {s["StackName"] for s in stacks} == {"CDKToolkit"}
    _assert_nothing_is_left_but(deployment, kept)


def _assert_nothing_is_left_but(deployment: Deployment, kept: dict[str, str]) -> None:
    ec2 = deployment.client("ec2")
    assert [v for v in ec2.describe_vpcs()["Vpcs"] if not v["IsDefault"]] == []
    for ask, field in (
        (ec2.describe_nat_gateways, "NatGateways"),
        (ec2.describe_addresses, "Addresses"),
        (ec2.describe_internet_gateways, "InternetGateways"),
        (ec2.describe_vpc_endpoints, "VpcEndpoints"),
        (ec2.describe_flow_logs, "FlowLogs"),
    ):
        assert ask()[field] == [], field
    assert [s for s in ec2.describe_subnets()["Subnets"] if not s["DefaultForAz"]] == []
    groups = {g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]}
    assert groups == {"default"}
    assert [r["RoleName"] for r in _roles(deployment) if not r["RoleName"].startswith("cdk-")] == []
    assert (_machines(deployment), _policies(deployment)) == ([], [])
    assert deployment.client("iam").list_instance_profiles()["InstanceProfiles"] == []
    assert deployment.client("logs").describe_log_groups()["logGroups"] == []
    assert _live_keys() == []
    assert _buckets(deployment) == [kept["BucketName"]]
    assert _tables(deployment) == [kept["LedgerTableName"]]


def test_the_next_deploy_adopts_it(deployment: Deployment) -> None:
    """Else an empty ledger would stand beside the old one, which is a budget reset."""
    [bucket] = _buckets(deployment)
    [table] = _tables(deployment)
    deployment.deploy(
        *("-c", f"dp.storage.existing_bucket={bucket}", "-c", f"dp.storage.existing_table={table}"),
        *("-c", "dp.emr.enabled=false"),
    )
    assert deployment.outputs("storage") | {"BucketName": bucket, "LedgerTableName": table} == deployment.outputs(
        "storage"
    )
    assert _buckets(deployment) == [bucket]
    [job, _] = deployment.resources("glue", "AWS::Glue::Job")
    assert job["NonOverridableArguments"]["--ledger"].endswith(f":table/{table}")
    assert job["NonOverridableArguments"]["--releases"] == f"s3://{bucket}/releases/glue/"


def _name(resource: dict[str, object]) -> str:
    return {t["Key"]: t["Value"] for t in resource["Tags"]}["Name"]  # type: ignore[attr-defined]


def _buckets(deployment: Deployment) -> list[str]:
    """The stacks' buckets; moto keeps those of other tests of this process, too."""
    names = [b["Name"] for b in deployment.client("s3").list_buckets()["Buckets"]]
    return [name for name in names if name.startswith(PREFIX)]


def _tables(deployment: Deployment) -> list[str]:
    names = deployment.client("dynamodb").list_tables()["TableNames"]
    return [name for name in names if name.startswith(PREFIX)]


def _roles(deployment: Deployment) -> list[dict[str, object]]:
    return deployment.client("iam").list_roles()["Roles"]


def _machines(deployment: Deployment) -> list[str]:
    machines = deployment.client("stepfunctions").list_state_machines()["stateMachines"]
    return [each["stateMachineArn"] for each in machines if each["name"].startswith(PREFIX)]


def _policies(deployment: Deployment) -> list[str]:
    policies = deployment.client("iam").list_policies(Scope="Local")["Policies"]
    return [each["Arn"] for each in policies if each["PolicyName"].startswith(PREFIX)]


def _live_keys() -> list[str]:
    """Customer's keys that are not about to be deleted: asked of moto itself, whose answer on such keys is broken."""
    from moto.kms.models import kms_backends

    keys = kms_backends["123456789012"]["us-east-1"].keys.values()
    return [k.id for k in keys if k.key_manager == "CUSTOMER" and k.key_state != "PendingDeletion"]
