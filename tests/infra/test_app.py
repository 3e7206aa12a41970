"""The app as a whole: names, tags, what it says, and that it asks nobody; last through the real command line."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import app as cdk_app
import pytest
from aws_cdk import App
from stacks.components import python_environment

from infra.scenarios import OPTIONS, ROOT, STACKS, context, scenario

TYPED = {
    "Glue::Job": "Name",
    "EMR::Cluster": "Name",
    "StepFunctions::StateMachine": "StateMachineName",
    "CloudTrail::Trail": "TrailName",
}
REFERENCES = {"ServiceName", "PolicyName", "LogGroupName", "S3BucketName"}  # to what has its name elsewhere


def prefix(which: str) -> str:
    return OPTIONS[which].get("dp.name_prefix", "differential-privacy")


def artifacts(which: str) -> dict[str, Any]:
    manifest = json.loads((scenario(which).folder / "manifest.json").read_text())["artifacts"]
    return {key: each for key, each in manifest.items() if each["type"] == "aws:cloudformation:stack"}


@pytest.mark.parametrize("which", OPTIONS)
def test_the_stacks_and_their_names(which: str) -> None:
    chosen = {"cost": "dp.cost.email", "notice": "dp.notice.email", "trail": "dp.trail.enabled"}
    wanted = {*STACKS, *(stack for stack, key in chosen.items() if key in OPTIONS[which])}
    wanted -= {"ask"} if which == "ask-off" else set()
    assert set(scenario(which).templates) == wanted
    names = {key: each["properties"]["stackName"] for key, each in artifacts(which).items()}
    assert names == {key: f"{prefix(which)}-{key}" for key in wanted}


@pytest.mark.parametrize("which", OPTIONS)
def test_only_names_that_people_type_are_given(which: str) -> None:
    """Everything else is named by CloudFormation, so that it can be replaced and stand twice in an account."""
    given = {}
    for stack, template in scenario(which).templates.items():
        for key, body in template["Resources"].items():
            for name, value in body.get("Properties", {}).items():
                if name.endswith("Name") and name not in REFERENCES and body["Type"].startswith("AWS::"):
                    given[stack, key] = (body["Type"].removeprefix("AWS::"), name, value)
    typed = {value for kind, name, value in given.values() if TYPED.get(kind) == name}
    assert typed == {
        f"{prefix(which)}-{name}"
        for name in ("tumult-ana", "pipelinedp", "emr", "ask", "trail")
        if which != f"{name}-off" and (name != "trail" or "dp.trail.enabled" in OPTIONS[which])
    }
    rest = {(kind, name) for kind, name, _ in given.values() if TYPED.get(kind) != name}
    # the profile's must be its role's; the CDK makes the other out of the stack's, as it has to have one
    assert rest <= {("IAM::InstanceProfile", "InstanceProfileName"), ("Glue::SecurityConfiguration", "Name")}
    for kind, _, value in given.values():
        if kind == "Glue::SecurityConfiguration":
            assert value.startswith(prefix(which).replace("-", ""))


TAGGABLE = {
    "DynamoDB::Table", "EC2::EIP", "EC2::FlowLog", "EC2::InternetGateway", "EC2::NatGateway", "EC2::NetworkAcl",
    "EC2::RouteTable", "EC2::SecurityGroup", "EC2::Subnet", "EC2::VPC", "EC2::VPCEndpoint", "EMR::Cluster",
    "Glue::Job", "IAM::Role", "KMS::Key", "Lambda::Function", "Logs::LogGroup", "S3::Bucket",
    "SSM::Parameter", "SNS::Topic", "Events::Rule", "StepFunctions::StateMachine", "CloudTrail::Trail",
}  # fmt: skip
NO_TAGS = {
    "CloudFormation::WaitConditionHandle", "EC2::NetworkAclEntry", "EC2::Route", "EC2::SecurityGroupEgress",
    "EC2::SecurityGroupIngress", "EC2::SubnetNetworkAclAssociation", "EC2::SubnetRouteTableAssociation",
    "EC2::VPCGatewayAttachment", "EMR::SecurityConfiguration", "Glue::Connection", "Glue::SecurityConfiguration",
    "IAM::InstanceProfile", "IAM::ManagedPolicy", "IAM::Policy", "Lambda::LayerVersion", "S3::BucketPolicy",
    "Budgets::Budget",
    "SNS::TopicPolicy", "SNS::Subscription",
}  # fmt: skip


@pytest.mark.parametrize("which", OPTIONS)
def test_whatever_takes_tags_says_whose_cost_it_is(which: str) -> None:
    untagged = []
    for stack, template in scenario(which).templates.items():
        for key, body in template["Resources"].items():
            kind = body["Type"].removeprefix("AWS::")
            if kind in NO_TAGS or kind.startswith("Custom::"):
                continue
            assert kind in TAGGABLE, f"{kind}: say in this test whether it takes tags"
            tags = body.get("Properties", {}).get("Tags", [])
            named = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            if (named.get("project"), named.get("managed-by")) != (prefix(which), "aws-cdk"):
                untagged.append(f"{stack}/{key} ({kind})")
    assert [each for each in untagged if "CustomResourceProvider" not in each] == []


@pytest.mark.parametrize("which", OPTIONS)
def test_the_stacks_themselves_carry_the_tags(which: str) -> None:
    for each in artifacts(which).values():
        assert each["properties"]["tags"] == {"managed-by": "aws-cdk", "project": prefix(which)}


@pytest.mark.parametrize("which", OPTIONS)
def test_nothing_is_looked_up(which: str) -> None:
    manifest = json.loads((scenario(which).folder / "manifest.json").read_text())
    assert "missing" not in manifest
    account, region = (OPTIONS[which].get(f"dp.{key}", f"unknown-{key}") for key in ("account", "region"))
    place = f"aws://{account}/{region}"
    assert {each["environment"] for each in artifacts(which).values()} == {place}


def test_bound_or_not_the_zones_are_the_regions_own() -> None:
    def zones(which: str) -> list[Any]:
        return [each["AvailabilityZone"] for each in scenario(which).all("network", "EC2::Subnet").values()]

    assert zones("bound") == zones("defaults")
    assert "444455556666" in json.dumps(scenario("bound").templates["glue"])
    assert "unknown" not in json.dumps(scenario("defaults").templates)


@pytest.mark.parametrize("which", OPTIONS)
def test_the_cdk_has_nothing_to_warn_about(which: str) -> None:
    said = [(path, kind, data) for path, kind, data in scenario(which).metadata() if re.search("warn|error", kind)]
    assert said == []


def test_no_template_carries_a_rule_or_parameter_of_the_bootstrap() -> None:
    for template in scenario("defaults").templates.values():
        assert set(template) <= {"Description", "Outputs", "Resources"}
        assert template["Description"].startswith("differential-privacy: ")


def test_the_alarm_warns_at_80_percent_spent_and_100_forecast() -> None:
    budget = scenario("alarm").only("cost", "Budgets::Budget")
    assert budget["Budget"] == {
        "BudgetLimit": {"Amount": 50, "Unit": "USD"},
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
    }
    told = {}
    for each in budget["NotificationsWithSubscribers"]:
        notice = each["Notification"]
        assert (notice["ComparisonOperator"], notice["ThresholdType"]) == ("GREATER_THAN", "PERCENTAGE")
        assert each["Subscribers"] == [{"Address": "owner@example.org", "SubscriptionType": "EMAIL"}]
        told[notice["NotificationType"]] = notice["Threshold"]
    assert told == {"ACTUAL": 80, "FORECASTED": 100}


# -- as people call it


def main(options: dict[str, str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """Run app.py's main as the command line would, in this process."""
    monkeypatch.setattr(cdk_app, "App", lambda: App(context=context(options), outdir=str(folder)))
    return cdk_app.main()


