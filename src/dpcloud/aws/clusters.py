"""The deployment's EMR clusters, all of the name PREFIX-emr, whoever started them: found, started, ended, looked at.

A cluster that is started here is outside its stack: it has the stack's roles, groups and subnet, but CloudFormation
knows nothing of it. What ends it is its idle time, or `stop_clusters`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from time import sleep
from typing import Any, NamedTuple

from dpcloud.aws.cluster_definition import Definition, Offer, offer_of, usd_an_hour
from dpcloud.aws.errors import AwsError, explained
from dpcloud.aws.session import client
from dpcloud.aws.stacks import Deployment
from dpcloud.words import one_line
from dpjobs.errors import InputError

LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
UP = ("RUNNING", "WAITING")
"""With machines that take steps and sessions."""
POLL_SECONDS = 15.0
_SEE = "`dpcloud emr status`"
_QUOTA = "L-1216C47A"  # vCPUs of running On-Demand instances of the standard families
_LONGEST = 300


@dataclass(frozen=True)
class Cluster:
    """A cluster as EMR tells of it: `code` and `message` are its own words for why it came to its state."""

    id: str
    name: str
    state: str
    created: datetime
    ready: datetime | None = None
    ended: datetime | None = None
    code: str = ""
    message: str = ""

    @property
    def live(self) -> bool:
        """Whether it is there, or about to be."""
        return self.state in LIVE

    @property
    def over(self) -> bool:
        """Whether it has ended; in between it is TERMINATING."""
        return self.state.startswith("TERMINATED")

    @property
    def since(self) -> datetime:
        """When it came to where it is, as far as EMR tells: ended, ready, or created."""
        return self.ended or self.ready or self.created

    @cached_property
    def usd_an_hour(self) -> Decimal | None:
        """What an hour of it costs; None where a price is not known. Asks EMR for its machines, once."""
        return hour_of(self.id)

    def usd_so_far(self, now: datetime | None = None) -> Decimal | None:
        """Return what it has cost from its creation to its end, or till now: at most, as its boot is half a start."""
        hour = self.usd_an_hour
        seconds = ((self.ended or now or datetime.now(UTC)) - self.created).total_seconds()
        return None if hour is None else hour * Decimal(str(round(seconds, 3))) / 3600

    @property
    def reason(self) -> str:
        """EMR's own words in one line."""
        return one_line(self.message, _LONGEST) or self.code


class Step(NamedTuple):
    """A step that waits or runs; `name` is the run id of those that `dpcloud run --on emr` adds."""

    id: str
    name: str
    state: str


def clusters(deployment: Deployment, states: Sequence[str] = ()) -> list[Cluster]:
    """Return the clusters of the deployment that EMR remembers, for two months, the newest first; raises AwsError."""
    name = f"{deployment.prefix}-emr"
    chosen = {"ClusterStates": list(states)} if states else {}
    with explained("list the EMR clusters", _SEE):
        pages = client("emr").get_paginator("list_clusters").paginate(**chosen)
        found = [_cluster(c) for page in pages for c in page["Clusters"] if c["Name"] == name]
    return sorted(found, key=_created, reverse=True)  # EMR promises no order


def live_clusters(deployment: Deployment) -> list[Cluster]:
    """Return all that are up, or on their way, the newest first; raises AwsError."""
    return clusters(deployment, LIVE)


def live_cluster(deployment: Deployment) -> Cluster | None:
    """Return the newest that is up, or on its way; raises AwsError."""
    return next(iter(live_clusters(deployment)), None)


def hour_of(cluster_id: str) -> Decimal | None:
    """Return what an hour of a cluster costs, None where a price is not known; raises AwsError."""
    with explained("look at the machines of an EMR cluster", _SEE):
        pages = client("emr").get_paginator("list_instance_groups").paginate(ClusterId=cluster_id)
        groups = [group for page in pages for group in page["InstanceGroups"]]
    return usd_an_hour([(g["InstanceType"], g["RequestedInstanceCount"]) for g in groups]) if groups else None


