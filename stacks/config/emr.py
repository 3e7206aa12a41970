"""The block "emr": the cluster, its machines and what runs on it."""

from dataclasses import dataclass
from typing import NamedTuple

from stacks.config.errors import ConfigError
from stacks.config.offers import EMR_INSTANCE_TYPES, EMR_RELEASES
from stacks.config.rules import S3_URI, offered, one_of, within


class Machines(NamedTuple):
    """The instances of a cluster: types, and how many core nodes there are beside the one primary node."""

    primary: str
    core: str
    core_count: int

    @property
    def primary_count(self) -> int:
        """How many primary nodes there are."""
        return 1

    @property
    def node_count(self) -> int:
        """How many nodes there are in all."""
        return self.primary_count + self.core_count


EMR_SIZES = {
    "article": Machines("m5.4xlarge", "m5.4xlarge", 2),
    "small": Machines("m5.xlarge", "m5.xlarge", 2),
}
"""48 and 12 vCPUs, all at once: a new account may have no more than 5 or 32 (docs/operations.md)."""


@dataclass(frozen=True, kw_only=True)
class EmrConfig:
    """The EMR cluster. An instance type or count that is given wins over that of `size`."""

    enabled: bool = True
    generation: int = 1
    release_label: str = EMR_RELEASES[0]
    zone: str = "a"
    size: str = "article"
    primary_instance_type: str | None = None
    core_instance_type: str | None = None
    core_instance_count: int | None = None
    idle_timeout_seconds: int = 3600
    spark: bool = True
    hadoop: bool = True
    zeppelin: bool = True
    tls_certificate_s3: str | None = None

    @property
    def machines(self) -> Machines:
        """The instances: each as given, else that of the size."""
        size = EMR_SIZES[self.size]
        return Machines(
            primary=self.primary_instance_type or size.primary,
            core=self.core_instance_type or size.core,
            core_count=size.core_count if self.core_instance_count is None else self.core_instance_count,
        )

    def check(self, *, addresses: int) -> None:
        """Raise ConfigError for the first thing that is wrong; `addresses` are those of the cluster's subnet."""
        if self.release_label not in EMR_RELEASES:
            allowed = f"{', '.join(EMR_RELEASES)} (its Spark and Python are those of the pinned libraries)"
            raise ConfigError("emr.release_label", "unknown release", self.release_label, allowed)
        one_of("emr.size", self.size, tuple(EMR_SIZES))
        one_of("emr.zone", self.zone, ("a", "b"))
        within("emr.generation", self.generation, 1, 9999)
        for name in ("primary_instance_type", "core_instance_type"):
            given = getattr(self, name)
            if given is not None:
                wrong = f"not offered by {self.release_label} on x86-64"
                offered(f"emr.{name}", wrong, given, EMR_INSTANCE_TYPES, "one such as m5.4xlarge")
        within("emr.core_instance_count", self.machines.core_count, 1, addresses - self.machines.primary_count)
        within("emr.idle_timeout_seconds", self.idle_timeout_seconds, 60, 604_800)
        if not self.spark:
            raise ConfigError("emr.spark", "every step runs on Spark", False, "true, or dp.emr.enabled=false")
        tls = self.tls_certificate_s3
        if tls is not None and not (S3_URI.fullmatch(tls) and tls.endswith(".zip")):
            allowed = "s3://bucket/key.zip with the PEM files, or null"
            raise ConfigError("emr.tls_certificate_s3", "not a certificate's S3 URI", tls, allowed)
