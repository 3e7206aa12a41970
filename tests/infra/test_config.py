"""The configuration: its defaults are cdk.json's, and whatever is wrong with it is told in one line."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from stacks.config.app import INTERFACE_ENDPOINTS, AppConfig
from stacks.config.cost import CostConfig
from stacks.config.emr import EmrConfig
from stacks.config.errors import ConfigError
from stacks.config.glue import GlueConfig
from stacks.config.offers import EMR_INSTANCE_TYPES, GLUE_WORKER_TYPES
from stacks.config.storage import StorageConfig

CDK_JSON = Path(__file__).parents[2] / "cdk.json"
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ENDLESS = "x" * 100_000


def block(**changed: Any) -> dict[str, Any]:
    """The "dp" block of cdk.json with some keys changed; of a block inside it only those that are given."""
    whole = json.loads(CDK_JSON.read_text(encoding="utf-8"))["context"]["dp"]
    for key, value in changed.items():
        whole[key] = {**whole[key], **value} if isinstance(value, Mapping) else value
    return whole


def read(*options: str, **changed: Any) -> AppConfig:
    """What `-c` options, written as on the command line, and changed keys of cdk.json give."""
    flat = dict(option.split("=", 1) for option in options)
    return AppConfig.from_context({"dp": block(**changed), **flat})


def refused(*options: str, **changed: Any) -> str:
    with pytest.raises(ConfigError) as error:
        read(*options, **changed)
    return one_line(error.value)


def one_line(error: ConfigError) -> str:
    text = str(error)
    assert text.isprintable(), ascii(text)
    assert len(text) < 500
    assert text.startswith("dp")
    assert ": given " in text
    assert "; allowed: " in text
    return text


# Defaults


def test_the_defaults_are_those_of_cdk_json() -> None:
    assert json.loads(json.dumps(asdict(AppConfig()))) == block()
    assert read() == AppConfig() == AppConfig.from_context({})


def test_the_defaults_are_the_articles() -> None:
    config = AppConfig()
    assert (config.name_prefix, config.account, config.region) == ("differential-privacy", None, None)
    assert (config.network, config.vpc_cidr, config.subnet_mask) == ("nat", "10.0.0.0/24", 27)
    assert (config.nat_gateway_count, config.isolated) == (1, False)
    assert config.glue == GlueConfig(
        worker_type="G.1X", number_of_workers=10, flex=True, timeout_minutes=720, max_concurrent_runs=1
    )
    assert config.emr == EmrConfig(
        enabled=True,
        generation=1,
        release_label="emr-7.13.0",
        zone="a",
        size="article",
        idle_timeout_seconds=3600,
        spark=True,
        hadoop=True,
        zeppelin=True,
    )
    assert config.emr.machines == ("m5.4xlarge", "m5.4xlarge", 2)
    assert (config.retains_data, config.protects_ledger, config.storage.encryption) == (True, True, "s3")
    assert config.cost == CostConfig(monthly_limit_usd=None, email=None)


def test_what_follows_from_the_rest() -> None:
    config = read("dp.network=isolated")
    assert config.nat_gateway_count == 0
    assert config.interface_endpoints == INTERFACE_ENDPOINTS
    assert read().interface_endpoints == ()
    assert (read().glue.python_modules, read().glue.daemon_logs) == ("environment", False)
    assert not read("dp.data_retention=destroy").protects_ledger
    assert not read("dp.storage.deletion_protection=false").protects_ledger
    assert read().addresses_per_subnet == 27
    assert read("dp.subnet_mask=26").addresses_per_subnet == 59


def test_what_is_said_of_a_machine_wins_over_the_size() -> None:
    assert read("dp.emr.size=small").emr.machines == ("m5.xlarge", "m5.xlarge", 2)
    assert read("dp.emr.core_instance_count=7").emr.machines == ("m5.4xlarge", "m5.4xlarge", 7)
    one = read("dp.emr.size=small", "dp.emr.primary_instance_type=c5.4xlarge")
    assert one.emr.machines == ("c5.4xlarge", "m5.xlarge", 2)
    some = read("dp.emr.size=small", "dp.emr.core_instance_type=r5.4xlarge", "dp.emr.core_instance_count=1")
    assert some.emr.machines == ("m5.xlarge", "r5.4xlarge", 1)
    assert read("dp.emr.size=small", "dp.emr.primary_instance_type=null").emr.machines.primary == "m5.xlarge"


def test_logs_are_never_kept_longer_than_said() -> None:
    for days, kept in ((1, 1), (2, 1), (90, 90), (100, 90), (366, 365), (3650, 3288)):
        assert read(f"dp.storage.log_days={days}").storage.log_group_days == kept


def test_zones_are_two_of_the_region_or_none() -> None:
    two = ("us-east-1c", "us-east-1a")
    assert read("dp.availability_zones=us-east-1c,us-east-1a").availability_zones == two
    assert read("dp.availability_zones=us-east-1c,us-east-1a", "dp.region=us-east-1").availability_zones == two
    assert read(availability_zones=["us-gov-west-1a", "us-gov-west-1b"]).availability_zones[0] == "us-gov-west-1a"
    assert read().availability_zones == ()


def test_it_cannot_be_changed() -> None:
    config = AppConfig()
    for part, name in (
        (config, "region"),
        (config.emr, "enabled"),
        (config.glue, "flex"),
        (config.storage, "log_days"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(part, name, None)
    assert replace(config) == config


# `-c`


@pytest.mark.parametrize(
    ("option", "path", "value"),
    [
        ("dp.emr.enabled=false", "emr.enabled", False),
        ("dp.glue.flex=true", "glue.flex", True),
        ("dp.storage.deletion_protection=null", "storage.deletion_protection", None),
        ("dp.storage.deletion_protection=false", "storage.deletion_protection", False),
        ("dp.nat_gateways=2", "nat_gateways", 2),
        ("dp.nat_gateways=null", "nat_gateways", None),
        ("dp.glue.number_of_workers=0012", "glue.number_of_workers", 12),
        ("dp.account=012345678901", "account", "012345678901"),  # text, though it looks like a number
        ("dp.region=eu-central-1", "region", "eu-central-1"),
        ("dp.region=null", "region", None),
        ("dp.data_locations=s3://one,s3://two/a=b/", "data_locations", ("s3://one", "s3://two/a=b/")),
        ("dp.data_locations=s3://one,", "data_locations", ("s3://one",)),
        ("dp.data_locations=", "data_locations", ()),
        (f"dp.data_kms_keys={KEY}", "data_kms_keys", (KEY,)),
    ],
)
def test_an_option_is_read_as_its_keys_type(option: str, path: str, value: object) -> None:
    found: Any = read(option)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_floats_and_their_partner() -> None:
    for text, value in (("100", 100.0), ("99.5", 99.5)):
        found = read(f"dp.cost.monthly_limit_usd={text}", "dp.cost.email=me@example.org").cost
        assert found == CostConfig(monthly_limit_usd=value, email="me@example.org")
    assert read(cost={"monthly_limit_usd": 100, "email": "me+aws@example.org"}).cost.monthly_limit_usd == 100


def test_an_option_wins_over_cdk_json() -> None:
    assert not read("dp.emr.enabled=false", emr={"enabled": True}).emr.enabled
    assert read("dp.emr.size=small", emr={"size": "article"}).emr.machines.core == "m5.xlarge"


def test_other_context_is_none_of_our_business() -> None:
    theirs = {"@aws-cdk/core:x": True, "availability-zones:account=1:region=x": ["x"], "dpx.y": "1", "aws:cdk:a.b": 1}
    assert AppConfig.from_context(theirs) == AppConfig()


# Bad input: the value, then what the one line must hold


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["dp.vpc_cidr=10.0.0.0/26"], ["dp.vpc_cidr", "four /27", "'10.0.0.0/26'", "10.0.0.0/24"]),
        (["dp.vpc_cidr=10.0.0.0/8"], ["dp.vpc_cidr", "/16 at most"]),
        (["dp.vpc_cidr=10.0.0.7/24"], ["dp.vpc_cidr", "not an IPv4 network"]),
        (["dp.vpc_cidr=10.0.0.0/255.255.255.0"], ["dp.vpc_cidr", "not written as"]),
        (["dp.vpc_cidr=fd00::/64"], ["dp.vpc_cidr", "not an IPv4 network"]),
        (["dp.subnet_mask=29"], ["dp.subnet_mask", "'29'", "18 to 28"]),
        (["dp.region=eu-central-9"], ["dp.region", "'eu-central-9'", "did you mean 'eu-central-"]),
        (["dp.region=cn-north-1"], ["dp.region", "'cn-north-1'", "outside China"]),
        (["dp.availability_zones=us-east-1a"], ["dp.availability_zones", "'us-east-1a'", "two zones"]),
        (["dp.availability_zones=us-east-1a,us-east-1a"], ["dp.availability_zones", "not two zones"]),
        (["dp.availability_zones=us-east-1a,us-east-1b,us-east-1c"], ["dp.availability_zones", "not two zones"]),
        (["dp.availability_zones=us-east-1a,us-east-1"], ["dp.availability_zones[1]", "'us-east-1'", "no zone"]),
        (["dp.availability_zones=use1-az1,use1-az2"], ["dp.availability_zones[0]", "'use1-az1'", "us-east-1a"]),
        (["dp.availability_zones=us-east-1-bos-1a,us-east-1a"], ["dp.availability_zones[0]", "no zone"]),
        (["dp.availability_zones=cn-north-1a,cn-north-1b"], ["dp.availability_zones[0]", "no zone"]),
        (
            ["dp.availability_zones=us-east-1a,us-west-2b"],
            ["dp.availability_zones[1]", "'us-west-2b'", "another region", "us-east-1"],
        ),
        (
            ["dp.region=eu-west-1", "dp.availability_zones=us-east-1a,us-east-1b"],
            ["dp.availability_zones[0]", "another region", "eu-west-1"],
        ),
        (["dp.region=Frankfurt"], ["dp.region", "'Frankfurt'", "us-east-1"]),
        (["dp.account=12345"], ["dp.account", "'12345'", "12 digits"]),
        (["dp.account=" + "١" * 12], ["dp.account", "12 digits"]),  # digits, but not ours
        (["dp.glue.worker_type=G.3X"], ["dp.glue.worker_type", "'G.3X'", *GLUE_WORKER_TYPES]),
        (["dp.glue.worker_type=G.4X"], ["dp.glue.worker_type", "Flex", "'G.4X'", "G.1X, G.2X", "dp.glue.flex=false"]),
        (["dp.glue.number_of_workers=0"], ["dp.glue.number_of_workers", "'0'", "2 to 299"]),
        (["dp.glue.timeout_minutes=10081"], ["dp.glue.timeout_minutes", "1 to 10080"]),
        (["dp.glue.max_concurrent_runs=0"], ["dp.glue.max_concurrent_runs", "1 to 100"]),
        (["dp.glue.daemon_logs=yes"], ["dp.glue.daemon_logs", "true or false"]),
        (["dp.glue.python_modules=poetry"], ["dp.glue.python_modules", "environment, pins"]),
        (["dp.emr.release_label=emr-6.9.0"], ["dp.emr.release_label", "'emr-6.9.0'", "emr-7.13.0"]),
        (["dp.emr.core_instance_type=m6g.xlarge"], ["dp.emr.core_instance_type", "'m6g.xlarge'", "did you mean"]),
        (["dp.emr.primary_instance_type=potato"], ["dp.emr.primary_instance_type", "emr-7.13.0", "m5.4xlarge"]),
        (["dp.emr.core_instance_count=0"], ["dp.emr.core_instance_count", "1 to 26"]),
        (["dp.emr.idle_timeout_seconds=59"], ["dp.emr.idle_timeout_seconds", "'59'", "60 to 604800"]),
        (["dp.emr.idle_timeout_seconds=604801"], ["dp.emr.idle_timeout_seconds", "60 to 604800"]),
        (["dp.emr.tls_certificate_s3=s3://bucket/x.pem"], ["dp.emr.tls_certificate_s3", ".zip"]),
        (["dp.emr.spark=false"], ["dp.emr.spark", "'false'", "every step runs on Spark", "dp.emr.enabled=false"]),
        (["dp.emr.size=large"], ["dp.emr.size", "'large'", "article, small"]),
        (["dp.emr.zone=c"], ["dp.emr.zone", "'c'", "a, b"]),
        (["dp.emr.generation=0"], ["dp.emr.generation", "'0'", "1 to 9999"]),
        (
            ["dp.network=isolated", "dp.emr.zone=b", "dp.glue.number_of_workers=13"],
            ["dp.glue.number_of_workers", "26 workers", "beside the cluster's 3 nodes", "27", "at most 12"],
        ),
        (["dp.network=vpn"], ["dp.network", "'vpn'", "nat, isolated"]),
        (["dp.network=isolated", "dp.nat_gateways=1"], ["dp.nat_gateways", "'1'", "isolated", "0 or null"]),
        (["dp.nat_gateways=0"], ["dp.nat_gateways", "'0'", "1 or 2", "dp.network=isolated"]),
        (["dp.nat_gateways=3"], ["dp.nat_gateways", "'3'", "1 or 2"]),
        (
            ["dp.network=isolated", "dp.glue.number_of_workers=14"],
            ["dp.glue.number_of_workers", "28 workers", "27", "'14'", "at most 13"],
        ),
        (
            ["dp.network=isolated", "dp.glue.max_concurrent_runs=14"],
            ["280 workers", "fewer dp.glue.max_concurrent_runs", "dp.subnet_mask"],
        ),
        (["dp.network=isolated", "dp.glue.python_modules=pins"], ["dp.glue.python_modules", "'pins'", "environment"]),
        (["dp.data_retention=keep"], ["dp.data_retention", "'keep'", "retain, destroy"]),
        (
            ["dp.data_retention=destroy", "dp.storage.deletion_protection=true"],
            ["dp.storage.deletion_protection", "'true'", "dp.data_retention=destroy"],
        ),
        (
            ["dp.data_retention=destroy", "dp.storage.existing_table=ledger"],
            ["dp.storage.existing_table", "'ledger'", "data_retention=retain"],
        ),
        (["dp.storage.encryption=aes"], ["dp.storage.encryption", "'aes'", "s3, kms"]),
        (["dp.storage.log_days=0"], ["dp.storage.log_days", "1 to 3650"]),
        (["dp.storage.existing_bucket=No_Bucket"], ["dp.storage.existing_bucket", "a bucket's name"]),
        (["dp.storage.existing_bucket=a..b"], ["dp.storage.existing_bucket", "a bucket's name"]),
        (["dp.storage.existing_table=a b"], ["dp.storage.existing_table", "a DynamoDB table's name"]),
        (["dp.storage.existing_key=alias/x"], ["dp.storage.existing_key", "the ARN of a KMS key"]),
        ([f"dp.storage.existing_key={KEY}"], ["dp.storage.existing_key", "dp.storage.existing_bucket"]),
        (
            ["dp.storage.existing_bucket=mine", "dp.storage.encryption=kms"],
            ["dp.storage.existing_key", "'null'", "dp.storage.encryption=kms"],
        ),
        (["dp.data_locations=s3://good,http://x"], ["dp.data_locations[1]", "'http://x'", "s3://bucket/prefix"]),
        (["dp.data_locations=s3://bucket/*"], ["dp.data_locations[0]", "s3://bucket/prefix"]),
        (["dp.data_locations=bucket"], ["dp.data_locations[0]", "'bucket'"]),
        (["dp.data_kms_keys=arn:aws-cn:kms:cn-north-1:111122223333:key/x"], ["dp.data_kms_keys[0]", "arn:aws:kms"]),
        (["dp.data_kms_keys=my-key"], ["dp.data_kms_keys[0]", "'my-key'"]),
        (["dp.name_prefix=Differential"], ["dp.name_prefix", "'Differential'", "small letters"]),
        (["dp.name_prefix=" + "a" * 41], ["dp.name_prefix", "2 to 40"]),
        (["dp.name_prefix=dp-errors"], ["dp.name_prefix", "'dp-errors'", "without the word error"]),
        (["dp.cost.email=me@example.org"], ["dp.cost.monthly_limit_usd", "'null'", "both"]),
        (["dp.cost.monthly_limit_usd=10"], ["dp.cost.email", "'null'", "both"]),
        (["dp.cost.monthly_limit_usd=0", "dp.cost.email=me@example.org"], ["dp.cost.monthly_limit_usd", "1 to"]),
        (["dp.cost.monthly_limit_usd=10", "dp.cost.email=me"], ["dp.cost.email", "'me'"]),
        (["dp.cost.monthly_limit_usd=10", "dp.cost.email=a@b.c,d@e.f"], ["dp.cost.email", "one address"]),
        (["dp.notice.email=me"], ["dp.notice.email", "'me'", "one address, or null"]),
        (["dp.notice.email=a@b.c,d@e.f"], ["dp.notice.email", "one address"]),
        (["dp.trail.keep_days=0"], ["dp.trail.keep_days", "1 to 3650"]),
        (["dp.trail.enabled=on"], ["dp.trail.enabled", "'on'", "true or false"]),
        # types
        (["dp.emr.enabled=yes"], ["dp.emr.enabled", "'yes'", "true or false"]),
        (["dp.emr.enabled=False"], ["dp.emr.enabled", "'False'", "true or false"]),
        (["dp.emr.enabled=null"], ["dp.emr.enabled", "'null'", "true or false"]),
        (["dp.glue.number_of_workers=ten"], ["dp.glue.number_of_workers", "'ten'", "a whole number"]),
        (["dp.glue.number_of_workers=10.0"], ["dp.glue.number_of_workers", "'10.0'", "a whole number"]),
        (["dp.glue.number_of_workers=1e1"], ["dp.glue.number_of_workers", "a whole number"]),
        (["dp.nat_gateways="], ["dp.nat_gateways", "''", "a whole number, or null"]),
        (["dp.cost.monthly_limit_usd=1e9"], ["dp.cost.monthly_limit_usd", "'1e9'", "a number, or null"]),
        (["dp.cost.monthly_limit_usd=nan"], ["dp.cost.monthly_limit_usd", "'nan'", "a number, or null"]),
        # keys
        (["dp.vpc_cdir=10.0.0.0/24"], ["dp.vpc_cdir:", "unknown key", "did you mean 'vpc_cidr'?"]),
        (["dp.emr.enable=false"], ["dp.emr.enable:", "unknown key", "did you mean 'enabled'?", "release_label"]),
        (["dp.gleu.flex=false"], ["dp.gleu.flex", "unknown key", "did you mean 'glue'?"]),
        (["dp.emr=false"], ["dp.emr:", "a block", "'false'", "dp.emr.enabled"]),
        (["dp.region.name=x"], ["dp.region.name", "dp.region has no keys"]),
        (["dp.=x"], ["unknown key", "''", "name_prefix"]),
        (["dp.emr.=x"], ["dp.emr.:", "unknown key", "enabled"]),
        (["dp=x"], ["dp: not a block", "'x'"]),
        (["network=isolated"], ["dp.network", "without its dp.", "'network'"]),
        (["emr.enabled=false"], ["dp.emr.enabled", "without its dp.", "'emr.enabled'"]),
    ],
    ids=lambda value: " ".join(value)[:60].encode("ascii", "replace").decode() if isinstance(value, list) else None,
)
def test_bad_input_is_one_line_with_key_value_and_what_is_allowed(options: list[str], parts: list[str]) -> None:
    line = refused(*options)
    assert [part for part in parts if part not in line] == [], line


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"glue": {"number_of_workers": "10"}}, ["dp.glue.number_of_workers", "'10'", "a whole number"]),
        ({"glue": {"number_of_workers": True}}, ["dp.glue.number_of_workers", "'true'", "a whole number"]),
        ({"glue": {"number_of_workers": 10.0}}, ["dp.glue.number_of_workers", "'10.0'", "a whole number"]),
        ({"glue": {"number_of_workers": None}}, ["dp.glue.number_of_workers", "'null'", "a whole number"]),
        ({"emr": {"enabled": "false"}}, ["dp.emr.enabled", "'false'", "true or false"]),
        ({"emr": {"enabled": 0}}, ["dp.emr.enabled", "'0'", "true or false"]),
        ({"account": 111122223333}, ["dp.account", "'111122223333'", "text, or null"]),
        ({"region": ["us-east-1"]}, ["dp.region", "text, or null"]),
        ({"data_locations": "s3://bucket"}, ["dp.data_locations", "'s3://bucket'", "a list of texts"]),
        ({"data_locations": ["s3://bucket", 1]}, ["dp.data_locations", "a list of texts"]),
        ({"data_locations": None}, ["dp.data_locations", "'null'", "a list of texts"]),
        (
            {"cost": {"monthly_limit_usd": True, "email": "a@b.cd"}},
            ["dp.cost.monthly_limit_usd", "a number, or null"],
        ),
        ({"cost": {"monthly_limit_usd": float("nan"), "email": "a@b.cd"}}, ["dp.cost.monthly_limit_usd", "1 to"]),
        ({"cost": {"monthly_limit_usd": float("inf"), "email": "a@b.cd"}}, ["dp.cost.monthly_limit_usd", "1 to"]),
        ({"emr": None}, ["dp.emr:", "'null'", "enabled"]),
        ({"emr": []}, ["dp.emr:", "'[]'", "enabled"]),
        (
            {"emr": {"master_instance_type": "x"}},
            ["dp.emr.master_instance_type", "did you mean 'primary_instance_type'?"],
        ),
        ({"natgateways": 1}, ["dp.natgateways", "did you mean 'nat_gateways'?"]),
        ({"network": {"a": {"b": []}}}, ["dp.network", "text"]),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_a_wrong_type_in_cdk_json_is_refused(changed: dict[str, Any], parts: list[str]) -> None:
    whole = block()
    for key, value in changed.items():
        whole[key] = (
            {**whole[key], **value} if isinstance(value, dict) and isinstance(whole.get(key), dict) else value
        )
    with pytest.raises(ConfigError) as error:
        AppConfig.from_context({"dp": whole})
    line = one_line(error.value)
    assert [part for part in parts if part not in line] == [], line


def test_what_is_not_deployed_is_still_checked() -> None:
    assert "dp.emr.core_instance_type" in refused("dp.emr.enabled=false", "dp.emr.core_instance_type=x")


# Hostile values: no other exception than ConfigError, and always one short line

KNOT: list[Any] = []
KNOT.append(KNOT)
DEEP: Any = {}
for _ in range(5000):
    DEEP = {"a": DEEP}
HOSTILE = {
    "nothing": "",
    "space": " ",
    "lines": "a\nb\r\nc\u2028d\x85e\x0bf",
    "zero byte": "\x00",
    "escape": "\x1b[31mred\x1b[0m",
    "right to left": "\u202eabc",
    "half a character": "\ud800",
    "outside the first plane": "\U0010ffff" * 500,
    "quotes": "'\"`${x}%s{0}\\",
    "endless": ENDLESS,
    "endless spaces": " " * 100_000 + "x",
    "other digits": "１２",
    "minus zero": "-0",
    "minus one": "-1",
    "exponent": "1e9",
    "long number": "9" * 5000,
    "null": "null",
    "true": "true",
    "nan": "NaN",
    "path": "../../etc/passwd",
    "none": None,
    "truth": True,
    "number": -(10**30),
    "no number to print": 10**5000,
    "float": 1e9,
    "minus zero, float": -0.0,
    "endless float": float("-inf"),
    "list": [],
    "list of anything": [None, {}, 1, "\n"],
    "dict": {"enabled": {"enabled": {}}},
    "deep": DEEP,
    "knot": KNOT,
    "object": object(),
    "bytes": b"\xff",
}


def leaves(part: type, at: str = "") -> list[str]:
    """All keys of the configuration, as `-c` writes them."""
    found = []
    for name, given in ((f.name, getattr(part(), f.name)) for f in fields(part)):
        found += leaves(type(given), f"{at}{name}.") if is_dataclass(given) else [at + name]
    return found


KEYS = leaves(AppConfig)


def tried(context: Mapping[str, Any]) -> None:
    try:
        config = AppConfig.from_context(context)
    except ConfigError as error:
        one_line(error)
    else:
        for text in (
            v for v in [config.name_prefix, config.vpc_cidr, config.cost.email, *config.data_locations] if v
        ):
            assert text.isprintable()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values(name: str) -> None:
    value = HOSTILE[name]
    for key in KEYS:
        tried({f"dp.{key}": value})
        *parents, last = key.split(".")
        tried({"dp": {parents[0]: {last: value}} if parents else {last: value}})
    for key in ("storage", "glue", "emr", "cost"):
        tried({f"dp.{key}": value})
        tried({"dp": {key: value}})
    tried({"dp": value})
    for key in ("data_locations", "data_kms_keys"):
        tried({"dp": {key: [value]}})


@pytest.mark.parametrize("name", [name for name, value in HOSTILE.items() if isinstance(value, str)])
def test_hostile_keys(name: str) -> None:
    key: Any = HOSTILE[name]
    for context in ({f"dp.{key}": "1"}, {f"dp.emr.{key}": "1"}, {f"dp.{key}.emr": "1"}, {f"emr.{key}": "1"}):
        with pytest.raises(ConfigError) as error:
            AppConfig.from_context(context)
        one_line(error.value)
    for given in ({key: 1}, {"emr": {key: 1}}):
        with pytest.raises(ConfigError) as error:
            AppConfig.from_context({"dp": given})
        one_line(error.value)


def test_hostile_pairs() -> None:
    """Two wrong things at once: the checks that look at two keys stand it, too."""
    some = ["", "null", "true", "isolated", "destroy", "16"]
    for one, other in itertools.combinations(KEYS, 2):
        for value, partner in zip(some, some[3:] + some[:3], strict=True):
            tried({f"dp.{one}": value, f"dp.{other}": partner})


def test_all_that_is_known_is_taken() -> None:
    for instance_type in EMR_INSTANCE_TYPES:
        assert read(f"dp.emr.core_instance_type={instance_type}").emr.core_instance_type == instance_type
    for worker in GLUE_WORKER_TYPES:
        assert read(f"dp.glue.worker_type={worker}", "dp.glue.flex=false").glue.worker_type == worker
    kept = "dp.storage.existing_bucket=mine", "dp.storage.encryption=kms", f"dp.storage.existing_key={KEY}"
    assert read(*kept).storage == StorageConfig(existing_bucket="mine", encryption="kms", existing_key=KEY)
