"""Write the reference pages that follow from the code: docs/cli.md and docs/settings.md (`make docs`).

A setting's key and default are those of `stacks.config`; what is allowed is what its own refusal says, got by giving
it a value that it cannot take. Only what a setting means is written here.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
from stacks.config.app import AppConfig
from stacks.config.errors import ConfigError

from dpcloud.cli import cli

DOCS = Path(__file__).parents[1] / "docs"

_WIDTH = 100  # of the help texts, in characters
_BAD = ("-1", "?")  # no setting takes either: the first is out of range for a number, the second no word of any

_CLI = """# The command line

Written from the code by `make docs`; do not edit. What each command says when it is asked for `--help`:
"""
_SETTINGS = """# Settings of the deployment

Written from the code by `make docs`; do not edit. A setting is given in the block `"dp"` of `cdk.json`, or as
`-c dp.KEY=VALUE`, lists with commas; a mistake ends synth with one line that names the key. How to choose:
[operations.md](operations.md#what-can-be-configured).
"""

TITLES = {
    "": "Names and network",
    "storage": "Storage: the bucket and the ledger",
    "glue": "Glue: the two jobs",
    "emr": "EMR: the cluster",
    "ask": "Ask: the door for questions",
    "cost": "Cost: a monthly alarm",
    "notice": "Notice: e-mails about runs and the cluster",
    "trail": "Trail: who read and wrote what",
}
"""The heading of each block of settings; the empty name is that of the outermost."""

MEANINGS = {
    "name_prefix": 'begins the names that people type: stacks, jobs, cluster. It must not hold the word "error", by '
    "which the log groups of Glue's daemons are known",
    "account": "null: that of the credentials",
    "region": "null: that of the credentials; none in China",
    "network": "`nat`, or `isolated`: no way to the internet",
    "vpc_cidr": "the addresses of the VPC",
    "subnet_mask": "the size of each of its four subnets",
    "availability_zones": "for subnets a and b; none: the region's first two",
    "nat_gateways": "null: 1, or none when isolated or without EMR, since Glue needs none",
    "data_locations": "what the jobs may read besides `data/` in the stack's own bucket",
    "data_kms_keys": "the keys that those tables are encrypted with",
    "data_retention": "what `cdk destroy` does with bucket and ledger",
    "storage.encryption": "`kms`: with a key of the stack's own, 1 USD a month",
    "storage.deletion_protection": "of the ledger; null: on with `data_retention` retain",
    "storage.existing_bucket": "adopt the bucket that an earlier deployment left",
    "storage.existing_table": "adopt the ledger that an earlier deployment left",
    "storage.existing_key": "the key of an adopted bucket or ledger",
    "storage.log_days": "when logs expire; Glue's log groups at the next shorter time that CloudWatch knows",
    "storage.warehouse_days": "when Tumult's temporary tables expire; a table deleted there is gone a day later",
    "storage.old_version_days": "when an object's former versions expire",
    "glue.worker_type": "of each job",
    "glue.number_of_workers": "of each job",
    "glue.flex": "the cheaper class of execution, which may wait for capacity",
    "glue.timeout_minutes": "of each job",
    "glue.max_concurrent_runs": "of each job",
    "glue.python_modules": "[how a run gets its libraries](operations.md#how-a-run-gets-its-libraries)",
    "glue.daemon_logs": "true: Glue's daemons may log, single rows included; for a table that is not private",
    "emr.enabled": "false: the stack without the cluster",
    "emr.generation": "another number is another cluster, see [change](operations.md#change)",
    "emr.release_label": "the only release with the Spark and Python of the pinned libraries",
    "emr.zone": "the private subnet that the cluster lies in",
    "emr.size": "`article`: 3 × m5.4xlarge; `small`: 3 × m5.xlarge",
    "emr.primary_instance_type": "null: that of `emr.size`",
    "emr.core_instance_type": "null: that of `emr.size`",
    "emr.core_instance_count": "null: that of `emr.size`",
    "emr.idle_timeout_seconds": "when an idle cluster ends itself",
    "emr.spark": "stays true: without Spark there is no cluster",
    "emr.hadoop": "whether the cluster has this application",
    "emr.zeppelin": "whether the cluster has this application",
    "emr.tls_certificate_s3": "encryption in transit, with this certificate",
    "ask.enabled": "the state machine that takes questions, and the policies Analyst and Owner; costs nothing idle",
    "cost.monthly_limit_usd": "an alarm over the whole account's monthly cost; needs `cost.email`",
    "cost.email": "who gets the alarm; needs `cost.monthly_limit_usd`",
    "notice.email": "who is told when a run ends and when the cluster is older than a day; 1 USD a month for its key",
    "trail.enabled": "CloudTrail records each request to `data/`, `releases/` and the ledger; 0.10 USD for 100,000",
    "trail.keep_days": "when the trail's own log expires",
}
"""What each setting means, in Markdown; there must be one for each setting of `stacks.config`, and no other."""


def pages() -> dict[Path, str]:
    """Return the text of each generated page; raises ValueError where a setting and its meaning do not pair."""
    return {DOCS / "cli.md": cli_page(), DOCS / "settings.md": settings_page()}


def cli_page() -> str:
    """Return the reference of the command line: each command's help, in the order that `--help` has them."""
    sections = [_CLI]
    for context in _contexts(cli, "dpcloud", None):
        help_ = context.command.get_help(context).rstrip()
        sections.append(f"## {context.command_path}\n\n```\n{help_}\n```\n")
    return "\n".join(sections)


def _contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, parent, name, **settings)
    yield context
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            yield from _contexts(command.commands[inner], inner, context)


def settings_page() -> str:
    """Return the tables of the deployment's settings; raises ValueError where keys and meanings do not pair."""
    defaults = dict(_defaults())
    if unpaired := sorted(defaults.keys() ^ MEANINGS.keys()):
        raise ValueError(f"settings without a meaning, or meanings without a setting: {', '.join(unpaired)}")
    sections = [_SETTINGS]
    for block, title in TITLES.items():
        sections.append(f"## {title}\n\n| key | default | allowed | meaning |\n|---|---|---|---|")
        for key, default in defaults.items():
            if key.rpartition(".")[0] == block:
                sections[-1] += f"\n| `{key}` | {_shown(default)} | {_allowed(key, default)} | {MEANINGS[key]} |"
        sections[-1] += "\n"
    return "\n".join(sections)


def _defaults() -> Iterator[tuple[str, object]]:
    """Each setting's key and default."""
    config = AppConfig()
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from ((f"{field.name}.{inner.name}", getattr(value, inner.name)) for inner in fields(value))
        else:
            yield field.name, value


def _shown(default: object) -> str:
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    return "none" if default == () else str(default)


def _allowed(key: str, default: object) -> str:
    """What the refusal of a value that the setting cannot take says is allowed."""
    for bad in _BAD:
        try:
            AppConfig.from_context({f"dp.{key}": bad})
        except ConfigError as error:
            allowed = str(error).partition("; allowed: ")[2].partition("; did you mean")[0]
            if default is None and "null" not in allowed:
                allowed += ", or null"
            return allowed.replace("true or false, or null", "true, false or null")
    raise ValueError(f"the setting {key} takes any value")


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
