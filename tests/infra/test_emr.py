"""The EMR cluster: the article's machines, in one private subnet, that end themselves and can be taken away."""

import json
from typing import Any

import pytest

from infra.scenarios import OPTIONS, ROOT, Scenario, scenario

WITH_CLUSTER = [name for name in OPTIONS if name != "emr-off"]
EMR_TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}


def cluster(which: str) -> dict[str, Any]:
    """The cluster's properties without intrinsics."""
    found = scenario(which)
    properties = found.only("emr", "EMR::Cluster")
    return {
        key: value if key in ("SecurityConfiguration", "JobFlowRole") else found.resolved("emr", value)
        for key, value in properties.items()
    }


def test_it_is_the_articles_cluster() -> None:
    of = cluster("defaults")
    assert of["Name"] == "differential-privacy-emr"
    assert of["ReleaseLabel"] == "emr-7.13.0"
    assert [each["Name"] for each in of["Applications"]] == ["Spark", "Hadoop", "Zeppelin"]
    instances = of["Instances"]
    primary, core = instances["MasterInstanceGroup"], instances["CoreInstanceGroup"]
    assert (primary["InstanceType"], primary["InstanceCount"]) == ("m5.4xlarge", 1)
    assert (core["InstanceType"], core["InstanceCount"]) == ("m5.4xlarge", 2)
    assert of["AutoTerminationPolicy"] == {"IdleTimeout": 3600}


def test_its_size_and_applications_are_the_configurations() -> None:
    of = cluster("sized")
    assert [each["Name"] for each in of["Applications"]] == ["Spark"]
    primary, core = of["Instances"]["MasterInstanceGroup"], of["Instances"]["CoreInstanceGroup"]
    assert (primary["InstanceType"], primary["InstanceCount"]) == ("m5.xlarge", 1)
    assert (core["InstanceType"], core["InstanceCount"]) == ("r5.2xlarge", 4)
    assert of["AutoTerminationPolicy"] == {"IdleTimeout": 600}


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_there_is_no_task_group_and_no_way_to_log_in(which: str) -> None:
    assert set(cluster(which)["Instances"]) == {
        "CoreInstanceGroup",
        "Ec2SubnetId",
        "EmrManagedMasterSecurityGroup",
        "EmrManagedSlaveSecurityGroup",
        "KeepJobFlowAliveWhenNoSteps",
        "MasterInstanceGroup",
        "ServiceAccessSecurityGroup",
        "TerminationProtected",
    }
    assert not scenario(which).all("emr", "EMR::InstanceGroupConfig")


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_it_waits_for_steps_and_may_be_ended(which: str) -> None:
    instances = cluster(which)["Instances"]
    assert instances["KeepJobFlowAliveWhenNoSteps"] is True  # else it would end before its first step
    assert instances["TerminationProtected"] is False
    assert cluster(which)["AutoTerminationPolicy"]["IdleTimeout"] >= 60


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_it_lies_in_private_a(which: str) -> None:
    found = scenario(which)
    (private_a,) = [
        key
        for key, each in found.all("network", "EC2::Subnet").items()
        if any(tag["Key"] == "Name" and tag["Value"].endswith("-private-a") for tag in each["Tags"])
    ]
    assert cluster(which)["Instances"]["Ec2SubnetId"] == found.resolved("network", {"Ref": private_a})


def groups(found: Scenario) -> dict[str, str]:
    """The three groups' ids in the template, by what they are for."""
    instances = found.only("emr", "EMR::Cluster")["Instances"]
    names = {
        "primary": "EmrManagedMasterSecurityGroup",
        "core": "EmrManagedSlaveSecurityGroup",
        "service": "ServiceAccessSecurityGroup",
    }
    return {key: instances[name]["Fn::GetAtt"][0] for key, name in names.items()}


def rules(found: Scenario, way: str, other: str) -> list[tuple[str, str, str, int, int]]:
    """Every rule of one way between groups: group, other group, protocol, ports."""
    by_id = {value: key for key, value in groups(found).items()}
    listed = []
    for rule in found.all("emr", f"EC2::SecurityGroup{way}").values():
        here, there = (by_id[rule[key]["Fn::GetAtt"][0]] for key in ("GroupId", other))
        listed.append((here, there, rule["IpProtocol"], rule["FromPort"], rule["ToPort"]))
    return sorted(listed)


