"""What AWS offers, as far as settings are checked against it."""

_REGIONS = (
    "af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 "
    "ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 "
    "eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 "
    "me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2 us-gov-east-1 us-gov-west-1"
)
REGIONS = frozenset(_REGIONS.split())
"""Without China's two: their services answer under other names, which our policies and endpoints do not use."""

GLUE_WORKER_TYPES = ("G.1X", "G.2X", "G.4X", "G.8X", "G.12X", "G.16X", "R.1X", "R.2X", "R.4X", "R.8X")
"""Of Spark jobs on Glue 5.1; G.025X is for streaming, Standard for Glue before 2.0."""
FLEX_WORKER_TYPES = ("G.1X", "G.2X")

EMR_RELEASES = ("emr-7.13.0",)
"""Releases whose Spark (3.5.6) and Python (3.11) are those that the pinned libraries were tested with."""

LOG_GROUP_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096),
    *(1827, 2192, 2557, 2922, 3288, 3653),
)
"""For how many days CloudWatch can keep a log group."""

_TO_24 = "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge"
_FIFTH = dict.fromkeys(("m5", "m5a", "m5d", "r5", "r5a", "r5b", "r5d", "r5dn", "m5dn", "m5n", "r5n"), _TO_24)
_COMPUTE = {
    "c5": "xlarge 2xlarge 4xlarge 9xlarge 12xlarge 18xlarge 24xlarge",
    "c5a": _TO_24,
    "c5ad": _TO_24,
    "c5d": "xlarge 2xlarge 4xlarge 9xlarge 12xlarge 18xlarge 24xlarge",
    "c5n": "xlarge 2xlarge 4xlarge 9xlarge 18xlarge",
}
_SIXTH = dict.fromkeys(("m6i", "m6id", "m6in", "m6idn", "r6i", "r6id", "c6i", "c6id"), f"{_TO_24} 32xlarge")
_SIXTH_AMD = dict.fromkeys(("m6a", "r6a", "c6a"), f"{_TO_24} 32xlarge 48xlarge")
_SEVENTH = dict.fromkeys(("m7i", "r7i", "c7i"), f"{_TO_24} 48xlarge")
_SEVENTH_AMD = dict.fromkeys(("m7a", "r7a", "c7a"), f"{_TO_24} 32xlarge 48xlarge")
_STORAGE = {
    "i3": "xlarge 2xlarge 4xlarge 8xlarge 16xlarge",
    "i3en": "xlarge 2xlarge 3xlarge 6xlarge 12xlarge 24xlarge",
    "i4i": "xlarge 2xlarge 4xlarge 8xlarge 16xlarge 32xlarge",
    "d3": "xlarge 2xlarge 4xlarge 8xlarge",
    "d3en": "xlarge 2xlarge 4xlarge 6xlarge 8xlarge 12xlarge",
}
_FAMILIES = {**_FIFTH, **_COMPUTE, **_SIXTH, **_SIXTH_AMD, **_SEVENTH, **_SEVENTH_AMD, **_STORAGE}

EMR_INSTANCE_TYPES = frozenset(f"{family}.{size}" for family, sizes in _FAMILIES.items() for size in sizes.split())
"""Of emr-7.13.0, x86-64 only (python-dp has no wheel for Graviton), from 4 vCPUs up."""
