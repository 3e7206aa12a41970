"""The lines of the checklist about Amazon EMR."""

import gzip
import json
from typing import Any

from smoke.check_answers import all_succeeded, check_releases, cluster_ended
from smoke.checks import Failed, Seen, Stage, check

_LOGS = "emr/cluster-logs/"
_UP = ("WAITING", "RUNNING")


def _cluster(seen: Seen) -> dict[str, Any]:
    cluster = seen.deployment.outputs["ClusterId"]
    found: dict[str, Any] = seen.account.client("emr").describe_cluster(ClusterId=cluster)["Cluster"]
    return found


def _machines(seen: Seen) -> list[str]:
    pages = seen.account.client("emr").get_paginator("list_instances")
    cluster = seen.deployment.outputs["ClusterId"]
    states = ["RUNNING", "BOOTSTRAPPING", "PROVISIONING"]
    listed = pages.paginate(ClusterId=cluster, InstanceStates=states)
    found = [one["Ec2InstanceId"] for page in listed for one in page["Instances"]]
    if not found:
        raise Failed("it has no machines")
    return found


@check("emr-cluster", "The cluster comes up in private-a, its bootstrap action done", Stage.DEPLOYED, needs=("runs",))
def emr_cluster(seen: Seen) -> str:
    """State and subnet of the cluster (`aws emr describe-cluster`)."""
    found = _cluster(seen)
    state, subnet = found["Status"]["State"], found["Ec2InstanceAttributes"]["Ec2SubnetId"]
    if state not in _UP:
        raise Failed(f"{state}: {(found['Status'].get('StateChangeReason') or {}).get('Message')}")
    [told] = seen.account.client("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"]
    name = {tag["Key"]: tag["Value"] for tag in told["Tags"]}.get("Name")
    if name != f"{seen.deployment.prefix}-private-a":
        raise Failed(f"it is in {name}")
    return f"{state} in {name}"


@check(
    "emr-encryption", "Its disks are encrypted, and its machines ask for IMDSv2", Stage.DEPLOYED, needs=("machines",)
)
def emr_encryption(seen: Seen) -> str:
    """The security configuration, the volumes and the metadata options of every machine."""
    emr, ec2 = seen.account.client("emr"), seen.account.client("ec2")
    name = _cluster(seen)["SecurityConfiguration"]
    security = json.loads(emr.describe_security_configuration(Name=name)["SecurityConfiguration"])
    if not security["EncryptionConfiguration"]["EnableAtRestEncryption"]:
        raise Failed("not by the security configuration")
    ids = _machines(seen)
    attached = [{"Name": "attachment.instance-id", "Values": ids}]
    volumes = ec2.describe_volumes(Filters=attached)["Volumes"]
    if not volumes:
        raise Failed("its machines have no disks")
    if plain := [one["VolumeId"] for one in volumes if not one["Encrypted"]]:
        raise Failed(f"{len(plain)} of {len(volumes)} disks are not encrypted, {plain[0]} among them")
    for reservation in ec2.describe_instances(InstanceIds=ids)["Reservations"]:
        for one in reservation["Instances"]:
            if one.get("MetadataOptions", {}).get("HttpTokens") != "required":
                raise Failed(f"{one['InstanceId']} takes IMDSv1")
    return f"{len(volumes)} disks on {len(ids)} machines"


@check("emr-session", "A session without keys: Session Manager", Stage.DEPLOYED, needs=("machines",))
def emr_session(seen: Seen) -> str:
    """A session that is opened on one machine and ended (`aws ssm start-session`)."""
    ssm = seen.account.client("ssm")
    target = _machines(seen)[0]
    started = ssm.start_session(Target=target)["SessionId"]
    ssm.terminate_session(SessionId=started)
    return f"opened on {target} and ended"


@check("emr-groups", "EMR adds no rule to the security groups", Stage.DEPLOYED, needs=("emr groups",))
def emr_groups(seen: Seen) -> str:
    """The rules of the stack's groups: ours all have a description, EMR's have none."""
    groups = list(seen.deployment.resources("emr", "AWS::EC2::SecurityGroup").values())
    ours = [{"Name": "group-id", "Values": groups}]
    pages = seen.account.client("ec2").get_paginator("describe_security_group_rules")
    rules = [rule for page in pages.paginate(Filters=ours) for rule in page["SecurityGroupRules"]]
    if foreign := [rule for rule in rules if not rule.get("Description")]:
        raise Failed(f"{len(foreign)} of {len(rules)} rules are not ours, one of {foreign[0]['GroupId']}")
    return f"{len(rules)} rules in {len(groups)} groups, all ours"


@check("emr-endpoints", "EMR makes no endpoint in the VPC", Stage.RAN, needs=("machines",))
def emr_endpoints(seen: Seen) -> str:
    """The VPC's endpoints that no stack has made (EMR from 7.5 on would like one for itself)."""
    vpcs = list(seen.deployment.resources("network", "AWS::EC2::VPC").values())
    inside = [{"Name": "vpc-id", "Values": vpcs}]
    found = seen.account.client("ec2").describe_vpc_endpoints(Filters=inside)["VpcEndpoints"]
    ours = set(seen.deployment.resources("network", "AWS::EC2::VPCEndpoint").values())
    if foreign := [one["ServiceName"] for one in found if one["VpcEndpointId"] not in ours]:
        raise Failed(f"not of the stack, and in the way of `cdk destroy`: {', '.join(foreign)}")
    return f"{len(found)} endpoints, all of the stack"


@check("emr-steps", "A step of each script succeeds", Stage.RAN, needs=("runs",))
def emr_steps(seen: Seen) -> str:
    """The state of both steps (`aws emr describe-step`)."""
    return all_succeeded(seen.steps)


@check("emr-releases", "… and leaves a release that is near the truth", Stage.RAN, needs=("runs",))
def emr_releases(seen: Seen) -> str:
    """The copies under releases/, beside the ledger's and the public table's true mean."""
    return check_releases(seen, seen.steps)


@check("emr-ends", "An idle cluster ends itself", Stage.ENDED, needs=("idle clusters",))
def emr_ends(seen: Seen) -> str:
    """The cluster's state after `emr.idle_timeout_seconds` without a step."""
    return cluster_ended(seen)


@check("emr-logs", "No numbers of the table in the cluster's logs", Stage.ENDED, needs=("logs",))
def emr_logs(seen: Seen) -> str:
    """All files under emr/cluster-logs/ in the bucket."""
    s3, bucket = seen.account.client("s3"), seen.deployment.outputs["BucketName"]
    telltales, files = seen.table.telltales(), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_LOGS):
        for one in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            text = (gzip.decompress(body) if one["Key"].endswith(".gz") else body).decode(errors="replace")
            files += 1
            if found := {what for telltale, what in telltales.items() if telltale in text}:
                raise Failed(f"{one['Key']} holds {', '.join(sorted(found))}")
    if not files:
        raise Failed("the cluster has put no logs there")
    return f"{files} files"
