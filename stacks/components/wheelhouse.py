"""The libraries that an isolated network cannot fetch, put into the bucket under their own name."""

import zipfile
from pathlib import Path

from aws_cdk import RemovalPolicy, Size
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as s3_deployment
from constructs import Construct

from stacks.acknowledged import acknowledge_copy
from stacks.components.job_code import REQUIREMENTS
from stacks.components.paths import ROOT
from stacks.errors import ConfigError

NAME = "dpcloud.gluewheels.zip"
"""Glue knows such a zip by this ending."""
FOLDER = ROOT / "build" / "wheelhouse"


class Wheelhouse(Construct):
    """Copies the folder that `make wheelhouse` makes; `url` is the zip's address."""

    def __init__(self, scope: Construct, id: str, bucket: s3.IBucket, prefix: str) -> None:
        super().__init__(scope, id)
        _check(FOLDER / NAME)
        self.deployment = s3_deployment.BucketDeployment(
            self,
            "Copy",
            destination_bucket=bucket,
            destination_key_prefix=prefix,
            sources=[s3_deployment.Source.asset(str(FOLDER), exclude=["*", f"!{NAME}"])],
            memory_limit=1024,
            ephemeral_storage_size=Size.gibibytes(2),
            prune=False,  # nothing else under the prefix is ours to delete
            retain_on_delete=True,
            log_group=logs.LogGroup(
                self, "Log", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
            ),
        )
        acknowledge_copy(self.deployment.handler_role.node.scope, bucket)
        self.url = bucket.s3_url_for_object(f"{prefix}{NAME}")


def _check(packed: Path) -> None:
    """Raise ConfigError unless the zip is there and of the list that is pinned now: any other would be installed."""
    try:
        with zipfile.ZipFile(packed) as archive:
            wrong = (
                None if archive.read("wheels/requirements.txt") == REQUIREMENTS.read_bytes() else "of another list"
            )
    except FileNotFoundError:
        wrong = "not made yet"
    except (OSError, KeyError, zipfile.BadZipFile):
        wrong = "damaged"
    if wrong:
        raise ConfigError("network", f"the wheelhouse is {wrong}", str(packed), "`make wheelhouse`, then again")