AMONG = sorted(
    (one, other, *ports)
    for one in ("primary", "core")
    for other in ("primary", "core")
    for ports in (("tcp", 0, 65535), ("udp", 0, 65535), ("icmp", -1, -1))
)


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_the_groups_have_every_rule_that_emr_would_add_by_itself(which: str) -> None:
    found = scenario(which)
    assert len(set(groups(found).values())) == 3
    assert rules(found, "Ingress", "SourceSecurityGroupId") == sorted(
        [
            *AMONG,
            ("primary", "service", "tcp", 8443, 8443),
            ("core", "service", "tcp", 8443, 8443),
            ("service", "primary", "tcp", 9443, 9443),
        ]
    )
    assert rules(found, "Egress", "DestinationSecurityGroupId") == sorted(
        [
            *AMONG,
            ("service", "primary", "tcp", 8443, 8443),
            ("service", "core", "tcp", 8443, 8443),
            ("primary", "service", "tcp", 9443, 9443),
        ]
    )


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_nobody_outside_reaches_the_nodes_and_they_call_out_by_https_only(which: str) -> None:
    found = scenario(which)
    of = groups(found)
    every = found.all("emr", "EC2::SecurityGroup")
    assert set(every) == set(of.values())
    for name, key in of.items():
        assert "SecurityGroupIngress" not in every[key]
        # for the service's group the rules between groups take the place of EC2's own, which allows everything
        inline = every[key].get("SecurityGroupEgress", [])
        out = [(rule["CidrIp"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in inline]
        assert out == ([] if name == "service" else [("0.0.0.0/0", "tcp", 443, 443)])


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_what_emrs_service_touches_carries_its_tag(which: str) -> None:
    found = scenario(which)
    tagged = [*found.all("emr", "EC2::SecurityGroup").values(), found.only("emr", "EMR::Cluster")]
    assert len(tagged) == 4
    for each in tagged:
        assert EMR_TAG in each["Tags"]


def test_the_bootstrap_action_unpacks_the_same_libraries_as_glues() -> None:
    for which in ("defaults", "isolated"):
        found = scenario(which)
        (action,) = cluster(which)["BootstrapActions"]
        assert action["Name"] == "Libraries Installation"
        assets = {key: path.name.removeprefix("asset.") for key, path in found.assets("emr").items()}
        script = action["ScriptBootstrapAction"]
        assert script["Path"].endswith("/" + assets["Spark/Bootstrap"])
        text = found.assets("emr")["Spark/Bootstrap"].read_bytes()
        assert text == (ROOT / "emr_assets" / "emr_bootstrap.sh").read_bytes()
        (environment,) = script["Args"]
        assert environment.startswith("s3://cdk-hnb659fds-assets-")
        assert environment.endswith("/" + assets["Environment"])
        fixed = next(iter(found.all("glue", "Glue::Job").values()))["NonOverridableArguments"]
        assert environment == found.resolved("glue", fixed["--python-virtual-env"])


def settings(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """EMR's own JSON out of CloudFormation's words for it."""
    words = {"ConfigurationProperties": "Properties"}
    return [
        {words.get(k, k): settings(v) if k == "Configurations" else v for k, v in block.items()} for block in blocks
    ]


def test_its_settings_are_the_file_and_the_warehouse() -> None:
    of = cluster("defaults")
    wanted = json.loads((ROOT / "emr_assets" / "software_settings.json").read_text())
    bucket = scenario("defaults").account().arn("Bucket", "AWS::S3::Bucket").rpartition(":")[2]
    for block in wanted:
        if block["Classification"] == "spark-defaults":
            assert "spark.sql.warehouse.dir" not in block["Properties"]
            block["Properties"]["spark.sql.warehouse.dir"] = f"s3://{bucket}/warehouse/"
        if not block["Properties"]:
            del block["Properties"]
    assert settings(of["Configurations"]) == wanted
    assert of["LogUri"] == f"s3://{bucket}/emr/cluster-logs/"


def security(which: str) -> dict[str, Any]:
    found = scenario(which)
    ((name, body),) = found.all("emr", "EMR::SecurityConfiguration").items()
    assert found.only("emr", "EMR::Cluster")["SecurityConfiguration"] == {"Ref": name}
    resolved: dict[str, Any] = found.resolved("emr", body["SecurityConfiguration"])
    return resolved


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_disks_and_files_are_encrypted_and_the_metadata_service_asks_for_a_token(which: str) -> None:
    found, of = scenario(which), security(which)
    assert of["InstanceMetadataServiceConfiguration"] == {
        "MinimumInstanceMetadataServiceVersion": 2,
        "HttpPutResponseHopLimit": 1,
    }
    encryption = of["EncryptionConfiguration"]
    assert encryption["EnableAtRestEncryption"] is True
    assert encryption["AtRestEncryptionConfiguration"]["LocalDiskEncryptionConfiguration"] == {
        "EncryptionKeyProviderType": "AwsKms",
        "AwsKmsKey": found.account().arn("DiskKey", "AWS::KMS::Key"),
        "EnableEbsEncryption": True,
    }
    files = encryption["AtRestEncryptionConfiguration"]["S3EncryptionConfiguration"]
    assert files["EncryptionMode"] == ("SSE-KMS" if "kms" in which else "SSE-S3")
    assert ("AwsKmsKey" in files) is ("kms" in which)


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_in_transit_it_is_encrypted_where_a_certificate_is_given(which: str) -> None:
    encryption = security(which)["EncryptionConfiguration"]
    if which != "tls":
        assert encryption["EnableInTransitEncryption"] is False
        assert "InTransitEncryptionConfiguration" not in encryption
        return
    assert encryption["EnableInTransitEncryption"] is True
    certificate = {"CertificateProviderType": "PEM", "S3Object": "s3://certificates/emr/pem.zip"}
    assert encryption["InTransitEncryptionConfiguration"] == {"TLSCertificateConfiguration": certificate}


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_the_profile_has_its_roles_name_and_the_roles_are_the_clusters(which: str) -> None:
    found = scenario(which)
    of = found.only("emr", "EMR::Cluster")
    ((name, profile),) = found.all("emr", "IAM::InstanceProfile").items()
    (role,) = profile["Roles"]
    assert profile["InstanceProfileName"] == role  # else EMR says: invalid instance profile
    assert of["JobFlowRole"] == {"Ref": name}
    assert found.account().role("InstanceRole").logical_id == role["Ref"]
    assert found.resolved("emr", of["ServiceRole"]) == found.account().role("emr/ServiceRole").arn


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_rights_and_rules_are_there_before_the_cluster_and_stay_until_it_is_gone(which: str) -> None:
    found = scenario(which)
    (body,) = found.bodies("emr", "EMR::Cluster").values()
    needed = [
        key
        for kind in ("IAM::Policy", "IAM::Role", "EC2::SecurityGroup", "EC2::SecurityGroupIngress",
                     "EC2::SecurityGroupEgress", "IAM::InstanceProfile")
        for key in found.all("emr", kind)
    ]  # fmt: skip
    assert len(needed) > 30
    assert set(needed) <= set(body["DependsOn"])


def test_switched_off_the_stack_stays_without_a_cluster() -> None:
    found = scenario("emr-off")
    kinds = {body["Type"] for body in found.templates["emr"]["Resources"].values()}
    assert kinds == {"AWS::IAM::Role", "AWS::IAM::Policy"}
    assert found.account().role("InstanceRole")
    assert {"TumultAnaStep", "PipelineDpStep"} <= set(found.templates["emr"]["Outputs"])
    assert "ClusterId" not in found.templates["emr"]["Outputs"]


@pytest.mark.parametrize("which", ["defaults", "isolated", "emr-off", "adopted"])
def test_a_steps_first_words_name_library_script_ledger_and_releases(which: str) -> None:
    found = scenario(which)
    assets = {key: path.name.removeprefix("asset.") for key, path in found.assets("emr").items()}
    fixed = next(iter(found.all("glue", "Glue::Job").values()))["NonOverridableArguments"]
    for part, script in (("TumultAna", "tmlt_ana"), ("PipelineDp", "pipelinedp")):
        words = found.resolved("emr", found.templates["emr"]["Outputs"][f"{part}Step"]["Value"]).split(",")
        mode, value, files, library, place, ledger, table, releases, where = words
        assert (mode, value, files, ledger, releases) == (
            "--deploy-mode",
            "cluster",
            "--py-files",
            "--ledger",
            "--releases",
        )
        assert library.endswith("/" + assets["Code/Library"])
        assert place.endswith("/" + assets[part])
        text = found.assets("emr")[part].read_bytes()
        assert text == (ROOT / "emr_assets" / f"run_{script}_spark.py").read_bytes()
        # the same ledger as Glue's, or the budget would be spent twice
        assert table == found.resolved("glue", fixed["--ledger"])
        ours = found.resolved("glue", fixed["--releases"]).removesuffix("glue/")
        assert where == f"{ours}emr/"  # not Glue's, where this role may not write
