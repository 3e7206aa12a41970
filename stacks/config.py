"""The "dp" block of cdk.json as frozen, checked values (standard library only).

Every key may also be given as `-c dp.KEY=VALUE`, nested ones as `-c dp.emr.enabled=false`; lists take commas.
Whatever is wrong raises ConfigError in one line that names key, value and what is allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from stacks import checks, parsing
from stacks.known import EMR_RELEASES, INTERFACE_ENDPOINTS

RESERVED_ADDRESSES = 5
"""How many addresses of every subnet AWS keeps for itself."""


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


@dataclass(frozen=True, kw_only=True)
class GlueConfig:
    """The two Glue jobs; `python_modules` is how their libraries get there (docs/operations.md).

    `daemon_logs` lets Glue's daemons write their logs, in which a single row can show: for tables that are not
    private.
    """

    worker_type: str = "G.1X"
    number_of_workers: int = 10
    flex: bool = True
    timeout_minutes: int = 720
    max_concurrent_runs: int = 1
    python_modules: str = "environment"
    daemon_logs: bool = False


@dataclass(frozen=True, kw_only=True)
class EmrConfig:
    """The EMR cluster."""

    enabled: bool = True
    release_label: str = EMR_RELEASES[0]
    primary_instance_type: str = "m5.4xlarge"
    core_instance_type: str = "m5.4xlarge"
    core_instance_count: int = 2
    idle_timeout_seconds: int = 3600
    spark: bool = True
    hadoop: bool = True
    zeppelin: bool = True
    tls_certificate_s3: str | None = None


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """The monthly alarm; both or neither."""

    monthly_limit_usd: float | None = None
    email: str | None = None


@dataclass(frozen=True, kw_only=True)
class AppConfig:
    """All that can be chosen about a deployment; the defaults are the article's where that is still possible."""

    name_prefix: str = "differential-privacy"
    account: str | None = None
    region: str | None = None
    network: str = "nat"
    vpc_cidr: str = "10.0.0.0/24"
    subnet_mask: int = 27
    nat_gateways: int | None = None
    data_locations: tuple[str, ...] = ()
    data_kms_keys: tuple[str, ...] = ()
    data_retention: str = "retain"
    storage: StorageConfig = field(default_factory=StorageConfig)
    glue: GlueConfig = field(default_factory=GlueConfig)
    emr: EmrConfig = field(default_factory=EmrConfig)
    cost: CostConfig = field(default_factory=CostConfig)

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """Read the CDK's context: the block "dp", then the flat keys "dp.…", which come as text.

        Raises ConfigError.
        """
        config: Self = parsing.read(cls, context)
        checks.check(config)
        return config

    @property
    def isolated(self) -> bool:
        """Whether the network has no way to the internet."""
        return self.network == "isolated"

    @property
    def nat_gateway_count(self) -> int:
        """How many NAT gateways there are: as given, else 1, or 0 where nothing would use it."""
        return self.nat_gateways if self.nat_gateways is not None else int(self.emr.enabled and not self.isolated)

    @property
    def interface_endpoints(self) -> tuple[str, ...]:
        """The services with an interface endpoint of their own, which only an isolated network needs."""
        return INTERFACE_ENDPOINTS if self.isolated else ()

    @property
    def retains_data(self) -> bool:
        """Whether `cdk destroy` leaves the bucket and the ledger."""
        return self.data_retention == "retain"

    @property
    def protects_ledger(self) -> bool:
        """Whether the table refuses to be deleted: as given, else when data is retained."""
        given = self.storage.deletion_protection
        return self.retains_data if given is None else given

    @property
    def addresses_per_subnet(self) -> int:
        """How many addresses of a subnet can be used."""
        return int(2 ** (32 - self.subnet_mask)) - RESERVED_ADDRESSES
