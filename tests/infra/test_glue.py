"""The Glue jobs: the article's sizes and questions, and nothing in them that lets a run's starter break the rules."""

import json
import re
from typing import Any

import pytest
from tools import pins

from infra.scenarios import OPTIONS, ROOT, Scenario, scenario

NAMES = ("differential-privacy-tumult-ana", "differential-privacy-pipelinedp")
ASKED = {"--column_name", "--epsilon", "--query", "--source_id", "--s3_file"}
# Each lets who starts a run bring code, move what the job writes, or see exact numbers (docs/operations.md).
CODE = {
    "--scriptLocation",
    "--extra-py-files",
    "--extra-jars",
    "--extra-files",
    "--user-jars-first",
    "--additional-python-modules",
    "--python-modules-installer-option",
    "--python-virtual-env",
    "--customer-driver-env-vars",
    "--customer-executor-env-vars",
    "--job-language",
    "--class",
    "--conf",
}
PLACES = {"--ledger", "--releases", "--dataset", "--unhardened", "--TempDir", "--enable-glue-datacatalog"}
CHANNELS = {
    "--enable-spark-ui",
    "--spark-event-logs-path",
    "--enable-observability-metrics",
    "--enable-job-insights",
    "--enable-continuous-cloudwatch-log",
    "--enable-continuous-log-filter",
    "--continuous-log-logGroup",
    "--write-shuffle-files-to-s3",
    "--write-shuffle-spills-to-s3",
}


def jobs(which: str) -> dict[str, dict[str, Any]]:
    """Properties by the job's name, without intrinsics."""
    found = scenario(which)
    every = found.all("glue", "Glue::Job").values()
    return {job["Name"]: plain(found, job) for job in every}


def plain(found: Scenario, job: dict[str, Any]) -> dict[str, Any]:
    return {key: found.resolved("glue", value) for key, value in job.items() if key != "Connections"}


def both(which: str, *path: str) -> Any:
    """What both jobs have at this path; they may not differ."""
    values = []
    for job in jobs(which).values():
        value: Any = job
        for part in path:
            value = value[part]
        values.append(value)
    assert len(values) == 2
    assert values[0] == values[1]
    return values[0]


def both_but_script(which: str) -> dict[str, Any]:
    """The fixed arguments of both jobs, which share all but the script."""
    one, two = (job["NonOverridableArguments"] for job in jobs(which).values())
    assert {key for key in one | two if one.get(key) != two.get(key)} == {"--scriptLocation"}
    return {key: value for key, value in one.items() if key != "--scriptLocation"}


def bucket(which: str) -> str:
    return scenario(which).account().arn("Bucket", "AWS::S3::Bucket").rpartition(":")[2]


def test_two_jobs_by_the_names_people_type() -> None:
    assert tuple(jobs("defaults")) == NAMES
    assert tuple(jobs("large")) == ("other-tumult-ana", "other-pipelinedp")


def test_they_run_as_in_the_article() -> None:
    for job in jobs("defaults").values():
        assert (job["Command"]["Name"], job["Command"]["PythonVersion"]) == ("glueetl", "3")
        assert job["GlueVersion"] == "5.1"
        assert (job["WorkerType"], job["NumberOfWorkers"]) == ("G.1X", 10)
        assert (job["ExecutionClass"], job["JobRunQueuingEnabled"]) == ("FLEX", False)
        assert job["Timeout"] == 720
        assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}


@pytest.mark.parametrize("which", OPTIONS)
def test_a_run_is_never_retried_by_glue(which: str) -> None:
    assert both(which, "MaxRetries") == 0  # Glue's own attempt would draw anew under another id


def test_their_size_is_the_configurations() -> None:
    for job in jobs("sized").values():
        assert (job["WorkerType"], job["NumberOfWorkers"], job["Timeout"]) == ("G.4X", 3, 60)
        assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 2}
        assert job.get("ExecutionClass", "STANDARD") == "STANDARD"
        assert job.get("JobRunQueuingEnabled", False) is False


