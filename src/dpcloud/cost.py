"""`dpcloud cost`: what the configured deployment costs while it stands there, and what a run costs; reads no data."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from dpcloud import prices
from dpcloud.command import Command
from dpjobs.errors import InputError

if TYPE_CHECKING:
    from stacks.config.app import AppConfig

_WIDTH = 120  # of a table that goes to a file

_EPILOG = """\b
Examples:
  dpcloud cost
  dpcloud cost -c dp.network=isolated -c dp.emr.enabled=false
  dpcloud cost --config other/cdk.json --json
"""


class Standing(NamedTuple):
    """What is paid for whether it is used or not."""

    what: str
    month: Decimal

    @property
    def hour(self) -> Decimal:
        """The same for an hour."""
        return self.month / prices.HOURS_A_MONTH


class Running(NamedTuple):
    """What is paid for while it runs: an hour of it, the least that a start costs, and the most, if there is one."""

    what: str
    hour: Decimal
    least: Decimal
    least_is: str
    most: Decimal | None
    most_is: str


class Surprise(NamedTuple):
    """What people do not expect to pay for: how much, for how long, when, and what to do about it."""

    usd: Decimal
    unit: str
    when: str


class Cost(NamedTuple):
    """What a deployment costs, in USD."""

    standing: list[Standing]
    glue: Running
    emr: Running | None
    data: tuple[str, Decimal]
    surprises: list[Surprise]

    @property
    def month(self) -> Decimal:
        """A month of what stands there."""
        return sum((line.month for line in self.standing), Decimal(0))

    @property
    def forgotten(self) -> Decimal:
        """The first month after a deployment that nobody touches: the cluster ends itself, the rest stays."""
        return self.month + (self.emr.least if self.emr else 0)


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--config", "path", type=click.Path(path_type=Path), help="By default the checkout's own cdk.json.")
@click.option("-c", "--context", "options", multiple=True, help="dp.KEY=VALUE, as for cdk; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the source of every price.")
def cost(path: Path | None, options: tuple[str, ...], as_json: bool) -> None:
    """Print what the configured deployment costs, idle and per run, before anything is deployed."""
    config = read_config(path, options)
    priced = cost_of(config)
    if as_json:
        click.echo(json.dumps(_as_json(priced, config), indent=2))
    else:
        _show(priced, config)


def read_config(path: Path | None, options: Sequence[str]) -> "AppConfig":
    """Read a cdk.json, by default the checkout's own, and `-c` options as the CDK app does. Raises InputError."""
    try:  # here and not above: no other command needs them
        from stacks.config.app import CDK_JSON, AppConfig
        from stacks.config.errors import ConfigError
    except ModuleNotFoundError:
        where, allowed = Path(__file__).parent, "dpcloud as `make setup` installs it, in its checkout"
        raise InputError.of("no folder stacks/ with this command", where, allowed) from None
    path = path or CDK_JSON
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        whole = None
    given = whole.get("context", {}) if isinstance(whole, dict) else None
    if not isinstance(given, dict):
        raise InputError.of("config", path, 'a readable cdk.json, {"context": {"dp": {…}}}')
    context = dict(given)
    for option in options:
        key, equals, value = option.partition("=")
        if not key.startswith("dp.") or not equals:
            raise InputError.of("-c", option, "dp.KEY=VALUE, such as dp.emr.enabled=false")
        context[key] = value
    try:
        return AppConfig.from_context(context)
    except ConfigError as error:
        raise InputError(str(error)) from None


def cost_of(config: "AppConfig") -> Cost:
    """Price a configuration. Raises InputError for a region, a worker or an instance whose price is not known."""
    prices.check_region(config.region)
    per_gb = prices.ENDPOINT_DATA if config.isolated else prices.NAT_DATA
    way = "through interface endpoints" if config.isolated else "through NAT"
    standing, glue, emr = _standing(config), _glue(config), _emr(config) if config.emr.enabled else None
    return Cost(
        standing=standing,
        glue=glue,
        emr=emr,
        data=(way, per_gb.usd),
        surprises=_surprises(config, standing, glue, emr),
    )


def _standing(config: "AppConfig") -> list[Standing]:
    nat, services, keys = config.nat_gateway_count, config.interface_endpoints, config.kms_keys
    endpoints = len(services) * config.zone_count
    lines = [
        (f"NAT gateway × {nat}", nat * prices.NAT_GATEWAY.usd * prices.HOURS_A_MONTH),
        (f"public IPv4 address × {nat}", nat * prices.PUBLIC_ADDRESS.usd * prices.HOURS_A_MONTH),
        (
            f"interface endpoint × {endpoints} ({len(services)} services in {config.zone_count} zones)",
            endpoints * prices.ENDPOINT.usd * prices.HOURS_A_MONTH,
        ),
        (f"KMS key × {len(keys)} ({', '.join(keys)})", len(keys) * prices.KMS_KEY.usd),
    ]
    return [Standing(what, month) for what, month in lines if month]


def _glue(config: "AppConfig") -> Running:
    glue = config.glue
    hour = prices.glue_hour(glue.worker_type, glue.number_of_workers, glue.flex)
    return Running(
        what=f"Glue run: {glue.number_of_workers} × {glue.worker_type}, {'Flex' if glue.flex else 'standard'}",
        hour=hour,
        least=hour * prices.GLUE_MINIMUM_MINUTES / 60,
        least_is=f"{prices.GLUE_MINIMUM_MINUTES} minute of all workers",
        most=hour * glue.timeout_minutes / 60,
        most_is=f"timeout, {glue.timeout_minutes} minutes",
    )


