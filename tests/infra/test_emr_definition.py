"""The request that brings the cluster back says word for word what the stack's own cluster is made of."""

import json
from typing import Any

import pytest

from infra.scenarios import OPTIONS, scenario, synthesize

WITH_CLUSTER = [name for name in OPTIONS if name != "emr-off"]


def request(which: str) -> dict[str, Any]:
    """The request that the parameter keeps, as it is when it is deployed."""
    found = scenario(which)
    whole: dict[str, Any] = json.loads(found.resolved("emr", found.only("emr", "SSM::Parameter")["Value"]))
    return whole


def in_the_apis_words(cluster: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's properties as RunJobFlow calls them (API_RunJobFlow.html, API_Configuration.html)."""
    instances = dict(cluster["Instances"])
    groups = [
        {**instances.pop("MasterInstanceGroup"), "InstanceRole": "MASTER"},
        {**instances.pop("CoreInstanceGroup"), "InstanceRole": "CORE"},
    ]
    return {
        **cluster,
        "Instances": {**instances, "InstanceGroups": groups},
        "Configurations": [_configuration(block) for block in cluster["Configurations"]],
    }


def _configuration(block: dict[str, Any]) -> dict[str, Any]:
    made = {"Classification": block["Classification"], "Properties": block.get("ConfigurationProperties", {})}
    inner = [_configuration(each) for each in block.get("Configurations", [])]
    return {**made, "Configurations": inner} if inner else made


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_every_property_of_the_stacks_cluster_is_in_the_request_and_nothing_else(which: str) -> None:
    found = scenario(which)
    cluster = in_the_apis_words(found.resolved("emr", found.only("emr", "EMR::Cluster")))
    asked = request(which)
    assert asked.keys() == cluster.keys()
    for name, value in cluster.items():
        assert asked[name] == value, name


@pytest.mark.parametrize("which", WITH_CLUSTER)
def test_it_fits_into_a_standard_parameter(which: str) -> None:
    """Of 4,096 characters; with room for the names that CloudFormation makes longer than they are here."""
    found = scenario(which)
    assert len(found.resolved("emr", found.only("emr", "SSM::Parameter")["Value"])) <= 4096 - 512


def test_it_has_the_tags_of_the_cost_and_of_emrs_own_policy() -> None:
    tags = {tag["Key"]: tag["Value"] for tag in request("large")["Tags"]}
    emrs = {"for-use-with-amazon-emr-managed-policies": "true"}
    assert tags == {"project": "other", "managed-by": "aws-cdk", **emrs}


def test_another_setting_is_another_request() -> None:
    asked = request("sized")
    assert [each["InstanceType"] for each in asked["Instances"]["InstanceGroups"]] == ["m5.2xlarge", "r5.2xlarge"]
    assert [each["InstanceCount"] for each in asked["Instances"]["InstanceGroups"]] == [1, 4]
    assert asked["AutoTerminationPolicy"] == {"IdleTimeout": 600}
    assert asked["Instances"]["KeepJobFlowAliveWhenNoSteps"] is True


def test_the_output_names_it_and_without_a_cluster_there_is_none() -> None:
    found = scenario("defaults")
    (name,) = found.all("emr", "SSM::Parameter")
    assert found.templates["emr"]["Outputs"]["ClusterDefinition"]["Value"] == {"Ref": name}
    assert not scenario("emr-off").all("emr", "SSM::Parameter")
    assert "ClusterDefinition" not in scenario("emr-off").templates["emr"]["Outputs"]


def test_another_generation_keeps_the_parameter() -> None:
    """Its name must not change with the cluster: who started the last one may look for it."""
    (one,) = scenario("defaults").all("emr", "SSM::Parameter")
    (two,) = synthesize({"dp.emr.generation": "2"}).all("emr", "SSM::Parameter")
    assert one == two
