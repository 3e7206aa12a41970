"""The monthly alarm: an e-mail when the account has spent 80 %, and is forecast to spend all, of an amount."""

from typing import Unpack

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from constructs import Construct

from stacks.arguments import StackArguments


class CostStack(Stack):
    """One AWS budget over the whole account.

    Not over our tags alone: a tag that was never activated for billing counts nothing, and nobody would be warned.
    """

    def __init__(
        self, scope: Construct, id: str, *, email: str, monthly_limit_usd: float, **kwargs: Unpack[StackArguments]
    ) -> None:
        super().__init__(scope, id, **kwargs)
        budget = budgets.CfnBudget
        reader = budget.SubscriberProperty(subscription_type="EMAIL", address=email)
        budget(
            self,
            "Budget",
            budget=budget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budget.SpendProperty(amount=monthly_limit_usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budget.NotificationWithSubscribersProperty(
                    notification=budget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[reader],
                )
                for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )
