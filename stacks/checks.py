"""What a configuration must fulfil, key by key and in combination (standard library only)."""

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING

from stacks.errors import ConfigError
from stacks.known import (
    EMR_INSTANCE_TYPES,
    EMR_RELEASES,
    EMR_SIZES,
    FLEX_WORKER_TYPES,
    GLUE_WORKER_TYPES,
    REGIONS,
)

if TYPE_CHECKING:
    from stacks.config import AppConfig

GLUE_JOBS = 2

_NAME = r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]"
_BUCKET = re.compile(_NAME)
_S3_URI = re.compile(rf"s3://{_NAME}(/[^\s*?$\x00-\x1f\x7f]*)?")  # no wildcard: it goes into a policy
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_ZONE = re.compile(r"([a-z]{2}(?:-[a-z]+)+-[0-9])[a-z]")
_KEY_ARN = re.compile(r"arn:aws(?:-us-gov)?:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")
_EMAIL = re.compile(r"[!-+.-?A-~-]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+")


def check(config: "AppConfig") -> None:
    """Raise ConfigError for the first thing that is wrong."""
    for part in (_check_names, _check_network, _check_storage, _check_emr, _check_glue, _check_cost):
        part(config)


def _check_names(config: "AppConfig") -> None:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", config.name_prefix):
        allowed = "2 to 40 small letters, digits and dashes, a letter first and no dash last"
        raise ConfigError("name_prefix", "not a prefix for names", config.name_prefix, allowed)
    if "error" in config.name_prefix:  # it is in the names of log groups, and jobs may not write where that word is
        wrong = "the jobs' logs would be taken for those of Glue's daemons, which are refused"
        raise ConfigError("name_prefix", wrong, config.name_prefix, "a prefix without the word error")
    if config.account is not None and not re.fullmatch(r"[0-9]{12}", config.account):
        raise ConfigError("account", "not an AWS account", config.account, "12 digits, or null for the CLI's own")
    if config.region is not None and config.region.startswith("cn-"):
        wrong = "China's services answer under other names, which nothing here was made for"
        raise ConfigError("region", wrong, config.region, "a region outside China")
    if config.region is not None and config.region not in REGIONS:
        raise _unknown("region", "not an AWS region", config.region, REGIONS, "one such as us-east-1")
    _one_of("data_retention", config.data_retention, ("retain", "destroy"))


def _check_network(config: "AppConfig") -> None:
    _one_of("network", config.network, ("nat", "isolated"))
    _within("subnet_mask", config.subnet_mask, 18, 28)
    four = f"a network with at least four /{config.subnet_mask}, /16 at most, such as 10.0.0.0/24"
    try:
        network = ipaddress.IPv4Network(config.vpc_cidr)
    except ValueError:
        raise ConfigError("vpc_cidr", "not an IPv4 network", config.vpc_cidr, four) from None
    if str(network) != config.vpc_cidr:  # Python takes 10.0.0.0/255.255.255.0 too, CloudFormation does not
        raise ConfigError("vpc_cidr", "not written as an IPv4 network", config.vpc_cidr, four)
    if not 16 <= network.prefixlen <= config.subnet_mask - 2:
        raise ConfigError("vpc_cidr", f"cannot hold four /{config.subnet_mask}", config.vpc_cidr, four)
    _check_zones(config)
    if config.isolated and config.nat_gateway_count:
        raise ConfigError("nat_gateways", "an isolated network has none", config.nat_gateways, "0 or null")
    if not config.isolated and config.nat_gateway_count not in ((1, 2) if config.emr.enabled else (0, 1, 2)):
        allowed = "1 or 2, or dp.network=isolated"
        raise ConfigError("nat_gateways", "no way out for the private subnets", config.nat_gateways, allowed)


def _check_zones(config: "AppConfig") -> None:
    """Two zones of one region, the one that is deployed to; or none, which means the region's first two."""
    zones = config.availability_zones
    allowed = "two zones of the region, such as us-east-1a,us-east-1c, or none"
    if len(zones) not in (0, 2) or len(set(zones)) != len(zones):
        raise ConfigError("availability_zones", "not two zones", ",".join(zones), allowed)
    regions = {config.region} if config.region else set()
    for i, zone in enumerate(zones):
        match = _ZONE.fullmatch(zone)
        if match is None or match[1] not in REGIONS:
            raise ConfigError(f"availability_zones[{i}]", "no zone of a region", zone, allowed)
        regions.add(match[1])
        if len(regions) > 1:
            allowed = f"two zones of {config.region or zones[0][:-1]}"
            raise ConfigError(f"availability_zones[{i}]", "a zone of another region", zone, allowed)


def _check_storage(config: "AppConfig") -> None:
    storage = config.storage
    _one_of("storage.encryption", storage.encryption, ("s3", "kms"))
    for name in ("log_days", "warehouse_days", "old_version_days"):
        _within(f"storage.{name}", getattr(storage, name), 1, 3650)
    if config.protects_ledger and not config.retains_data:
        allowed = "false or null with dp.data_retention=destroy"
        raise ConfigError("storage.deletion_protection", "what is protected cannot be destroyed", True, allowed)
    for name, pattern, allowed in (
        ("existing_bucket", _BUCKET, "a bucket's name"),
        ("existing_table", _TABLE, "a DynamoDB table's name"),
        ("existing_key", _KEY_ARN, "the ARN of a KMS key"),
    ):
        given = getattr(storage, name)
        if given is not None and not pattern.fullmatch(given):
            raise ConfigError(f"storage.{name}", "no such name", given, f"{allowed}, or null")
        if given is not None and not config.retains_data:
            raise ConfigError(f"storage.{name}", "what is adopted is never destroyed", given, "data_retention=retain")
    adopts = bool(storage.existing_bucket or storage.existing_table)
    if storage.existing_key and not adopts:
        allowed = "together with dp.storage.existing_bucket or existing_table, whose key it is"
        raise ConfigError("storage.existing_key", "nothing has this key", storage.existing_key, allowed)
    if adopts and (storage.encryption == "kms") != (storage.existing_key is not None):
        allowed = "an ARN with dp.storage.encryption=kms, null with s3"
        raise ConfigError("storage.existing_key", "does not fit the encryption", storage.existing_key, allowed)
    for i, uri in enumerate(config.data_locations):
        if not _S3_URI.fullmatch(uri):
            raise ConfigError(f"data_locations[{i}]", "not an S3 URI", uri, "s3://bucket or s3://bucket/prefix")
    for i, arn in enumerate(config.data_kms_keys):
        if not _KEY_ARN.fullmatch(arn):
            raise ConfigError(f"data_kms_keys[{i}]", "not the ARN of a KMS key", arn, "arn:aws:kms:…:key/…")


