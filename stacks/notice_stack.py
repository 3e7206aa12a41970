"""The notices: an e-mail when a run or the cluster changes its state, and while a cluster is older than a day.

Of an event only states travel on: the job, the run's or cluster's id, the state, the time. Its message may hold
anything. EventBridge does not publish by itself: to an encrypted topic it could only with a key that it may use for
any account, since AWS supports no condition there. So each rule starts a state machine, which publishes by its role.
"""

from typing import Any, Unpack

from aws_cdk import ArnFormat, Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.arguments import StackArguments
from stacks.components.job_permissions import allow
from stacks.components.notice_machines import Definition, told, watched
from stacks.nag_exceptions import acknowledge

_DAY_SECONDS = 86_400
_LOOKS_EVERY = Duration.hours(12)
_FIELD = events.EventField.from_path


class NoticeStack(Stack):
    """One topic with one e-mail address, the rules, and the two state machines between them."""

    def __init__(
        self, scope: Construct, id: str, *, name_prefix: str, email: str, **kwargs: Unpack[StackArguments]
    ) -> None:
        super().__init__(scope, id, **kwargs)
        key = kms.Key(
            self,
            "Key",
            description=f"{name_prefix}: notices",
            enable_key_rotation=True,
            pending_window=Duration.days(7),
            removal_policy=RemovalPolicy.DESTROY,
        )
        topic = sns.Topic(self, "Topic", master_key=key, enforce_ssl=True)
        sns.Subscription(self, "Email", topic=topic, protocol=sns.SubscriptionProtocol.EMAIL, endpoint=email)
        self._role = self._publisher(topic, key)
        names = {"topic_arn": topic.topic_arn, "name_prefix": name_prefix}
        teller = self._machine("Told", told(**names))
        watcher = self._machine("Watched", watched(**names))
        starter = iam.Role(
            self,
            "Starter",
            assumed_by=iam.ServicePrincipal(
                "events.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
            description="EventBridge starts the notices with it",
        )
        for name, (pattern, words) in self._events(name_prefix).items():
            asked = targets.SfnStateMachine(teller, input=events.RuleTargetInput.from_object(words), role=starter)
            events.Rule(self, name, event_pattern=pattern, targets=[asked])
        a_day = events.RuleTargetInput.from_object({"seconds": _DAY_SECONDS})
        look = targets.SfnStateMachine(watcher, input=a_day, role=starter)
        events.Rule(self, "Look", schedule=events.Schedule.rate(_LOOKS_EVERY), targets=[look])

    def _events(self, name_prefix: str) -> dict[str, tuple[events.EventPattern, dict[str, Any]]]:
        """What is listened to, and what is handed on of it: states, no more."""
        common = {"state": _FIELD("$.detail.state"), "time": _FIELD("$.time")}
        job, run = _FIELD("$.detail.jobName"), _FIELD("$.detail.jobRunId")
        step, cluster = _FIELD("$.detail.stepId"), _FIELD("$.detail.clusterId")
        execution = {"state": _FIELD("$.detail.status"), "time": _FIELD("$.time")}
        door = self.format_arn(
            service="states",
            resource="stateMachine",
            resource_name=f"{name_prefix}-ask",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return {
            "GlueRuns": (
                events.EventPattern(
                    source=["aws.glue"],
                    detail_type=["Glue Job State Change"],
                    detail={"jobName": [f"{name_prefix}-tumult-ana", f"{name_prefix}-pipelinedp"]},
                ),
                {"what": f"The Glue job run {run} of {job}", **common},
            ),
            "Steps": (
                events.EventPattern(
                    source=["aws.emr"],
                    detail_type=["EMR Step Status Change"],
                    detail={"state": ["COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"]},
                ),
                {"what": f"The step {step} on the EMR cluster {cluster}", "cluster": cluster, **common},
            ),
            "Clusters": (
                events.EventPattern(
                    source=["aws.emr"],
                    detail_type=["EMR Cluster State Change"],
                    detail={
                        "name": [f"{name_prefix}-emr"],
                        "state": ["STARTING", "TERMINATED", "TERMINATED_WITH_ERRORS"],
                    },
                ),
                {"what": f"The EMR cluster {cluster}", **common},
            ),
            "Questions": (
                events.EventPattern(
                    source=["aws.states"],
                    detail_type=["Step Functions Execution Status Change"],
                    detail={
                        "stateMachineArn": [door],
                        "status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
                    },
                ),
                {"what": f"The question {_FIELD('$.detail.name')}", **execution},
            ),
        }

    def _publisher(self, topic: sns.ITopic, key: kms.IKey) -> iam.Role:
        machines = self.format_arn(
            service="states", resource="stateMachine", resource_name="*", arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
        role = iam.Role(
            self,
            "Publisher",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": machines},
                },
            ),
            description="The notices look at clusters and publish with it",
        )
        allow(role, "Publish", ["sns:Publish"], [topic.topic_arn])
        allow(role, "UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn])
        cluster = self.format_arn(service="elasticmapreduce", resource="cluster", resource_name="*")
        allow(role, "LookAtClusters", ["elasticmapreduce:DescribeCluster"], [cluster])
        allow(role, "ListClusters", ["elasticmapreduce:ListClusters"], ["*"])  # knows no resources
        return role

    def _machine(self, id: str, definition: Definition) -> sfn.StateMachine:
        machine = sfn.StateMachine(
            self,
            id,
            definition_body=sfn.DefinitionBody.from_string(self.to_json_string(definition)),
            role=self._role,
            comment=definition["Comment"],
        )
        acknowledge(machine, "AwsSolutions-SF1", "AwsSolutions-SF2")
        return machine
