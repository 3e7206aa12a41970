"""The state machine that stands between an analyst and the Glue jobs, and the role that it has."""

import json

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.components.ask_definition import ENGINES, definition
from stacks.components.job_permissions import allow
from stacks.nag_exceptions import acknowledge


class AskMachine(Construct):
    """The standard state machine PREFIX-ask; `arn` is its own, `executions` that of what it runs, with a wildcard."""

    def __init__(self, scope: Construct, id: str, *, name_prefix: str, timeout_minutes: int) -> None:
        super().__init__(scope, id)
        name = f"{name_prefix}-ask"
        here = f"{Aws.REGION}:{Aws.ACCOUNT_ID}"
        self.arn = f"arn:{Aws.PARTITION}:states:{here}:stateMachine:{name}"
        self.executions = f"arn:{Aws.PARTITION}:states:{here}:execution:{name}:*"
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": self.arn},
                },
            ),
            description="Starts and watches the private jobs of Glue",
        )
        # what .sync needs: it asks for the run's state, and stops the run with an execution that is stopped
        actions = ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"]
        jobs = [f"arn:{Aws.PARTITION}:glue:{here}:job/{name_prefix}-{job}" for job in ENGINES]
        allow(role, "RunJobs", actions, jobs)
        machine = sfn.CfnStateMachine(
            self,
            "Machine",
            state_machine_name=name,
            state_machine_type="STANDARD",
            role_arn=role.role_arn,
            definition_string=json.dumps(
                definition(name_prefix=name_prefix, partition=Aws.PARTITION, timeout_minutes=timeout_minutes)
            ),
        )
        machine.node.add_dependency(role)  # its policy, too, before any question
        acknowledge(machine, "AwsSolutions-SF1", "AwsSolutions-SF2")