def _emr(config: "AppConfig") -> Running:
    emr, machines = config.emr, config.emr.machines
    hour, disks = prices.cluster_hour(
        [
            ("emr.primary_instance_type", machines.primary, machines.primary_count),
            ("emr.core_instance_type", machines.core, machines.core_count),
        ]
    )
    return Running(
        what=f"EMR cluster: {machines.primary} + {machines.core_count} × {machines.core}, {disks} GB of disks",
        hour=hour,
        least=prices.least_of_cluster(hour, emr.idle_timeout_seconds),
        least_is=f"{prices.BOOT_MINUTES} minutes of boot, {_minutes(emr.idle_timeout_seconds)} idle, then it ends",
        most=None,
        most_is="while it is busy",
    )


def _surprises(
    config: "AppConfig", standing: Sequence[Standing], glue: Running, emr: Running | None
) -> list[Surprise]:
    failed = "a Glue run that fails at once: its minute on all workers"
    surprises = [Surprise(glue.least, "run", failed)]
    if emr and config.nat_gateway_count:
        gateway = sum(line.month for line in standing if line.what.startswith(("NAT", "public")))
        when = "the NAT gateway, after the cluster has ended itself, until a deploy with dp.emr.enabled=false"
        surprises.append(Surprise(Decimal(gateway), "month", when))
    if emr and config.emr.zeppelin:
        when = (
            "the cluster with a Zeppelin tab open, or a note's interpreter running: it does not count as idle, and "
            "does not end"
        )
        surprises.append(Surprise(emr.hour * 24, "day", when))
    if config.trail.enabled:
        when = "the trail: Spark reads a table in many, each of which is recorded"
        surprises.append(Surprise(prices.TRAIL_REQUESTS.usd, "100,000 requests", when))
    if not config.isolated:
        isolated = replace(config, network="isolated")
        endpoints = len(isolated.interface_endpoints) * isolated.zone_count
        month = endpoints * prices.ENDPOINT.usd * prices.HOURS_A_MONTH
        surprises.append(Surprise(month, "month", "dp.network=isolated: its interface endpoints, used or not"))
    return surprises


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds % 60 == 0 else f"{seconds} seconds"


def _usd(amount: Decimal) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"


def _show(priced: Cost, config: "AppConfig") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table("USD, used or not", "an hour", f"a month ({prices.HOURS_A_MONTH} h)")
    for line in priced.standing:
        table.add_row(line.what, f"{line.hour:.4f}", f"{line.month:,.2f}")
    table.add_section()
    table.add_row("together", f"{priced.month / prices.HOURS_A_MONTH:.4f}", f"{priced.month:,.2f}")
    console.print(table, soft_wrap=False)
    table = Table("USD, while it runs", "an hour", "at least", "at most")
    for run in filter(None, (priced.glue, priced.emr)):
        most = f"no limit {run.most_is}" if run.most is None else f"{_usd(run.most)} ({run.most_is})"
        table.add_row(run.what, _usd(run.hour), f"{_usd(run.least)} ({run.least_is})", most)
    console.print(table, soft_wrap=False)
    way, per_gb = priced.data
    console.print(f"Data {way}: {per_gb} a GB; none of it goes to S3 or DynamoDB, whose gateway endpoints are free.")
    console.print(f"By use, not counted: {prices.PER_USE}.")
    console.print("What may surprise:")
    for one in priced.surprises:
        console.print(f"- {_usd(one.usd)} a {one.unit}: {one.when}.")
    cluster = f", and the cluster until it ends ({_usd(priced.emr.least)})" if priced.emr else ""
    console.print(f"Deployed and forgotten for a month: {priced.forgotten:,.2f} USD: what stands there{cluster}.")
    assumed = ", since the configuration names no region" if config.region is None else ""
    console.print(
        f"On-demand prices of {prices.REGION}{assumed}, without tax or free tier, looked up {prices.CHECKED}, "
        "most of them second-hand; --json names the sources."
    )


def _as_json(priced: Cost, config: "AppConfig") -> dict[str, Any]:
    def number(amount: Decimal | None) -> float | None:
        return None if amount is None else float(round(amount, 6))

    def running(run: Running | None) -> dict[str, Any] | None:
        if run is None:
            return None
        amounts = {"per_hour": number(run.hour), "at_least": number(run.least), "at_most": number(run.most)}
        return {"what": run.what, **amounts, "at_least_is": run.least_is, "at_most_is": run.most_is}

    return {
        "currency": "USD",
        "region": prices.REGION,
        "region_assumed": config.region is None,
        "prices_checked": prices.CHECKED,
        "idle": {
            "lines": [
                {"what": line.what, "per_hour": number(line.hour), "per_month": number(line.month)}
                for line in priced.standing
            ],
            "per_hour": number(priced.month / prices.HOURS_A_MONTH),
            "per_month": number(priced.month),
        },
        "run": {
            "glue": running(priced.glue),
            "emr": running(priced.emr),
            "data": {"way": priced.data[0], "per_gb": number(priced.data[1])},
        },
        "forgotten_month": number(priced.forgotten),
        "surprises": [{"usd": number(one.usd), "per": one.unit, "when": one.when} for one in priced.surprises],
        "by_use": prices.PER_USE,
        "prices": prices.sources(),
    }
