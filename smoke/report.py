"""What a smoke test prints and writes down: the price beforehand, the table, the report in JSON."""

import json
from collections import Counter
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dpcloud import prices
from dpcloud.cost import Cost
from smoke.checks import Outcome, Result
from smoke.deployment import Deployment
from smoke.settings import CLUSTER_HOURS, GLUE_RUN_MINUTES, GLUE_RUNS, STANDING_HOURS

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "yellow"}
_WIDTH = 160


def price_of(cost: Cost) -> Decimal:
    """What a smoke test will about cost, in USD."""
    glue = cost.glue.hour * GLUE_RUNS * GLUE_RUN_MINUTES / 60
    cluster = cost.emr.hour * CLUSTER_HOURS if cost.emr else Decimal(0)
    keys = sum(line.month for line in cost.standing if "KMS key" in line.what)
    return glue + cluster + (cost.month - keys) / prices.HOURS_A_MONTH * STANDING_HOURS


def announcement(deployment: Deployment, cost: Cost, what: str) -> str:
    """What is about to happen, where, and what it costs."""
    account = deployment.account
    where = f"account {account.id} in {account.region}" + (" (a test server)" if account.is_test_server else "")
    cluster = f", the cluster {cost.emr.hour:,.2f} an hour for about {CLUSTER_HOURS} hour" if cost.emr else ""
    return (
        f"This deploys {deployment.prefix}-* into {where}, has {GLUE_RUNS} Glue job runs and 2 EMR steps on {what}, "
        "looks, and takes everything away: an hour and a half.\n"
        f"It costs about {price_of(cost):,.2f} USD (Glue {cost.glue.hour:,.2f} an hour, {GLUE_RUNS} runs of "
        f"{GLUE_RUN_MINUTES} minutes{cluster}; prices of {prices.REGION}, looked up {prices.CHECKED}). Should it be "
        f"killed and nobody take it away: {cost.forgotten:,.2f} USD in the first month; the last line says how to.\n"
        "The credentials must last as long."
    )


def show(results: list[Result], console: Console) -> None:
    """Print the table and a last line with the counts."""
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table("check", "says", "", "looked at: saw")
    for one in results:
        seen = f"{one.looked_at}: {one.saw}" if one.looked_at else one.saw
        table.add_row(one.name, one.title, f"[{_STYLES[one.outcome]}]{one.outcome}[/]", _plain(seen))
    console.print(table)
    counts = Counter(one.outcome for one in results)
    console.print(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome), highlight=False)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def write(results: list[Result], deployment: Deployment, left: list[str]) -> Path:
    """Write the report beside the deployment's cdk.json and return its path."""
    path = deployment.folder / "report.json"
    account = deployment.account
    whole = {
        "prefix": deployment.prefix,
        "account": account.id,
        "region": account.region,
        "test_server": account.is_test_server,
        "settings": deployment.settings,
        "checks": [asdict(one) for one in results],
        "left": left,
    }
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
