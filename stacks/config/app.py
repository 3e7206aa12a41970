"""The "dp" block of cdk.json as frozen, checked values; its blocks are declared in the modules beside this one.

Every key may also be given as `-c dp.KEY=VALUE`, nested ones as `-c dp.emr.enabled=false`; lists take commas.
Whatever is wrong raises ConfigError in one line that names key, value and what is allowed.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from stacks.config import parsing
from stacks.config.ask import AskConfig
from stacks.config.cost import CostConfig
from stacks.config.emr import EmrConfig
from stacks.config.errors import ConfigError
from stacks.config.glue import GlueConfig
from stacks.config.notice import NoticeConfig
from stacks.config.offers import REGIONS
from stacks.config.rules import KEY_ARN, S3_URI, offered, one_of, within
from stacks.config.storage import StorageConfig
from stacks.config.trail import TrailConfig

CDK_JSON = Path(__file__).parents[2] / "cdk.json"
"""Where the settings of this checkout are."""
INTERFACE_ENDPOINTS = (
    "glue",
    "elasticmapreduce",
    "ssm",
    "ssmmessages",
    "logs",
    "kms",
    "sts",
    "ec2",
    "monitoring",
)
"""The services that an isolated network reaches through interface endpoints, as in com.amazonaws.REGION.NAME.

