"""Takes away what the deployment made, and says what it could not: nothing of another prefix is ever touched."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from smoke import log_groups
from smoke.account import Account, code_of
from smoke.deployment import CdkError, Deployment
from smoke.progress import Progress

_ACTIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING"]


def destroy(deployment: Deployment, progress: Progress) -> list[str]:
    """Destroy the stacks and return what that left; a failure of the CDK is said and shows in the list."""
    progress.say("taking everything away")
    try:  # their names can be asked for only as long as the stacks stand
        deployment.log_groups |= log_groups.of_stacks(deployment)
    except (ClientError, BotoCoreError) as error:
        progress.say(f"the stacks' log groups are unknown ({type(error).__name__}); the removal goes on")
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
        ("log group", _log_groups(deployment), _delete_log_group),
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
    found += [f"log group {name}" for name in _log_groups(deployment)]
    found += [f"EMR cluster {name}" for name in _clusters(account, prefix)]
    return [*found, *_network_parts(account, prefix)]


def there(lines: Iterable[str], kinds: tuple[str, ...]) -> list[str]:
    """Return the lines of `left` that are of these kinds."""
    return [line for line in lines if line.startswith(kinds)]


def _log_groups(deployment: Deployment) -> list[str]:
    """The groups that are there and name the deployment, or that its stacks had."""
    every = log_groups.every(deployment.account)
    return [g.name for g in every if log_groups.names(deployment.prefix, g.name) or g.name in deployment.log_groups]


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
        ours = {"Key": "project", "Value": prefix} in one.get("Tags", [])  # test servers do not filter these by tag
        if ours and one["State"] not in ("deleted", "deleting"):
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
