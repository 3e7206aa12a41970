"""AWS's own rules (cdk-nag's AwsSolutions): kept, or departed from with a reason that docs/security.md repeats."""

import json
import re
from pathlib import Path

import pytest
from aws_cdk import App, Stack, Validations
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks
from stacks import nag_exceptions

from infra import scenarios
from infra.scenarios import OPTIONS, ROOT, STACKS, scenario, synthesize

HEADING = "## Where we depart from AWS's rules"
Row = tuple[str, str, str]


def check(app: App) -> None:
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def findings(folder: Path) -> set[tuple[str, str]]:
    """What cdk-nag found, as (rule, construct), out of the one report below this folder."""
    (report,) = folder.rglob("validation-report.json")
    return {
        (violation["ruleName"], construct["constructPath"])
        for plugin in json.loads(report.read_text())["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scenarios.Outputs, "folder", tmp_path)
    return tmp_path


@pytest.mark.parametrize("which", OPTIONS)
def test_every_scenario_keeps_the_rules(which: str, folder: Path) -> None:
    synthesize(OPTIONS[which], check)  # a finding makes it raise
    assert findings(folder) == set()


def test_a_planted_finding_is_found(folder: Path) -> None:
    def plant(app: App) -> None:
        storage = app.node.find_child("storage")
        assert Stack.is_stack(storage)
        s3.Bucket(storage, "Planted")
        check(app)

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synthesize({}, plant)
    assert ("AwsSolutions-S10", "storage/Planted/Resource") in findings(folder)  # plain HTTP


def acknowledgements(which: str) -> list[tuple[str, str, str]]:
    """(rule, construct, reason) of ours as the constructs' metadata has them; the CDK makes some of its own."""
    found = []
    for path, kind, data in scenario(which).metadata():
        if kind == "aws:cdk:acknowledged-rules":
            for rule, reason in data.items():
                if "AwsSolutions-" in rule or rule.removeprefix("Annotation::") in nag_exceptions.REASONS:
                    found.append((rule.removeprefix("Annotation::"), path.removeprefix("/"), reason))
    return found


class Silent:
    """Stands in for the CDK's Validations: acknowledges nothing."""

    @classmethod
    def of(cls, construct: object) -> "Silent":
        return cls()

    def acknowledge(self, *said: object) -> None: ...


@pytest.mark.parametrize("which", ["defaults", "isolated-kms", "adopted-isolated", "locations", "tls", "notice"])
def test_nothing_is_acknowledged_that_is_no_finding(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {(rule, path) for rule, path, _ in acknowledgements(which)}  # before the patches: scenarios are kept
    assert said
    monkeypatch.setattr(nag_exceptions, "Validations", Silent)
    monkeypatch.setattr(scenarios.Outputs, "folder", tmp_path)
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synthesize(OPTIONS[which], check)
    found = findings(tmp_path)
    idle = {(rule, at) for rule, at in said if not any(rule == r and f"{p}/".startswith(f"{at}/") for r, p in found)}
    assert idle == set()


def readable(rule: str) -> tuple[str, str]:
    """A rule's id, and what it was found on, without what the CDK and the scenario made of the names."""
    name, _, on = rule.removesuffix("]").partition("[")
    on = re.sub(r"^(Resource|Action|Policy)::", "", on)
    bucket = r"[\w-]+:ExportsOutputFnGetAttBucket\w+|<Bucket\w+\.Arn>|arn:<AWS::Partition>:s3:::(?:kept-bucket|b{63})"
    on = re.sub(rf"^({bucket})/", "BUCKET/", on)
    on = re.sub(r"^arn:<AWS::Partition>:s3:::(census-tables/2017/tracts|open-data)/", "LOCATION/", on)
    on = re.sub(r"^arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-<[^/]*/", "ASSETS/", on)
    prefixes = "|".join(
        {"differential-privacy", *(o["dp.name_prefix"] for o in OPTIONS.values() if "dp.name_prefix" in o)}
    )
    on = re.sub(rf"(?<=[:/])({prefixes})-", "PREFIX-", on)
    return name, re.sub(
        r"^arn:<AWS::Partition>:(iam::aws:policy/|(\w+):<AWS::Region>:<AWS::AccountId>:)", r"\2 ", on
    ).strip()


def rows() -> list[Row]:
    """The table as it should be, in the order in which the stacks say it."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for which in OPTIONS:
        for rule, path, reason in acknowledgements(which):
            name, on = readable(rule)
            on_these = found.setdefault((path, name, reason), [])
            if on and on not in on_these:
                on_these.append(on)
    order = sorted(found, key=lambda key: ((*STACKS, "notice", "trail").index(key[0].split("/")[0]), key[1]))
    return [
        (
            rule,
            path + "".join(f"{', ' if i else ': '}`{on}`" for i, on in enumerate(found[path, rule, reason])),
            reason,
        )
        for path, rule, reason in order
    ]


def table() -> list[Row]:
    """The table of docs/security.md."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.split(HEADING)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert lines[0] == "| Rule | Where | Reason |"
    read = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines[2:]]
    assert {len(row) for row in read} == {3}
    return [(rule, where, reason) for rule, where, reason in read]


def test_every_departure_stands_in_the_docs_and_no_other() -> None:
    wanted = rows()
    if table() != wanted:
        lines = "\n".join(f"| {rule} | {where} | {reason} |" for rule, where, reason in wanted)
        pytest.fail(f"the table of docs/security.md should be:\n{lines}", pytrace=False)


def test_every_reason_is_somebodys() -> None:
    given = {reason for _, _, reason in rows()}
    assert given == {*nag_exceptions.REASONS.values(), *nag_exceptions.WILDCARDS.values()}
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert all(reason in text for reason in given)