Not ec2messages: SSM's agent from 3.3.40.0 on uses ssmmessages in its place, and new regions do not have it.
"""
RESERVED_ADDRESSES = 5
"""How many addresses of every subnet AWS keeps for itself."""
_ZONE = re.compile(r"([a-z]{2}(?:-[a-z]+)+-[0-9])[a-z]")


@dataclass(frozen=True, kw_only=True)
class AppConfig:
    """All that can be chosen about a deployment; the defaults are the article's where that is still possible."""

    name_prefix: str = "differential-privacy"
    account: str | None = None
    region: str | None = None
    network: str = "nat"
    vpc_cidr: str = "10.0.0.0/24"
    subnet_mask: int = 27
    availability_zones: tuple[str, ...] = ()
    nat_gateways: int | None = None
    data_locations: tuple[str, ...] = ()
    data_kms_keys: tuple[str, ...] = ()
    data_retention: str = "retain"
    storage: StorageConfig = field(default_factory=StorageConfig)
    glue: GlueConfig = field(default_factory=GlueConfig)
    emr: EmrConfig = field(default_factory=EmrConfig)
    ask: AskConfig = field(default_factory=AskConfig)
    cost: CostConfig = field(default_factory=CostConfig)
    notice: NoticeConfig = field(default_factory=NoticeConfig)
    trail: TrailConfig = field(default_factory=TrailConfig)

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """Read the CDK's context: the block "dp", then the flat keys "dp.…", which come as text.

        Raises ConfigError.
        """
        config: Self = parsing.read(cls, context)
        config._check()
        return config

    @property
    def isolated(self) -> bool:
        """Whether the network has no way to the internet."""
        return self.network == "isolated"

    @property
    def nat_gateway_count(self) -> int:
        """How many NAT gateways there are, each with an address: as given, else 1, or 0 if nothing would use it."""
        return self.nat_gateways if self.nat_gateways is not None else int(self.emr.enabled and not self.isolated)

    @property
    def zone_count(self) -> int:
        """In how many availability zones the network has subnets, and each interface endpoint an address."""
        return 2

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
    def kms_keys(self) -> tuple[str, ...]:
        """What each KMS key that the deployment makes is for."""
        wanted = [("Glue", True), ("EMR", self.emr.enabled), ("bucket", self.storage.makes_key)]
        wanted += [("notices", self.notice.enabled)]
        return tuple(name for name, made in wanted if made)

    @property
    def addresses_per_subnet(self) -> int:
        """How many addresses of a subnet can be used."""
        return int(2 ** (32 - self.subnet_mask)) - RESERVED_ADDRESSES

    def _check(self) -> None:
        """Raise ConfigError for the first thing that is wrong."""
        self._check_names()
        self._check_network()
        self.storage.check(retains_data=self.retains_data)
        self._check_data()
        self.emr.check(addresses=self.addresses_per_subnet)
        self.glue.check()
        if self.isolated:
            nodes = self.emr.machines.node_count if self.emr.enabled and self.emr.zone == "b" else 0
            self.glue.check_isolated(addresses=self.addresses_per_subnet, nodes_beside=nodes)
        self.cost.check()
        self.notice.check()
        self.trail.check()

    def _check_names(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", self.name_prefix):
            allowed = "2 to 40 small letters, digits and dashes, a letter first and no dash last"
            raise ConfigError("name_prefix", "not a prefix for names", self.name_prefix, allowed)
        if "error" in self.name_prefix:  # it is in the names of log groups, and jobs may not write where that word is
            wrong = "the jobs' logs would be taken for those of Glue's daemons, which are refused"
            raise ConfigError("name_prefix", wrong, self.name_prefix, "a prefix without the word error")
        if self.account is not None and not re.fullmatch(r"[0-9]{12}", self.account):
            raise ConfigError("account", "not an AWS account", self.account, "12 digits, or null for the CLI's own")
        if self.region is not None and self.region.startswith("cn-"):
            wrong = "China's services answer under other names, which nothing here was made for"
            raise ConfigError("region", wrong, self.region, "a region outside China")
        if self.region is not None:
            offered("region", "not an AWS region", self.region, REGIONS, "one such as us-east-1")
        one_of("data_retention", self.data_retention, ("retain", "destroy"))

    def _check_network(self) -> None:
        one_of("network", self.network, ("nat", "isolated"))
        within("subnet_mask", self.subnet_mask, 18, 28)
        four = f"a network with at least four /{self.subnet_mask}, /16 at most, such as 10.0.0.0/24"
        try:
            network = ipaddress.IPv4Network(self.vpc_cidr)
        except ValueError:
            raise ConfigError("vpc_cidr", "not an IPv4 network", self.vpc_cidr, four) from None
        if str(network) != self.vpc_cidr:  # Python takes 10.0.0.0/255.255.255.0 too, CloudFormation does not
            raise ConfigError("vpc_cidr", "not written as an IPv4 network", self.vpc_cidr, four)
        if not 16 <= network.prefixlen <= self.subnet_mask - 2:
            raise ConfigError("vpc_cidr", f"cannot hold four /{self.subnet_mask}", self.vpc_cidr, four)
        self._check_zones()
        if self.isolated and self.nat_gateway_count:
            raise ConfigError("nat_gateways", "an isolated network has none", self.nat_gateways, "0 or null")
        if not self.isolated and self.nat_gateway_count not in ((1, 2) if self.emr.enabled else (0, 1, 2)):
            allowed = "1 or 2, or dp.network=isolated"
            raise ConfigError("nat_gateways", "no way out for the private subnets", self.nat_gateways, allowed)

    def _check_zones(self) -> None:
        """Two zones of one region, the one that is deployed to; or none, which means the region's first two."""
        zones = self.availability_zones
        allowed = "two zones of the region, such as us-east-1a,us-east-1c, or none"
        if len(zones) not in (0, 2) or len(set(zones)) != len(zones):
            raise ConfigError("availability_zones", "not two zones", ",".join(zones), allowed)
        regions = {self.region} if self.region else set()
        for i, zone in enumerate(zones):
            match = _ZONE.fullmatch(zone)
            if match is None or match[1] not in REGIONS:
                raise ConfigError(f"availability_zones[{i}]", "no zone of a region", zone, allowed)
            regions.add(match[1])
            if len(regions) > 1:
                allowed = f"two zones of {self.region or zones[0][:-1]}"
                raise ConfigError(f"availability_zones[{i}]", "a zone of another region", zone, allowed)

    def _check_data(self) -> None:
        for i, uri in enumerate(self.data_locations):
            if not S3_URI.fullmatch(uri):
                raise ConfigError(f"data_locations[{i}]", "not an S3 URI", uri, "s3://bucket or s3://bucket/prefix")
        for i, arn in enumerate(self.data_kms_keys):
            if not KEY_ARN.fullmatch(arn):
                raise ConfigError(f"data_kms_keys[{i}]", "not the ARN of a KMS key", arn, "arn:aws:kms:…:key/…")