def cluster_of(cluster_id: str) -> Cluster:
    """Return a cluster as it is now; raises AwsError."""
    with explained("look at an EMR cluster", _SEE):
        return _cluster(client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"])


def offer(deployment: Deployment) -> Offer:
    """Return what a start of the cluster costs, of the size that is deployed; raises InputError."""
    return offer_of(Definition.read(deployment))


def start_cluster(deployment: Deployment) -> Cluster:
    """Start the cluster as it is deployed, and return it, STARTING; raises InputError.

    The caller has seen that none is up. RunJobFlow knows no token that would make a second try harmless, so it is
    tried once: where its answer is lost, the cluster that came up meanwhile is the one that was asked for.
    """
    definition = Definition.read(deployment)
    known = {cluster.id for cluster in live_clusters(deployment)}
    try:
        with explained(f"start the cluster {deployment.prefix}-emr", _SEE):
            id_ = client("emr", attempts=1).run_job_flow(**definition.request)["JobFlowId"]
    except AwsError as error:
        if not error.in_doubt:  # AWS has said no: a cluster that is new is somebody else's
            raise
        new = [cluster for cluster in live_clusters(deployment) if cluster.id not in known]
        if not new:
            raise
        return new[0]
    try:
        return cluster_of(str(id_))
    except AwsError:  # it is started, whoever may look at it
        return Cluster(str(id_), f"{deployment.prefix}-emr", "STARTING", datetime.now(UTC))


def stop_clusters(found: Sequence[Cluster]) -> None:
    """Ask EMR to end these clusters, with whatever runs on them; raises AwsError."""
    ids = [cluster.id for cluster in found]
    protected = (
        f"`aws emr modify-cluster-attributes --no-termination-protected --cluster-id {ids[0]}` if it is protected"
    )
    with explained(f"end the cluster {', '.join(ids)}", protected):
        client("emr").terminate_job_flows(JobFlowIds=ids)


def follow(cluster: Cluster, until: Sequence[str]) -> Iterator[Cluster]:
    """Yield the cluster again and again, until it is in one of these states, or has ended; raises AwsError."""
    while True:
        yield cluster
        if cluster.state in until or cluster.over:
            return
        sleep(POLL_SECONDS)
        cluster = cluster_of(cluster.id)


def steps_on(cluster: Cluster) -> list[Step]:
    """Return the steps that wait or run; raises AwsError."""
    with explained("list the steps of an EMR cluster", _SEE):
        pages = (
            client("emr")
            .get_paginator("list_steps")
            .paginate(ClusterId=cluster.id, StepStates=["PENDING", "RUNNING", "CANCEL_PENDING"])
        )
        return [
            Step(step["Id"], one_line(step["Name"], _LONGEST), step["Status"]["State"])
            for page in pages
            for step in page["Steps"]
        ]


def primary_instance(cluster: Cluster) -> str:
    """Return the EC2 id of the machine that sessions go to; raises InputError while there is none."""
    with explained("list the machines of an EMR cluster", _SEE):
        found = client("emr").list_instances(
            ClusterId=cluster.id, InstanceGroupTypes=["MASTER"], InstanceStates=["RUNNING"]
        )["Instances"]
    if not found:
        raise InputError.of("the cluster has no primary node yet", cluster.id, "the same command in some minutes")
    return str(found[0]["Ec2InstanceId"])


def why_ended(cluster: Cluster, definition: Definition) -> InputError:
    """Return what EMR says of a cluster that ended, with the next thing to type."""
    said = cluster.reason or "EMR does not say why"
    return InputError(
        f"the cluster {cluster.id} ended ({cluster.state}): {said}; allowed: {_next(cluster, definition)}"
    )


def _next(cluster: Cluster, definition: Definition) -> str:
    said = cluster.message.lower()
    if "vcpu" in said or "quota" in said or "limit" in said:
        wanted = definition.vcpus
        ask = f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {_QUOTA}"
        return f"`{ask} --desired-value {wanted or 'N'}`, or a smaller cluster: `cdk deploy` with dp.emr.size=small"
    if cluster.code == "BOOTSTRAP_FAILURE":
        logs = f"{definition.request['LogUri'].rstrip('/')}/{cluster.id}/node/"
        return f"`aws s3 ls --recursive {logs}` has the bootstrap action's own words"
    if "capacity" in said or "availability zone" in said or "subnet" in said:
        return "`dpcloud emr start` later, or the other zone: `cdk deploy` with dp.emr.zone=b"
    return "`dpcloud emr start` once more"


def _cluster(told: dict[str, Any]) -> Cluster:
    status = told["Status"]
    times, reason = status.get("Timeline", {}), status.get("StateChangeReason") or {}
    return Cluster(
        id=told["Id"],
        name=told["Name"],
        state=status["State"],
        created=times["CreationDateTime"],
        ready=times.get("ReadyDateTime"),
        ended=times.get("EndDateTime"),
        code=str(reason.get("Code") or ""),
        message=str(reason.get("Message") or ""),
    )


def _created(cluster: Cluster) -> datetime:
    return cluster.created
