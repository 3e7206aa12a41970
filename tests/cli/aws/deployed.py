"""What the parameter of the EMR stack keeps when the snapshots are deployed to the account of a moto server."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from infra.intrinsics import Templates

SNAPSHOTS = Path(__file__).parents[2] / "infra" / "snapshots" / "defaults"
PREFIX = "differential-privacy"


@cache
def _request() -> str:
    stacks = {path.stem: json.loads(path.read_text()) for path in SNAPSHOTS.glob("*.json")}
    templates = Templates(stacks, "123456789012", "us-east-1", "aws")
    (parameter,) = [
        body["Properties"] for body in stacks["emr"]["Resources"].values() if body["Type"] == "AWS::SSM::Parameter"
    ]
    return str(templates.resolve("emr", parameter["Value"]))


def request() -> dict[str, Any]:
    """The request of RunJobFlow with the defaults; each call gives one of its own."""
    whole: dict[str, Any] = json.loads(_request())
    return whole


def template(value: str) -> dict[str, Any]:
    """A stack that keeps this value, as PREFIX-emr keeps its request."""
    parameter = {"Name": "cluster-definition", "Type": "String", "Value": value}
    return {
        "Resources": {"Definition": {"Type": "AWS::SSM::Parameter", "Properties": parameter}},
        "Outputs": {"ClusterDefinition": {"Value": {"Ref": "Definition"}}},
    }
