"""The libraries that jobs run with, as one archive in the CDK's bucket: nothing is fetched when a job starts."""

import os
import shutil
from pathlib import Path
from typing import cast

from aws_cdk import FileAssetPackaging, Stack, Stage
from aws_cdk import aws_s3 as s3
from constructs import Construct
from tools import environment, pins

from stacks.components.paths import existing
from stacks.config.errors import ConfigError

FOLDER = environment.FOLDER


class PythonEnvironment(Construct):
    """The archive that `make environment` makes; bucket, key and address are named as those of an Asset.

    No Asset itself: that would end the key in .gz, and AWS documents, and Spark unpacks, a .tar.gz. The key is the
    SHA-256 of the archive's content before compression, so that whoever makes it deploys the same.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        packed = _look(FOLDER)
        name = f"asset.{packed.content}.tar.gz"
        _put(FOLDER / environment.ARCHIVE, Path(cast(Stage, Stage.of(self)).asset_outdir, name))
        location = Stack.of(self).synthesizer.add_file_asset(
            file_name=name,
            packaging=FileAssetPackaging.FILE,
            source_hash=f"{packed.content}.tar",
            display_name=id,
        )
        self.bucket = s3.Bucket.from_bucket_name(self, "Assets", location.bucket_name)
        self.s3_object_key = location.object_key
        self.s3_object_url = location.s3_object_url


def _look(folder: Path) -> environment.Packed:
    """Raise ConfigError unless the archive is there, whole, and of the list that is pinned now."""
    try:
        return environment.look(folder, Path(existing(pins.CLUSTER)))
    except environment.PackingError as error:
        wrong = f"the packed Python environment is {error}"
        raise ConfigError("", wrong, str(folder), "`make environment`, then again") from None


def _put(archive: Path, target: Path) -> None:
    """Have the archive in the assembly without a second copy of it, where the file system can."""
    target.unlink(missing_ok=True)
    try:
        os.link(archive, target)
    except OSError:
        shutil.copy(archive, target)