def test_a_run_may_override_the_question_and_no_more() -> None:
    arguments = both("defaults", "DefaultArguments")
    assert arguments == {
        "--column_name": "TotalPop",
        "--epsilon": "1",
        "--query": "MEAN",
        "--source_id": "census",
        "--s3_file": f"s3://{bucket('defaults')}/data/acs2017_census_tract_data.csv",
        "--job-bookmark-option": "job-bookmark-enable",
    }


@pytest.mark.parametrize("which", OPTIONS)
def test_whatever_breaks_the_rules_cannot_be_overridden(which: str) -> None:
    for job in jobs(which).values():
        fixed = job["NonOverridableArguments"]
        assert set(fixed) >= CODE | PLACES | CHANNELS
        assert not set(fixed) & set(job["DefaultArguments"])
        assert set(job["DefaultArguments"]) == ASKED | {"--job-bookmark-option"}


@pytest.mark.parametrize("which", OPTIONS)
def test_nothing_shows_exact_numbers(which: str) -> None:
    for job in jobs(which).values():
        fixed = job["NonOverridableArguments"]
        for name in ("--enable-spark-ui", "--enable-observability-metrics", "--enable-job-insights"):
            assert fixed[name] == "false", name
        # any value of it, "false" too, switches metrics on: it may stand nowhere
        assert "--enable-metrics" not in {**job["DefaultArguments"], **fixed}
        off = {"spark.ui.enabled=false", "spark.eventLog.enabled=false"}
        if which != "loud":
            off.add("spark.log.level=OFF")
        assert off <= set(fixed["--conf"].split(" --conf "))
        assert fixed["--enable-auto-scaling"] == "false"


@pytest.mark.parametrize("which", OPTIONS)
def test_no_jar_of_a_starter_comes_first_and_spark_is_silent(which: str) -> None:
    fixed = both_but_script(which)
    assert fixed["--user-jars-first"] == "false"
    settings = dict(each.split("=", 1) for each in fixed["--conf"].split(" --conf "))
    # its messages quote cells and counts
    assert settings.get("spark.log.level") == (None if which == "loud" else "OFF")
    assert (settings["spark.ui.enabled"], settings["spark.eventLog.enabled"]) == ("false", "false")


@pytest.mark.parametrize("which", OPTIONS)
def test_their_log_groups_are_the_stacks_with_a_key_and_an_end(which: str) -> None:
    """Named as Glue 5 names them under a security configuration: PREFIX/CONFIGURATION-role/ROLE/output and error."""
    found, account = scenario(which), scenario(which).account()
    prefix = both_but_script(which)["--custom-logGroup-prefix"]
    assert prefix == f"/aws-glue/{OPTIONS[which].get('dp.name_prefix', 'differential-privacy')}"
    security = found.only("glue", "Glue::SecurityConfiguration")["Name"]
    role = account.role("glue/JobRole").arn.rpartition("/")[2]
    groups = {
        found.resolved("glue", body["LogGroupName"]): body for body in found.all("glue", "Logs::LogGroup").values()
    }
    assert set(groups) == {f"{prefix}/{security}-role/{role}/{kind}" for kind in ("output", "error")}
    days = {"sized": 7}.get(which, 90)  # 10 days are asked for there: never more than asked
    for name, body in groups.items():
        assert body["RetentionInDays"] == days
        assert found.resolved("glue", body["KmsKeyId"]) == account.arn("LogKey", "AWS::KMS::Key")
        arn = f"arn:aws:logs:eu-west-1:111122223333:log-group:{name}"
        if which != "bound" and which != "small":  # whose account and region are others
            stream = f"{arn}:log-stream:jr_1"
            assert account.may("glue/JobRole", "logs:PutLogEvents", stream) is (
                name.endswith("/output") or which == "loud"
            )
            of = {"kms:EncryptionContext:aws:logs:arn": arn}
            key = account.arn("LogKey", "AWS::KMS::Key")
            assert account.may("logs.eu-west-1.amazonaws.com", "kms:Encrypt", key, of)
    for job in found.bodies("glue", "Glue::Job").values():
        assert set(found.all("glue", "Logs::LogGroup")) <= set(job["DependsOn"])  # else Glue would make its own


