"""What the docs tell of the deployment, held against the code."""

import re
from pathlib import Path

from infra.scenarios import scenario

DOCS = Path(__file__).parents[2] / "docs"


def test_every_fixed_argument_is_in_the_security_guide_with_its_reason() -> None:
    text = (DOCS / "security.md").read_text()
    table = text.split("## What the starter of a run cannot change")[1].split("### What it can change")[0]
    told = set(
        re.findall(r"`(--[A-Za-z0-9_-]+)`", "".join(r.split("|")[1] for r in table.splitlines() if r[:3] == "| `"))
    )
    for job in scenario("defaults").bodies("glue", "Glue::Job").values():
        assert told == set(job["Properties"]["NonOverridableArguments"])
