"""The narrow door: the state machine that takes questions, and the policies of those who ask and who own the data."""

from typing import Unpack

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stacks.arguments import StackArguments
from stacks.components.ask_machine import AskMachine
from stacks.components.job_storage import JobStorage
from stacks.components.people import Analyst, Owner
from stacks.config.app import AppConfig


class AskStack(Stack):
    """The machine PREFIX-ask, and two managed policies that nobody has until somebody attaches them.

    Its outputs are all that `dpcloud run --on glue` needs to know. `storage_stack` is the name of the other stack
    that an owner may look at.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: AppConfig,
        storage: JobStorage,
        storage_stack: str,
        **kwargs: Unpack[StackArguments],
    ) -> None:
        super().__init__(scope, id, **kwargs)
        machine = AskMachine(self, "Ask", name_prefix=config.name_prefix, timeout_minutes=config.glue.timeout_minutes)
        analyst = Analyst(self, "Analyst", machine=machine, storage=storage, stack=self.stack_name)
        owner = Owner(self, "Owner", storage=storage, stacks=(self.stack_name, storage_stack))
        CfnOutput(self, "AskMachineArn", value=machine.arn)
        CfnOutput(self, "BucketName", value=storage.bucket.bucket_name)
        CfnOutput(self, "LedgerTableArn", value=storage.ledger.table_arn)
        attach = "attach it to those who"
        CfnOutput(self, "AnalystPolicyArn", value=analyst.managed_policy_arn, description=f"{attach} ask")
        CfnOutput(self, "OwnerPolicyArn", value=owner.managed_policy_arn, description=f"{attach} set budgets")