@pytest.mark.parametrize("which", ["defaults", "isolated", "kms"])
def test_who_starts_a_run_cannot_ask_for_noise_that_is_not_hardened(which: str) -> None:
    assert both_but_script(which)["--unhardened"] == "no"


@pytest.mark.parametrize("which", ["defaults", "isolated", "kms"])
def test_everything_they_write_lies_in_our_bucket(which: str) -> None:
    fixed = both_but_script(which)
    ours, account = f"s3://{bucket(which)}", scenario(which).account()
    assert fixed["--releases"] == f"{ours}/releases/glue/"
    assert fixed["--ledger"] == account.arn("Ledger", "AWS::DynamoDB::Table")
    assert fixed["--TempDir"].startswith(f"{ours}/warehouse/")
    assert fixed["--spark-event-logs-path"].startswith(f"{ours}/warehouse/")
    assert f"spark.sql.warehouse.dir={ours}/warehouse/" in fixed["--conf"].split(" --conf ")
    assert "spark.sql.catalogImplementation=in-memory" in fixed["--conf"].split(" --conf ")
    assert fixed["--enable-glue-datacatalog"] == "false"
    assert fixed["--dataset"] == "by-address"


def test_their_logs_are_the_groups_that_the_role_may_write() -> None:
    found = scenario("defaults")
    group = both("defaults", "NonOverridableArguments", "--continuous-log-logGroup")
    assert group == "/aws-glue/jobs/differential-privacy"
    assert both("large", "NonOverridableArguments", "--continuous-log-logGroup") == "/aws-glue/jobs/other"
    stream = f"arn:aws:logs:eu-west-1:111122223333:log-group:{group}:log-stream:jr_1"
    assert found.account().may("glue/JobRole", "logs:PutLogEvents", stream)


def test_the_logs_of_daemons_are_opened_by_one_setting_and_nothing_else_is() -> None:
    """For a table that is not private: the role may write the groups of errors, and Spark is not silent at first."""
    quiet, loud = scenario("defaults"), scenario("loud")
    for group in ("/aws-glue/jobs/error", "/aws-glue/differential-privacy/Security-role/JobRole/error"):
        stream = f"arn:aws:logs:eu-west-1:111122223333:log-group:{group}:log-stream:jr_1-g-1"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            assert not quiet.account().may("glue/JobRole", action, stream)
            assert loud.account().may("glue/JobRole", action, stream)
    differ = {name for name in quiet.templates if quiet.templates[name] != loud.templates[name]}
    assert differ == {"glue"}
    before, after = both_but_script("defaults"), both_but_script("loud")
    assert {name for name in before if before[name] != after[name]} == {"--conf"}
    assert set(before["--conf"].split(" --conf ")) - set(after["--conf"].split(" --conf ")) == {"spark.log.level=OFF"}
    assert not set(after["--conf"].split(" --conf ")) - set(before["--conf"].split(" --conf "))


@pytest.mark.parametrize("which", OPTIONS)
def test_logs_bookmarks_and_files_are_encrypted(which: str) -> None:
    found = scenario(which)
    ((name, security),) = found.all("glue", "Glue::SecurityConfiguration").items()
    ((key, _),) = found.all("glue", "KMS::Key").items()
    arn = {"Fn::GetAtt": [key, "Arn"]}
    of = security["EncryptionConfiguration"]
    assert of["CloudWatchEncryption"] == {"CloudWatchEncryptionMode": "SSE-KMS", "KmsKeyArn": arn}
    assert of["JobBookmarksEncryption"] == {"JobBookmarksEncryptionMode": "CSE-KMS", "KmsKeyArn": arn}
    (files,) = of["S3Encryptions"]
    assert files["S3EncryptionMode"] == ("SSE-KMS" if "kms" in which else "SSE-S3")
    if which == "kms":
        account = found.account()
        assert found.resolved("glue", files["KmsKeyArn"]) == account.arn("storage/Key", "AWS::KMS::Key")
    for job in found.all("glue", "Glue::Job").values():
        assert job["SecurityConfiguration"] == {"Ref": name}


