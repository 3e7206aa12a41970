"""The block "storage": the bucket and the ledger, their key, and how long what is kept."""

import re
from dataclasses import dataclass

from stacks.config.errors import ConfigError
from stacks.config.offers import LOG_GROUP_DAYS
from stacks.config.rules import BUCKET, KEY_ARN, one_of, within

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """The bucket and the ledger table; `existing_…` adopt what an earlier deployment retained."""

    encryption: str = "s3"
    deletion_protection: bool | None = None
    existing_bucket: str | None = None
    existing_table: str | None = None
    existing_key: str | None = None
    log_days: int = 90
    warehouse_days: int = 7
    old_version_days: int = 30

    @property
    def makes_key(self) -> bool:
        """Whether the deployment makes a KMS key for the bucket and the ledger."""
        return self.encryption == "kms" and self.existing_key is None

    @property
    def log_group_days(self) -> int:
        """How long CloudWatch keeps the jobs' logs: the longest that it offers within `log_days`."""
        return max(days for days in LOG_GROUP_DAYS if days <= self.log_days)

    def check(self, *, retains_data: bool) -> None:
        """Raise ConfigError for the first thing that is wrong."""
        one_of("storage.encryption", self.encryption, ("s3", "kms"))
        for name in ("log_days", "warehouse_days", "old_version_days"):
            within(f"storage.{name}", getattr(self, name), 1, 3650)
        if self.deletion_protection and not retains_data:
            allowed = "false or null with dp.data_retention=destroy"
            raise ConfigError("storage.deletion_protection", "what is protected cannot be destroyed", True, allowed)
        for name, pattern, allowed in (
            ("existing_bucket", BUCKET, "a bucket's name"),
            ("existing_table", _TABLE, "a DynamoDB table's name"),
            ("existing_key", KEY_ARN, "the ARN of a KMS key"),
        ):
            given = getattr(self, name)
            if given is not None and not pattern.fullmatch(given):
                raise ConfigError(f"storage.{name}", "no such name", given, f"{allowed}, or null")
            if given is not None and not retains_data:
                wrong = "what is adopted is never destroyed"
                raise ConfigError(f"storage.{name}", wrong, given, "data_retention=retain")
        self._check_existing_key()

    def _check_existing_key(self) -> None:
        adopts = bool(self.existing_bucket or self.existing_table)
        if self.existing_key and not adopts:
            allowed = "together with dp.storage.existing_bucket or existing_table, whose key it is"
            raise ConfigError("storage.existing_key", "nothing has this key", self.existing_key, allowed)
        if adopts and (self.encryption == "kms") != (self.existing_key is not None):
            allowed = "an ARN with dp.storage.encryption=kms, null with s3"
            raise ConfigError("storage.existing_key", "does not fit the encryption", self.existing_key, allowed)
