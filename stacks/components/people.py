"""The managed policies for people: Analyst, who asks, and Owner, who sets budgets and brings tables."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.components.ask_machine import AskMachine
from stacks.components.job_storage import DATA, RELEASES, JobStorage
from stacks.nag_exceptions import acknowledge_wildcards

READ_KEYS = ("dataset", "address", "addresses", "history#*", "run#*")
"""The partition keys of the ledger, all of them: what a later version adds is closed until it stands here."""
BUDGET_KEYS = ("dataset", "address", "addresses")
"""Those of the rows that a budget is made of; not a run's, nor the list of a data set's runs."""
READ_LEDGER = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"]


class Analyst(iam.ManagedPolicy):
    """May ask through the state machine, and read its own execution, the releases and the ledger. Nothing else."""

    def __init__(self, scope: Construct, id: str, *, machine: AskMachine, storage: JobStorage, stack: str) -> None:
        # a policy whose description changes is another policy, which nobody has
        super().__init__(scope, id, description="Ask through the state machine, read releases and the ledger")
        bucket = storage.bucket
        _allow(self, "Ask", ["states:StartExecution"], [machine.arn])
        _allow(self, "SeeAnswers", ["states:DescribeExecution"], [machine.executions])
        _allow(self, "ReadReleases", ["s3:GetObject"], [bucket.arn_for_objects(f"{RELEASES}*")])
        _allow(
            self,
            "ListReleases",
            ["s3:ListBucket"],
            [bucket.bucket_arn],
            {"StringLike": {"s3:prefix": f"{RELEASES}*"}},
        )
        _read_ledger(self, storage)
        _find(self, stack)
        _use_key(self, storage, ["kms:Decrypt"])


class Owner(iam.ManagedPolicy):
    """May set budgets, bring tables under data/ and read the ledger; neither run rows nor releases may it write."""

    def __init__(self, scope: Construct, id: str, *, storage: JobStorage, stacks: tuple[str, ...]) -> None:
        super().__init__(scope, id, description="Set budgets, bring tables to data/, read the ledger")
        bucket = storage.bucket
        writing = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
        _allow(self, "SetBudgets", writing, [storage.ledger.table_arn], _keys("StringEquals", BUDGET_KEYS))
        _read_ledger(self, storage)
        uploading = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"]
        _allow(self, "BringTables", uploading, [bucket.arn_for_objects(f"{DATA}*")])
        _allow(self, "ListTables", ["s3:ListBucket"], [bucket.bucket_arn], {"StringLike": {"s3:prefix": f"{DATA}*"}})
        _allow(self, "ListUploads", ["s3:ListBucketMultipartUploads"], [bucket.bucket_arn])  # knows no prefix
        _find(self, *stacks)
        _use_key(self, storage, ["kms:Decrypt", "kms:GenerateDataKey"])


def _keys(operator: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Only rows with these partition keys; without Null a request that names no key would pass."""
    return {
        f"ForAllValues:{operator}": {"dynamodb:LeadingKeys": list(keys)},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def _read_ledger(policy: iam.ManagedPolicy, storage: JobStorage) -> None:
    table = [storage.ledger.table_arn]
    _allow(policy, "ReadLedger", READ_LEDGER, table, _keys("StringLike", READ_KEYS))
    _allow(policy, "FindLedger", ["dynamodb:DescribeTable"], table)


def _find(policy: iam.ManagedPolicy, *stacks: str) -> None:
    """Read what these stacks say of themselves, which is how names are found."""
    place = f"arn:{Aws.PARTITION}:cloudformation:{Aws.REGION}:{Aws.ACCOUNT_ID}:stack"
    _allow(policy, "FindNames", ["cloudformation:DescribeStacks"], [f"{place}/{stack}/*" for stack in stacks])


def _use_key(policy: iam.ManagedPolicy, storage: JobStorage, actions: list[str]) -> None:
    """Use the storage's own key, where there is one, through S3 and DynamoDB alone."""
    if storage.key:
        through = [f"{service}.{Aws.REGION}.{Aws.URL_SUFFIX}" for service in ("s3", "dynamodb")]
        _allow(policy, "UseKey", actions, [storage.key.key_arn], {"StringEquals": {"kms:ViaService": through}})


def _allow(
    policy: iam.ManagedPolicy,
    sid: str,
    actions: list[str],
    resources: list[str],
    conditions: Mapping[str, object] | None = None,
) -> None:
    statement = iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)
    policy.add_statements(statement)
    acknowledge_wildcards(policy, sid, resources)
