"""How the deployment's EMR cluster is started once more, and what that costs, from what its stack keeps of it."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dpcloud import prices
from dpcloud.aws.errors import explained
from dpcloud.aws.session import client
from dpcloud.aws.stacks import Deployment
from dpjobs.errors import InputError

_VCPUS_OF_XLARGE = 4
_STANDARD = re.compile(r"[acdhimrtz][0-9][a-z0-9-]*\.([0-9]*)xlarge")
"""The instance families that share the quota of standard On-Demand instances, with their size."""


@dataclass(frozen=True)
class Definition:
    """A request of EMR's RunJobFlow, as the stack PREFIX-emr keeps it."""

    request: dict[str, Any]

    @classmethod
    def read(cls, deployment: Deployment) -> "Definition":
        """Read what is deployed; raises InputError without a stack, or one without a cluster."""
        name = deployment.output("emr", "ClusterDefinition")
        again = f"`cdk deploy {deployment.prefix}-emr` writes it anew"
        with explained(f"read the definition of the cluster, the parameter {name}", again):
            value = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        try:
            request = json.loads(value)
            made = cls(request)
            fits = request["Name"] == f"{deployment.prefix}-emr" and bool(made.groups)
        except (ValueError, KeyError, TypeError):
            fits = False
        if not fits:  # somebody else's hand: what is in it would run with the rights of the cluster's role
            raise InputError.of("no definition of this deployment's cluster in the parameter", name, again)
        return made

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The instance type and number of each group of machines, the primary node's first."""
        groups = self.request["Instances"]["InstanceGroups"]
        return [(group["InstanceType"], group["InstanceCount"]) for group in groups]

    @property
    def idle_seconds(self) -> int:
        """After how long without work the cluster ends itself."""
        return int(self.request["AutoTerminationPolicy"]["IdleTimeout"])

    @property
    def usd_an_hour(self) -> Decimal | None:
        """What an hour costs; None where the price of its machines is not known."""
        return usd_an_hour(self.groups)

    @property
    def usd_at_least(self) -> Decimal | None:
        """What a start costs even when nothing is run: boot and idle time."""
        hour = self.usd_an_hour
        return None if hour is None else prices.least_of_cluster(hour, self.idle_seconds)

    @property
    def vcpus(self) -> int | None:
        """How many vCPUs of the standard On-Demand quota it takes; None for machines that have another."""
        sizes = [(_STANDARD.fullmatch(instance_type), count) for instance_type, count in self.groups]
        found = [(match, count) for match, count in sizes if match is not None]
        if len(found) < len(sizes):
            return None
        return sum(_VCPUS_OF_XLARGE * int(match[1] or 1) * count for match, count in found)


@dataclass(frozen=True)
class Offer:
    """What a start of the cluster means, to be said before it is asked for."""

    machines: str
    region: str
    idle_seconds: int
    usd_an_hour: Decimal | None
    usd_at_least: Decimal | None

    @property
    def text(self) -> str:
        """The same as one sentence."""
        idle = f"{self.idle_seconds // 60} minutes" if self.idle_seconds % 60 == 0 else f"{self.idle_seconds} seconds"
        ends = f"it ends itself after {idle} without work"
        if self.usd_an_hour is None or self.usd_at_least is None:
            return f"a cluster of {self.machines}, whose price is not known here; {ends}"
        where = "" if self.region == prices.REGION else f" ({prices.REGION}'s prices; those of {self.region} differ)"
        costs = f"{self.usd_an_hour:.2f} USD an hour{where}, {self.usd_at_least:.2f} at least"
        return f"a cluster of {self.machines}: {costs}; {ends}"


def offer_of(definition: Definition) -> Offer:
    """Say what a start of this definition means."""
    return Offer(
        machines=" + ".join(f"{count} × {instance_type}" for instance_type, count in definition.groups),
        region=str(client("emr").meta.region_name),
        idle_seconds=definition.idle_seconds,
        usd_an_hour=definition.usd_an_hour,
        usd_at_least=definition.usd_at_least,
    )


def usd_an_hour(groups: list[tuple[str, int]]) -> Decimal | None:
    """Return what an hour of these machines costs with EMR and disks; None where a price is not known."""
    try:
        hour, _ = prices.cluster_hour(("", instance_type, count) for instance_type, count in groups)
    except InputError:
        return None
    return hour
