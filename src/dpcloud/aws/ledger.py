"""The deployed ledger, as the command line uses it."""

from typing import TYPE_CHECKING

from dpcloud.aws.stacks import Deployment, ledger_table

if TYPE_CHECKING:
    from dpjobs.ledger import Ledger


def deployed_ledger(deployment: Deployment) -> "Ledger":
    """Return the ledger of a deployment; raises InputError when there is none. Nothing is asked of it yet."""
    from dpjobs.ledger.dynamodb import DynamoDBLedger

    return DynamoDBLedger(deployment.ledger)


def ledger_of_stack(stack: str) -> "Ledger":
    """Return the ledger of the stack with this name or prefix, if it can be used; raises InputError, LedgerError."""
    from dpjobs.ledger.dynamodb import DynamoDBLedger

    ledger = DynamoDBLedger(ledger_table(stack))
    ledger.ready()
    return ledger