def _check_glue(config: "AppConfig") -> None:
    glue = config.glue
    if glue.worker_type not in GLUE_WORKER_TYPES:
        raise ConfigError("glue.worker_type", "unknown worker type", glue.worker_type, ", ".join(GLUE_WORKER_TYPES))
    if glue.flex and glue.worker_type not in FLEX_WORKER_TYPES:
        allowed = f"{', '.join(FLEX_WORKER_TYPES)}, or dp.glue.flex=false"
        raise ConfigError("glue.worker_type", "Flex does not take this worker", glue.worker_type, allowed)
    _within("glue.number_of_workers", glue.number_of_workers, 2, 299)
    _within("glue.timeout_minutes", glue.timeout_minutes, 1, 10_080)
    _within("glue.max_concurrent_runs", glue.max_concurrent_runs, 1, 100)
    _one_of("glue.python_modules", glue.python_modules, ("environment", "pins"))
    if config.isolated:
        if glue.python_modules != "environment":
            allowed = "environment in an isolated network"
            raise ConfigError("glue.python_modules", "PyPI is out of reach", glue.python_modules, allowed)
        workers = GLUE_JOBS * glue.max_concurrent_runs * glue.number_of_workers
        nodes = 1 + config.emr.machines.core_count if config.emr.enabled and config.emr.zone == "b" else 0
        if workers + nodes > config.addresses_per_subnet:
            most = max(0, config.addresses_per_subnet - nodes) // (GLUE_JOBS * glue.max_concurrent_runs)
            beside = f" beside the cluster's {nodes} nodes" if nodes else ""
            wrong = (
                f"both jobs' {workers} workers need an address each{beside}, and private-b has "
                f"{config.addresses_per_subnet}"
            )
            allowed = f"at most {most}, fewer dp.glue.max_concurrent_runs, or larger subnets (dp.subnet_mask)"
            raise ConfigError("glue.number_of_workers", wrong, glue.number_of_workers, allowed)


def _check_emr(config: "AppConfig") -> None:
    emr = config.emr
    if emr.release_label not in EMR_RELEASES:
        allowed = f"{', '.join(EMR_RELEASES)} (its Spark and Python are those of the pinned libraries)"
        raise ConfigError("emr.release_label", "unknown release", emr.release_label, allowed)
    _one_of("emr.size", emr.size, tuple(EMR_SIZES))
    _one_of("emr.zone", emr.zone, ("a", "b"))
    _within("emr.generation", emr.generation, 1, 9999)
    for name in ("primary_instance_type", "core_instance_type"):
        given = getattr(emr, name)
        if given is not None and given not in EMR_INSTANCE_TYPES:
            wrong = f"not offered by {emr.release_label} on x86-64"
            raise _unknown(f"emr.{name}", wrong, given, EMR_INSTANCE_TYPES, "one such as m5.4xlarge")
    _within("emr.core_instance_count", emr.machines.core_count, 1, config.addresses_per_subnet - 1)
    _within("emr.idle_timeout_seconds", emr.idle_timeout_seconds, 60, 604_800)
    if not emr.spark:
        raise ConfigError("emr.spark", "every step runs on Spark", False, "true, or dp.emr.enabled=false")
    tls = emr.tls_certificate_s3
    if tls is not None and not (_S3_URI.fullmatch(tls) and tls.endswith(".zip")):
        allowed = "s3://bucket/key.zip with the PEM files, or null"
        raise ConfigError("emr.tls_certificate_s3", "not a certificate's S3 URI", tls, allowed)


def _check_cost(config: "AppConfig") -> None:
    cost = config.cost
    if cost.monthly_limit_usd is not None and not 1 <= cost.monthly_limit_usd <= 10_000_000:
        raise ConfigError("cost.monthly_limit_usd", "out of range", cost.monthly_limit_usd, "1 to 10000000, or null")
    if cost.email is not None and not _EMAIL.fullmatch(cost.email):
        raise ConfigError("cost.email", "not an e-mail address", cost.email, "one address, or null")
    if (cost.email is None) != (cost.monthly_limit_usd is None):
        key = "cost.email" if cost.email is None else "cost.monthly_limit_usd"
        raise ConfigError(key, "an alarm needs amount and address", None, "both of dp.cost, or neither")


def _one_of(key: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ConfigError(key, "unknown value", given, ", ".join(allowed))


def _within(key: str, given: int, least: int, most: int) -> None:
    if not least <= given <= most:
        raise ConfigError(key, "out of range", given, f"{least} to {most}")


def _unknown(key: str, wrong: str, given: str, known: frozenset[str], example: str) -> ConfigError:
    near = difflib.get_close_matches(given, known, n=1)
    return ConfigError(key, wrong, given, f"{example}; did you mean {near[0]!r}?" if near else example)
