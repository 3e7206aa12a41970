"""Takes away what the deployment made, and says what it could not: nothing of another prefix is ever touched."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from smoke.account import Account, code_of
from smoke.deployment import CdkError, Deployment
from smoke.progress import Progress

_ACTIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING"]
_GROUPS = ("/aws-glue/", "/aws/lambda/", "/aws/vendedlogs/")


def destroy(deployment: Deployment, progress: Progress) -> list[str]:
    """Destroy the stacks and return what that left; a failure of the CDK is said and shows in the list."""
    progress.say("taking everything away")
    try:
        deployment.destroy(progress)
    except CdkError as error:
        progress.say(str(error))
    return left(deployment)


def sweep(deployment: Deployment, progress: Progress) -> list[str]:
    """Delete what no stack deletes: log groups, and a bucket and a table that were retained; return what is left."""
    account, prefix = deployment.account, deployment.prefix
    for what, names, delete in (
        ("bucket", _buckets(account, prefix), _delete_bucket),
        ("table", _tables(account, prefix), _delete_table),
        ("log group", [one["logGroupName"] for one in log_groups(account, prefix)], _delete_log_group),
    ):
        for name in names:
            _delete(account, progress, what, name, delete)
    return left(deployment)


def _delete(
    account: Account, progress: Progress, what: str, name: str, delete: Callable[[Account, str], None]
) -> None:
    try:
        delete(account, name)
        progress.say(f"{what} {name}: deleted")
    except ClientError as error:
        progress.say(f"{what} {name}: not deleted ({code_of(error)})")
    except BotoCoreError as error:
        progress.say(f"{what} {name}: not deleted ({type(error).__name__})")


def left(deployment: Deployment) -> list[str]:
    """Return what there is of this prefix, one line each, as AWS tells now."""
    account, prefix = deployment.account, deployment.prefix
    found = [f"stack {name} ({status})" for name, status in deployment.standing().items()]
    found += [f"bucket {name}" for name in _buckets(account, prefix)]
    found += [f"table {name}" for name in _tables(account, prefix)]
    found += [f"log group {one['logGroupName']}" for one in log_groups(account, prefix)]
    found += [f"EMR cluster {name}" for name in _clusters(account, prefix)]
    return [*found, *_network_parts(account, prefix)]


def there(lines: Iterable[str], kinds: tuple[str, ...]) -> list[str]:
    """Return the lines of `left` that are of these kinds."""
    return [line for line in lines if line.startswith(kinds)]


def log_groups(account: Account, prefix: str) -> list[dict[str, Any]]:
    """Return the log groups with this prefix in their name: Glue's, those of the CDK's functions, flow logs."""
    pages = account.client("logs").get_paginator("describe_log_groups")
    return [
        group
        for begins in (*_GROUPS, prefix)
        for page in pages.paginate(logGroupNamePrefix=begins)
        for group in page["logGroups"]
        if names(prefix, group["logGroupName"])
    ]


def names(prefix: str, text: str) -> bool:
    """Whether a name has this prefix in it, and not one that only begins alike."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(prefix)}(?![A-Za-z0-9])", text) is not None


def _buckets(account: Account, prefix: str) -> list[str]:
    names = [one["Name"] for one in account.client("s3").list_buckets()["Buckets"]]
    return [name for name in names if name.startswith(f"{prefix}-storage-")]


def _tables(account: Account, prefix: str) -> list[str]:
    pages = account.client("dynamodb").get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"] if name.startswith(f"{prefix}-storage-")]


def _clusters(account: Account, prefix: str) -> list[str]:
    pages = account.client("emr").get_paginator("list_clusters").paginate(ClusterStates=_ACTIVE)
    return [one["Id"] for page in pages for one in page["Clusters"] if one["Name"] == f"{prefix}-emr"]


def _network_parts(account: Account, prefix: str) -> Iterator[str]:
    """What costs money, or keeps a VPC from going, by the tag that the stacks put on everything."""
    ec2 = account.client("ec2")
    tagged: dict[str, Any] = {"Filters": [{"Name": "tag:project", "Values": [prefix]}]}
    for one in ec2.describe_vpcs(**tagged)["Vpcs"]:
        yield f"VPC {one['VpcId']}"
    for one in ec2.describe_nat_gateways(Filter=tagged["Filters"])["NatGateways"]:
        if one["State"] not in ("deleted", "deleting"):
            yield f"NAT gateway {one['NatGatewayId']}"
    for one in ec2.describe_addresses(**tagged)["Addresses"]:
        yield f"public address {one['AllocationId']}"
    for one in ec2.describe_security_groups(**tagged)["SecurityGroups"]:
        yield f"security group {one['GroupId']}"


def _delete_bucket(account: Account, name: str) -> None:
    s3 = account.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        if objects:
            s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
    s3.delete_bucket(Bucket=name)


def _delete_table(account: Account, name: str) -> None:
    dynamodb = account.client("dynamodb")
    if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name)
    dynamodb.delete_table(TableName=name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=name)


def _delete_log_group(account: Account, name: str) -> None:
    account.client("logs").delete_log_group(logGroupName=name)
