"""What the docs tell of the deployment, held against the code."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

from stacks.config.app import AppConfig

from infra.scenarios import scenario

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_in_the_operations_guide_with_its_default() -> None:
    table = (DOCS / "operations.md").read_text().split("### What can be configured")[1].split("###")[0]
    named = [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in table.splitlines() if row.startswith("| `")]
    told = set()
    for names in named:
        block = names[0].rpartition(".")[0]
        told |= {f"{block}{name}" if name.startswith(".") else name for name in names}
    config = AppConfig()
    keys = set()
    for field in fields(config):
        value = getattr(config, field.name)
        keys |= {f"{field.name}.{f.name}" for f in fields(value)} if is_dataclass(value) else {field.name}
    assert told == keys


def test_every_fixed_argument_is_in_the_security_guide_with_its_reason() -> None:
    text = (DOCS / "security.md").read_text()
    table = text.split("## What the starter of a run cannot change")[1].split("### What it can change")[0]
    told = set(
        re.findall(r"`(--[A-Za-z0-9_-]+)`", "".join(r.split("|")[1] for r in table.splitlines() if r[:3] == "| `"))
    )
    for job in scenario("defaults").bodies("glue", "Glue::Job").values():
        assert told == set(job["Properties"]["NonOverridableArguments"])
