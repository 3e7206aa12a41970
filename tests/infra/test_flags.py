"""The CDK's feature flags: all are set, to what the CDK recommends or for a reason of ours to something else.

A flag that is set after the first deployment may replace what is deployed.
"""

import json
from typing import Any

from infra.scenarios import ROOT, scenario

OTHERWISE: dict[str, tuple[Any, str]] = {
    "@aws-cdk/core:defaultCrossStackReferences": (
        "strong",
        "CloudFormation then takes nothing back that another stack uses; and moto, our server, knows no other",
    ),
    "@aws-cdk/core:target-partitions": (["aws", "aws-us-gov"], "China is refused, GovCloud is not"),
    "@aws-cdk/aws-ec2:restrictDefaultSecurityGroup": (
        False,
        "brings a function with rights on security groups; docs/security.md says what to do instead",
    ),
    "@aws-cdk/core:enableAdditionalMetadataCollection": (False, "tells AWS how constructs are used; nothing is told"),
}
"""Flags that are not as recommended, and why."""


def flags() -> dict[str, dict[str, Any]]:
    """The CDK's own report of every flag that it knows."""
    manifest = json.loads((scenario("defaults").folder / "manifest.json").read_text())
    found: dict[str, dict[str, Any]] = manifest["artifacts"]["aws-cdk-lib/feature-flag-report"]["properties"]["flags"]
    return found


def test_every_flag_is_set_and_as_recommended_but_for_a_reason() -> None:
    known = flags()
    assert len(known) > 100
    assert [name for name, flag in known.items() if "userValue" not in flag] == []
    other = {name: flag["userValue"] for name, flag in known.items() if flag["userValue"] != flag["recommendedValue"]}
    assert other == {name: value for name, (value, _) in OTHERWISE.items()}


def test_no_flag_is_set_that_the_cdk_no_longer_knows() -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    assert {name for name in context if name.startswith("@aws-cdk")} == set(flags())
