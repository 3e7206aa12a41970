"""The deployments that the tests look at, each synthesized once a session, all in one Node process."""

import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import app as cdk_app
from aws_cdk import App
from stacks.config.app import AppConfig
from tools import environment, pins

from infra.iam import Account
from infra.intrinsics import Templates

ROOT = Path(__file__).parents[2]
STACKS = ("network", "storage", "glue", "emr", "ask")
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
LONG_PREFIX = "a" + "-b" * 19 + "c"
SNAPSHOTS: dict[str, dict[str, str]] = {
    "defaults": {},
    "isolated": {"dp.network": "isolated"},
    "emr-off": {"dp.emr.enabled": "false"},
    "destroy": {"dp.data_retention": "destroy"},
    "notice": {"dp.notice.email": "owner@example.org", "dp.trail.enabled": "true"},
}
"""The options of `-c` that make each scenario out of cdk.json as it is; these have snapshots."""
OPTIONS = SNAPSHOTS | {
    "kms": {"dp.storage.encryption": "kms"},
    "kms-destroy": {"dp.storage.encryption": "kms", "dp.data_retention": "destroy"},
    "isolated-kms": {"dp.network": "isolated", "dp.storage.encryption": "kms"},
    "adopted": {"dp.storage.existing_bucket": "kept-bucket", "dp.storage.existing_table": "kept-table"},
    "adopted-kms": {
        "dp.storage.encryption": "kms",
        "dp.storage.existing_bucket": "kept-bucket",
        "dp.storage.existing_table": "kept-table",
        "dp.storage.existing_key": KEY,
    },
    "adopted-isolated": {"dp.network": "isolated", "dp.storage.existing_bucket": "kept-bucket"},
    "tls": {"dp.emr.tls_certificate_s3": "s3://certificates/emr/pem.zip"},
    "bound": {"dp.account": "444455556666", "dp.region": "eu-central-1"},
    "alarm": {"dp.cost.monthly_limit_usd": "50", "dp.cost.email": "owner@example.org"},
    "locations": {"dp.data_locations": "s3://census-tables/2017/tracts/,s3://open-data", "dp.data_kms_keys": KEY},
    "two-nat": {"dp.nat_gateways": "2"},
    "large": {"dp.vpc_cidr": "10.20.0.0/20", "dp.subnet_mask": "22", "dp.name_prefix": "other"},
    "small": {
        "dp.emr.size": "small",
        "dp.emr.zone": "b",
        "dp.emr.generation": "3",
        "dp.region": "eu-central-1",
        "dp.availability_zones": "eu-central-1c,eu-central-1a",
    },
    "adopted-kms-longest": {
        "dp.name_prefix": LONG_PREFIX,
        "dp.network": "isolated",
        "dp.storage.encryption": "kms",
        "dp.storage.existing_bucket": "b" * 63,
        "dp.storage.existing_table": "t" * 255,
        "dp.storage.existing_key": KEY,
        "dp.emr.tls_certificate_s3": f"s3://{'c' * 63}/{'k' * 200}.zip",
        "dp.cost.monthly_limit_usd": "10000000",
        "dp.cost.email": f"{'owner' * 12}@{'example' * 8}.org",
        "dp.notice.email": f"{'owner' * 12}@{'example' * 8}.org",
        "dp.trail.enabled": "true",
    },
    "ask-off": {"dp.ask.enabled": "false"},
    "trail-destroy": {"dp.trail.enabled": "true", "dp.trail.keep_days": "30", "dp.data_retention": "destroy"},
    "pins": {"dp.glue.python_modules": "pins"},
    "loud": {"dp.glue.daemon_logs": "true"},
    "sized": {
        "dp.glue.flex": "false",
        "dp.glue.worker_type": "G.4X",
        "dp.glue.number_of_workers": "3",
        "dp.glue.timeout_minutes": "60",
        "dp.glue.max_concurrent_runs": "2",
        "dp.emr.zeppelin": "false",
        "dp.emr.hadoop": "false",
        "dp.emr.size": "small",
        "dp.emr.primary_instance_type": "m5.2xlarge",
        "dp.emr.core_instance_type": "r5.2xlarge",
        "dp.emr.core_instance_count": "4",
        "dp.emr.idle_timeout_seconds": "600",
        "dp.storage.log_days": "10",
        "dp.storage.warehouse_days": "2",
        "dp.storage.old_version_days": "3",
        "dp.storage.deletion_protection": "false",
    },
}
"""The others are there for what is asserted about them."""