@pytest.mark.parametrize("which", ["defaults", "isolated", "kms", "emr-off", "bound"])
def test_libraries_come_as_a_packed_environment_in_place_of_glues_own(which: str) -> None:
    fixed = both_but_script(which)
    archive = scenario(which).assets("glue")["Environment"]
    place = fixed["--python-virtual-env"]
    assert place.startswith("s3://cdk-hnb659fds-assets-")
    assert place.endswith("/" + archive.name.removeprefix("asset."))
    assert place.endswith(".tar.gz")
    # AWS: no modules besides; fixed all the same, or the starter of a run could bring some
    assert fixed["--additional-python-modules"] == ""
    assert fixed["--python-modules-installer-option"] == "--no-index"


def test_pins_are_the_whole_list_without_hashes() -> None:
    fixed = both_but_script("pins")
    pinned = [pin.requirement for pin in pins.read(pins.CLUSTER.read_text())]
    assert len(pinned) > 20
    assert fixed["--additional-python-modules"].split(",") == pinned
    assert fixed["--python-modules-installer-option"] == "--no-deps"
    assert fixed["--python-virtual-env"] == ""
    assert "Environment" not in scenario("pins").assets("glue")


def test_sparks_own_libraries_are_never_installed_over_glues() -> None:
    pinned = {pin.name for pin in pins.read(pins.CLUSTER.read_text())}
    assert {"tmlt-analytics", "pipeline-dp"} <= pinned
    assert not pinned & {"pyspark", "py4j"}
    assert "pyspark" not in both_but_script("pins")["--additional-python-modules"]


@pytest.mark.parametrize("which", ["defaults", "isolated", "bound"])
def test_script_and_library_are_this_repositorys_files(which: str) -> None:
    assets = scenario(which).assets("glue")
    for job, part, script in zip(
        jobs(which).values(), ("TumultAna", "PipelineDp"), ("tmlt_ana", "pipelinedp"), strict=True
    ):
        file = assets[f"{part}/Script"]
        assert file.read_bytes() == (ROOT / f"glue_scripts/run_{script}_spark.py").read_bytes()
        place = job["Command"]["ScriptLocation"]
        assert place.endswith("/" + file.name.removeprefix("asset."))
        assert place.startswith("s3://cdk-hnb659fds-assets-")
        fixed = job["NonOverridableArguments"]
        assert fixed["--scriptLocation"] == place
        assert fixed["--extra-py-files"].endswith("/" + assets["Code/Library"].name.removeprefix("asset."))


def test_a_run_starts_only_when_the_roles_rights_are_there() -> None:
    for found in map(scenario, ("defaults", "isolated")):
        policies = set(found.all("glue", "IAM::Policy"))
        for job in found.bodies("glue", "Glue::Job").values():
            assert policies <= set(job["DependsOn"])


def waits_for(found: Scenario, key: str) -> set[str]:
    """What of Glue's stack is there before this resource, and is deleted after it: it is named, or depended on."""
    resources = found.templates["glue"]["Resources"]
    seen: set[str] = set()
    ahead = [key]
    while ahead:
        body = resources[ahead.pop()]
        on = body.get("DependsOn", [])
        named = re.findall(r'"(?:Ref|Fn::GetAtt)": \[?"(\w+)"', json.dumps(body.get("Properties", {})))
        new = ({*([on] if isinstance(on, str) else on), *named} & set(resources)) - seen
        seen |= new
        ahead += new
    return seen


@pytest.mark.parametrize("which", ["isolated", "isolated-kms", "adopted-isolated"])
def test_glue_can_remove_its_interfaces_until_their_group_is_gone(which: str) -> None:
    """It does so by the role, minutes after a run, and EC2 deletes no group that an interface is in."""
    found = scenario(which)
    ((group, _),) = found.all("glue", "EC2::SecurityGroup").items()
    outlive = waits_for(found, group)
    policies = found.all("glue", "IAM::Policy")
    allowed = {
        action
        for key in outlive & set(policies)
        for each in policies[key]["PolicyDocument"]["Statement"]
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    assert {"ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"} <= allowed
    assert outlive & set(found.all("glue", "IAM::Role"))
    # and the jobs wait for all of it: who starts a run finds group and rights, and is gone before both
    for job in found.all("glue", "Glue::Job"):
        assert {group, *policies} <= waits_for(found, job)