BAD = {
    "dp.network=natt": "dp.network: unknown value: given 'natt'",
    "dp.nat_gateways=3": "dp.nat_gateways: ",
    "dp.emr.core_instance_count=many": "dp.emr.core_instance_count: wrong type: given 'many'",
    "dp.colour=red": "dp.colour: unknown key",
    "network=isolated": "dp.network: a key without its dp.",
    "dp.data_locations=s4://bucket": "dp.data_locations[0]: not an S3 URI",
}


@pytest.mark.parametrize(("option", "line"), BAD.items(), ids=BAD)
def test_a_bad_value_is_told_in_one_line(
    option: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key, value = option.split("=")
    assert main({key: value}, monkeypatch, tmp_path) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (told,) = said.err.splitlines()
    assert told.startswith(line)
    assert "; allowed: " in told
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(python_environment, "FOLDER", tmp_path)
    assert main({}, monkeypatch, tmp_path / "out") == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("dp: the packed Python environment is not made yet: ")
    assert told.endswith("; allowed: `make environment`, then again")


def test_what_stays_is_told_and_what_is_destroyed_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main({}, monkeypatch, tmp_path / "retain") == 0
    told = capsys.readouterr().err
    assert told.startswith("`cdk destroy` leaves differential-privacy-storage, which is protected")
    assert "the bucket and the ledger" in told
    assert "docs/operations.md" in told
    assert main({"dp.data_retention": "destroy"}, monkeypatch, tmp_path / "destroy") == 0
    assert capsys.readouterr().err == ""


def test_logs_that_can_show_rows_are_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = {"dp.data_retention": "destroy", "dp.glue.daemon_logs": "true"}
    assert main(options, monkeypatch, tmp_path) == 0
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("dp.glue.daemon_logs is on: whoever reads the log groups /aws-glue/…error… can see")


def cdk(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The real command line without credentials, where nobody answers for AWS, and forbidden to look anything up."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_", "JSII_"))}
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
    files = {key: str(tmp_path / "none") for key in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    words = ["synth", "--lookups=false", "-q", "--output", tmp_path / "cdk.out"]
    return subprocess.run(
        [ROOT / ".venv/bin/cdk", *words, *(word for option in options for word in ("-c", option))],
        cwd=ROOT,
        env=kept | nobody | files,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.slow
def test_the_command_line_synthesizes_a_bound_app_without_credentials(tmp_path: Path) -> None:
    # without what `make environment` makes
    small = ("dp.glue.python_modules=pins", "dp.emr.enabled=false")
    done = cdk(tmp_path, "dp.account=444455556666", "dp.region=eu-central-1", *small)
    assert done.returncode == 0, done.stderr
    assert {path.name.split(".")[0] for path in (tmp_path / "cdk.out").glob("*.template.json")} == set(STACKS)
    assert "feature flags" not in done.stdout + done.stderr  # "84 feature flags are not configured"


@pytest.mark.slow
def test_the_makefile_gives_the_command_line_no_option_that_it_does_not_know() -> None:
    """It only complains and goes on: of `--all`, which `cdk synth` and `cdk diff` mean anyway."""
    given = re.findall(r"\$\(BIN\)/cdk (\w+)(.*?) \$\(CDKFLAGS\)", (ROOT / "Makefile").read_text())
    assert {command for command, _ in given} == {"synth", "diff", "deploy", "destroy"}
    for command, options in given:
        done = subprocess.run([ROOT / ".venv/bin/cdk", command, "--help"], capture_output=True, text=True, check=True)
        known = set(re.findall(r"--[a-z][a-z-]*", done.stdout))
        assert {option.split("=")[0] for option in options.split()} <= known, command


@pytest.mark.slow
def test_the_command_line_tells_a_bad_value_and_fails(tmp_path: Path) -> None:
    done = cdk(tmp_path, "dp.network=natt")
    assert done.returncode != 0
    assert "dp.network: unknown value: given 'natt'; allowed: nat, isolated" in done.stderr.splitlines()
    assert "exited with error 2" in done.stderr  # app.py's own code
    assert "Traceback" not in done.stderr + done.stdout
