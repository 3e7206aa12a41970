"""The libraries that an isolated network cannot fetch, put into the bucket under their own name."""

from aws_cdk import Size
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as s3_deployment
from constructs import Construct

from stacks.acknowledged import acknowledge_copy
from stacks.components.paths import ROOT
from stacks.errors import ConfigError

NAME = "dpcloud.gluewheels.zip"
"""Glue knows such a zip by this ending."""
FOLDER = ROOT / "build" / "wheelhouse"


class Wheelhouse(Construct):
    """Copies the folder that `make wheelhouse` makes; `url` is the zip's address."""

    def __init__(self, scope: Construct, id: str, bucket: s3.IBucket, prefix: str) -> None:
        super().__init__(scope, id)
        if not (FOLDER / NAME).is_file():
            wrong = "the libraries for a network without internet are not made yet"
            raise ConfigError("network", wrong, str(FOLDER / NAME), "`make wheelhouse`, then again")
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
        )
        acknowledge_copy(self.deployment.handler_role.node.scope, bucket)
        self.url = bucket.s3_url_for_object(f"{prefix}{NAME}")
