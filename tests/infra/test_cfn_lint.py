"""CloudFormation's own schemas (cfn-lint) over every template of the scenarios, each distinct one once."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.scenarios import SNAPSHOTS, scenario

IGNORED = {
    "W3005": "a DependsOn that a reference implies already: the CDK writes it, and it does no harm",
    "W6001": "an output made of an import: a step's words name the bucket and the table of another stack on purpose",
}
SCENARIOS = (
    *SNAPSHOTS,
    "kms",
    "tls",
    "alarm",
    "locations",
    "adopted",
    "sized",
    "trail-destroy",
)  # in the others only values differ
PLANTED = ("E3002", "E3030", "E1010")


def complaints(*templates: Path) -> dict[str, list[str]]:
    """What cfn-lint says, in one process because its start is slow: rules and messages by the file's name."""
    words = ["--format", "json", "--regions", "us-east-1", "--ignore-checks", *IGNORED, "--", *map(str, templates)]
    command = Path(sys.executable).parent / "cfn-lint"
    done = subprocess.run([command, *words], capture_output=True, text=True, timeout=600, check=False)
    assert done.stderr == ""
    said: dict[str, list[str]] = {path.stem: [] for path in templates}
    for each in json.loads(done.stdout):
        place = ".".join(map(str, each["Location"]["Path"]))
        said[Path(each["Filename"]).stem].append(f"{each['Rule']['Id']} {place}: {each['Message']}")
    return said


def planted(kind: str, **properties: Any) -> str:
    """The storage stack with something wrong in one resource."""
    template = copy.deepcopy(scenario("defaults").templates["storage"])
    (body,) = [each for each in template["Resources"].values() if each["Type"] == kind]
    body["Properties"] |= properties
    return json.dumps(template)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What cfn-lint says of the templates, and of some with a planted error, which bear the rule's name."""
    texts = {
        json.dumps(template): f"{which}-{stack}"
        for which in SCENARIOS
        for stack, template in scenario(which).templates.items()
    }
    assert len(texts) > 20
    texts[planted("AWS::S3::Bucket", Colour="red")] = "E3002"
    texts[planted("AWS::DynamoDB::Table", TableClass="FREE")] = "E3030"
    texts[planted("AWS::S3::Bucket", BucketName={"Fn::GetAtt": ["Nobody", "Name"]})] = "E1010"
    folder = tmp_path_factory.mktemp("templates")
    for text, name in texts.items():
        (folder / f"{name}.json").write_text(text)
    return complaints(*folder.iterdir())


def test_cloudformation_would_take_every_template(said: dict[str, list[str]]) -> None:
    assert {name: what for name, what in said.items() if what and name not in PLANTED} == {}


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_error_is_found(rule: str, said: dict[str, list[str]]) -> None:
    assert [what.split()[0] for what in said[rule]] == [rule]
