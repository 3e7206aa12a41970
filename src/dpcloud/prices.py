"""What AWS asks for in one region, with the source of every price and the day it was looked up.

On-demand list prices in USD, without tax, credits or free tier. AWS's own pages fill their tables in by script, so
most of these come from pages that quote them: `second_hand` says which. To renew them, look every source up and
change CHECKED.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from dpjobs.errors import InputError

REGION = "us-east-1"
CHECKED = "2026-11-23"
HOURS_A_MONTH = 730


class Price(NamedTuple):
    """One price: how much, for what, where it was read, and whether that page quotes AWS rather than being AWS's."""

    usd: Decimal
    unit: str
    source: str
    second_hand: bool = True


_NETWORK = "https://www.factualminds.com/blog/amazon-vpc-pricing-endpoints-peering-transit-gateway/ (June 2026)"
_NAT = "https://basavytix.com/blog/aws-nat-gateway-pricing"
_GLUE = (
    "https://awsnegotiations.com/glue-job-cost-optimization.html (May 2026); by region: "
    "https://github.com/GoogleCloudPlatform/PerfKitBenchmarker, providers/aws/aws_dpb_glue_prices.py"
)
_FLEX = (
    "a third below the standard price: "
    "https://oneuptime.com/blog/post/2026-02-12-aws-glue-flex-execution-cost-savings/view"
)
_EMR_RULE = (
    "a quarter of the EC2 price, 0.27 at most: https://github.com/h2oai/sparkling-water/pull/1462 (m5.xlarge 0.048), "
    "https://github.com/aws/amazon-ec2-instance-selector/issues/80 (m5.12xlarge 0.27), "
    "https://github.com/ldbc/ldbc_snb_datagen_spark/pull/377 (m5d.4xlarge 0.23, r5d.4xlarge 0.27)"
)
_EC2_LIST = "https://github.com/LBNL-UCB-STI/beam/issues/571 (12xlarge and 24xlarge; 9xlarge and 18xlarge of c5)"

NAT_GATEWAY = Price(Decimal("0.045"), "gateway and hour", _NAT)
NAT_DATA = Price(Decimal("0.045"), "GB", _NAT)
PUBLIC_ADDRESS = Price(Decimal("0.005"), "address and hour", "https://www.harsharya.me/blog/aws-ipv4-charge/")
ENDPOINT = Price(Decimal("0.01"), "interface endpoint, zone and hour", _NETWORK)
ENDPOINT_DATA = Price(Decimal("0.01"), "GB", "https://aws.amazon.com/privatelink/pricing/", second_hand=False)
DISK = Price(
    Decimal("0.10"),
    "GB and month",
    "gp2, which EMR may still take (gp3 is 0.08): "
    "https://menuvis1-blip.github.io/autonomous-researcher/aws/architecture/storage/2026/02/24/amazon-ebs.html",
)
KMS_KEY = Price(Decimal(1), "key and month", "https://aws.amazon.com/kms/pricing/", second_hand=False)
TRAIL_REQUESTS = Price(
    Decimal("0.10"), "100,000 data events", "https://aws.amazon.com/cloudtrail/pricing/", second_hand=False
)
GLUE_STANDARD = Price(Decimal("0.44"), "DPU-hour", _GLUE)
GLUE_FLEX = Price(Decimal("0.29"), "DPU-hour", _FLEX)
GLUE_MINIMUM_MINUTES = 1
"""What the shortest run costs; the source is GLUE_STANDARD's."""

GLUE_DPUS = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8, "G.12X": 12, "G.16X": 16}
"""DPUs of a worker (https://docs.aws.amazon.com/glue/latest/dg/worker-types.html). R types have another price."""

BOOT_MINUTES = 20
"""How long a cluster is paid for before it takes a step: the article's figure."""
_ROOT_DISK_GB = 15
_DISK_GB_PER_XLARGE = 64
"""What EMR gives a machine without disks of its own, by its size
(https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-plan-storage.html)."""

_TO_24 = (1, 2, 4, 8, 12, 16, 24)
_EC2 = {  # price of the xlarge; a family's price grows with its size
    "m5": (Decimal("0.192"), _TO_24),
    "m5d": (Decimal("0.226"), _TO_24),
    "r5": (Decimal("0.252"), _TO_24),
    "r5d": (Decimal("0.288"), _TO_24),
    "c5": (Decimal("0.17"), (1, 2, 4, 9, 12, 18, 24)),
}
_EMR_AT_MOST = Decimal("0.27")