Found = dict[str, dict[str, Any]]


class Scenario(NamedTuple):
    """What one synth wrote: the templates by the stack's short name, and where they lie."""

    templates: dict[str, dict[str, Any]]
    folder: Path

    def bodies(self, stack: str, kind: str) -> Found:
        """The resources of one type by logical id, e.g. ("storage", "S3::Bucket")."""
        resources = self.templates[stack]["Resources"]
        return {key: body for key, body in resources.items() if body["Type"] == f"AWS::{kind}"}

    def all(self, stack: str, kind: str) -> Found:
        """The same with their properties only."""
        return {key: body.get("Properties", {}) for key, body in self.bodies(stack, kind).items()}

    def only(self, stack: str, kind: str) -> dict[str, Any]:
        """The properties of the one resource of this type."""
        (found,) = self.all(stack, kind).values()
        return found

    def resolved(self, stack: str, value: Any) -> Any:
        """The value without intrinsics, in the account 111122223333 and eu-west-1."""
        return Templates(self.templates, "111122223333", "eu-west-1", "aws").resolve(stack, value)

    def account(self, managed: dict[str, Any] | None = None) -> Account:
        return Account.from_templates(self.templates, managed=managed)

    def metadata(self) -> Iterator[tuple[str, str, Any]]:
        """What constructs say of themselves: path, type, data."""
        for path in sorted(self.folder.glob("*.metadata.json")):
            for construct, entries in json.loads(path.read_text()).items():
                for entry in entries:
                    yield construct, entry["type"], entry.get("data")

    def assets(self, stack: str) -> dict[str, Path]:
        """The files that a stack deploys, by the part of the stack that they are for."""
        listed = json.loads((self.folder / f"{stack}.assets.json").read_text())["files"]
        return {
            file["displayName"].removeprefix(f"{stack}/"): self.folder / file["source"]["path"]
            for file in listed.values()
            if not file["source"]["path"].endswith(".template.json")
        }


def pack_nothing(folder: Path, requirements: Path = pins.CLUSTER, text: str = "") -> None:
    """Make a packed environment that holds one text, as `make environment` would of this list."""
    (folder / "wheels").mkdir()
    with zipfile.ZipFile(folder / "wheels" / "nothing-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nothing.py", text)
    content = environment._pack(folder / "wheels", folder / environment.ARCHIVE)
    facts = environment.Packed(
        environment._source(requirements), content, environment._digest(folder / environment.ARCHIVE)
    )
    (folder / environment.FACTS).write_text(json.dumps(asdict(facts)))


def context(options: dict[str, str]) -> dict[str, Any]:
    return json.loads((ROOT / "cdk.json").read_text())["context"] | options


def synthesize(options: dict[str, str], change: Callable[[App], None] = lambda app: None) -> Scenario:
    """Synthesize cdk.json with these options of `-c`; `change` may touch the app before."""
    given = context(options)
    folder = Path(tempfile.mkdtemp(dir=Outputs.folder))
    app = App(context=given, outdir=str(folder))
    cdk_app.build(app, AppConfig.from_context(given))
    change(app)
    app.synth()
    return read(folder)


def read(folder: Path) -> Scenario:
    """The scenario that an assembly holds."""
    found = {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.glob("*.template.json")}
    return Scenario(found, folder)


class Outputs:
    """Where assemblies are written: conftest.py names the session's own folder."""

    folder: Path | None = None


@cache
def scenario(name: str) -> Scenario:
    """A scenario by its name; nobody may change what it holds (copy.deepcopy first)."""
    return synthesize(OPTIONS[name])


def masked(found: Scenario, stack: str) -> str:
    """A template as sorted JSON; a file's hash is replaced by what the file is for, so that its change is no news."""
    files = json.loads((found.folder / f"{stack}.assets.json").read_text())["files"]
    names = {key.split(".")[0]: "<" + file["displayName"] + ">" for key, file in files.items()}
    text = re.sub(r"[0-9a-f]{64}", lambda match: names.get(match[0], "<hash>"), json.dumps(found.templates[stack]))
    whole = json.loads(text, object_hook=_sorted_resources)
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _sorted_resources(part: dict[str, Any]) -> dict[str, Any]:
    """A statement's resources by their masked names: the CDK sorts them by the files' hashes."""
    if "Effect" in part and isinstance(part.get("Resource"), list):
        part["Resource"].sort(key=json.dumps)
    return part