def _size(times: int) -> str:
    return "xlarge" if times == 1 else f"{times}xlarge"


EC2 = {
    f"{family}.{_size(times)}": Price(usd * times, "instance and hour", _EC2_LIST)
    for family, (usd, sizes) in _EC2.items()
    for times in sizes
}
EMR = {
    name: Price(
        min((price.usd / 4).quantize(Decimal("0.001"), ROUND_HALF_UP), _EMR_AT_MOST), "instance and hour", _EMR_RULE
    )
    for name, price in EC2.items()
}
"""What EMR takes on top of EC2."""

PER_USE = (
    "objects and requests in S3, the ledger's requests (DynamoDB), logs and flow logs (CloudWatch), requests to KMS, "
    "the versions that a key's yearly rotation keeps, the door and the notices (Step Functions, SNS), the trail's "
    "own log"
)
"""What costs little and only by use, and so is not counted."""


def check_region(region: str | None) -> None:
    """Raise InputError for a region whose prices are not known; none at all means REGION."""
    if region not in (None, REGION):
        raise InputError.of("no prices for this region", region, f"{REGION}, or null in dp.region")


def glue_hour(worker_type: str, workers: int, flex: bool) -> Decimal:
    """Return what an hour of a run costs. Raises InputError for a worker whose price is not known."""
    if worker_type not in GLUE_DPUS:
        raise InputError.of("dp.glue.worker_type: no price known", worker_type, ", ".join(GLUE_DPUS))
    return GLUE_DPUS[worker_type] * workers * (GLUE_FLEX if flex else GLUE_STANDARD).usd


def instance_hour(key: str, instance_type: str) -> Decimal:
    """Return what an hour of an EMR instance costs, EC2 and EMR. Raises InputError when its price is not known."""
    if instance_type not in EC2:
        raise InputError.of(f"dp.{key}: no price known", instance_type, _known_types())
    return EC2[instance_type].usd + EMR[instance_type].usd


def cluster_hour(machines: Iterable[tuple[str, str, int]]) -> tuple[Decimal, int]:
    """Return what an hour of a cluster costs, EC2, EMR and disks, and the GB of its disks.

    Each of its machines is (what names it in an error, instance type, how many). Raises InputError for an instance
    whose price is not known.
    """
    hour, disks = Decimal(0), 0
    for key, instance_type, count in machines:
        hour += count * instance_hour(key, instance_type)
        disks += count * disk_gb(instance_type)
    return hour + disks * DISK.usd / HOURS_A_MONTH, disks


def least_of_cluster(hour: Decimal, idle_seconds: int) -> Decimal:
    """Return the least that the start of a cluster costs: its boot, and the idle time after which it ends itself."""
    return hour * (BOOT_MINUTES * 60 + idle_seconds) / 3600


def disk_gb(instance_type: str) -> int:
    """Return the GB of EBS disks that EMR gives an instance whose price is known, its root disk among them."""
    family, size = instance_type.split(".")
    own = family.endswith("d")
    return _ROOT_DISK_GB + (0 if own else _DISK_GB_PER_XLARGE * int(size.removesuffix("xlarge") or 1))


def _known_types() -> str:
    families: dict[tuple[int, ...], list[str]] = {}
    for family, (_, sizes) in _EC2.items():
        families.setdefault(sizes, []).append(family)
    return "; ".join(f"{', '.join(names)}: {' '.join(map(_size, sizes))}" for sizes, names in families.items())


def sources() -> list[dict[str, object]]:
    """Return every price with its unit and source; instances by family."""
    single = {
        "NAT gateway": NAT_GATEWAY,
        "data through NAT": NAT_DATA,
        "public IPv4 address": PUBLIC_ADDRESS,
        "interface endpoint": ENDPOINT,
        "data through interface endpoints": ENDPOINT_DATA,
        "disks of a cluster": DISK,
        "KMS key": KMS_KEY,
        "CloudTrail, data events": TRAIL_REQUESTS,
        "Glue, standard": GLUE_STANDARD,
        "Glue, Flex": GLUE_FLEX,
        **{f"EC2 {family}.xlarge": EC2[f"{family}.xlarge"] for family in _EC2},
        **{f"EMR {family}.xlarge": EMR[f"{family}.xlarge"] for family in _EC2},
    }
    return [
        {"what": what, "usd": float(p.usd), "unit": p.unit, "source": p.source, "second_hand": p.second_hand}
        for what, p in single.items()
    ]
