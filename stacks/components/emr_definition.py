"""The cluster as one request of EMR's API (RunJobFlow): the source of the stack's own and of those started later."""

import json
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import IStableAnyProducer, Lazy
from aws_cdk import aws_emr as emr

from stacks.components.paths import ROOT, existing
from stacks.config.emr import EmrConfig

SETTINGS = ROOT / "emr_assets" / "software_settings.json"
Request = dict[str, Any]


def request_of(
    *,
    name: str,
    settings: EmrConfig,
    subnet_id: str,
    primary_group: str,
    core_group: str,
    service_group: str,
    bootstrap_url: str,
    environment_url: str,
    warehouse_url: str,
    log_url: str,
    security_configuration: str,
    service_role: str,
    instance_profile: str,
) -> Request:
    """Return the request, in the API's own words, all but its tags: it stays without steps, and may be ended."""
    machines = settings.machines
    wanted = (("Spark", settings.spark), ("Hadoop", settings.hadoop), ("Zeppelin", settings.zeppelin))
    return {
        "Name": name,
        "ReleaseLabel": settings.release_label,
        "Applications": [{"Name": application} for application, is_wanted in wanted if is_wanted],
        "Instances": {
            "InstanceGroups": [
                _group("Primary", "MASTER", machines.primary, machines.primary_count),
                _group("Core", "CORE", machines.core, machines.core_count),
            ],
            "Ec2SubnetId": subnet_id,
            "EmrManagedMasterSecurityGroup": primary_group,
            "EmrManagedSlaveSecurityGroup": core_group,
            "ServiceAccessSecurityGroup": service_group,
            "KeepJobFlowAliveWhenNoSteps": True,
            "TerminationProtected": False,
        },
        "BootstrapActions": [
            {
                "Name": "Libraries Installation",
                "ScriptBootstrapAction": {"Path": bootstrap_url, "Args": [environment_url]},
            }
        ],
        "Configurations": software_settings(warehouse_url),
        "AutoTerminationPolicy": {"IdleTimeout": settings.idle_timeout_seconds},
        "LogUri": log_url,
        "SecurityConfiguration": security_configuration,
        "ServiceRole": service_role,
        "JobFlowRole": instance_profile,
        "VisibleToAllUsers": True,
    }


def software_settings(warehouse: str) -> list[dict[str, Any]]:
    """Return emr_assets/software_settings.json with the warehouse, where all nodes share it, in spark-defaults."""
    blocks: list[dict[str, Any]] = json.loads(Path(existing(SETTINGS)).read_text(encoding="utf-8"))
    for block in blocks:
        if block["Classification"] == "spark-defaults":
            block["Properties"]["spark.sql.warehouse.dir"] = warehouse
    return blocks


def properties_of(request: Request) -> dict[str, Any]:
    """Return the same as the arguments of `CfnCluster`, which has other words for groups and settings."""
    instances = request["Instances"]
    groups = {group["InstanceRole"]: _cfn_group(group) for group in instances["InstanceGroups"]}
    return {
        "name": request["Name"],
        "release_label": request["ReleaseLabel"],
        "applications": [emr.CfnCluster.ApplicationProperty(name=each["Name"]) for each in request["Applications"]],
        "instances": emr.CfnCluster.JobFlowInstancesConfigProperty(
            master_instance_group=groups["MASTER"],
            core_instance_group=groups["CORE"],
            ec2_subnet_id=instances["Ec2SubnetId"],
            emr_managed_master_security_group=instances["EmrManagedMasterSecurityGroup"],
            emr_managed_slave_security_group=instances["EmrManagedSlaveSecurityGroup"],
            service_access_security_group=instances["ServiceAccessSecurityGroup"],
            keep_job_flow_alive_when_no_steps=instances["KeepJobFlowAliveWhenNoSteps"],
            termination_protected=instances["TerminationProtected"],
        ),
        "bootstrap_actions": [
            emr.CfnCluster.BootstrapActionConfigProperty(
                name=action["Name"],
                script_bootstrap_action=emr.CfnCluster.ScriptBootstrapActionConfigProperty(
                    path=action["ScriptBootstrapAction"]["Path"], args=action["ScriptBootstrapAction"]["Args"]
                ),
            )
            for action in request["BootstrapActions"]
        ],
        "configurations": [_cfn_configuration(block) for block in request["Configurations"]],
        "auto_termination_policy": emr.CfnCluster.AutoTerminationPolicyProperty(
            idle_timeout=request["AutoTerminationPolicy"]["IdleTimeout"]
        ),
        "log_uri": request["LogUri"],
        "security_configuration": request["SecurityConfiguration"],
        "service_role": request["ServiceRole"],
        "job_flow_role": request["JobFlowRole"],
        "visible_to_all_users": request["VisibleToAllUsers"],
    }


def tags_of(cluster: emr.CfnCluster) -> Any:
    """Return the cluster's tags as the request has them, read when all of them are there: at synthesis."""
    return Lazy.any(_Tags(cluster))


@jsii.implements(IStableAnyProducer)
class _Tags:
    def __init__(self, cluster: emr.CfnCluster) -> None:
        self._cluster = cluster

    def produce(self) -> Any:
        """What CloudFormation will put on the cluster."""
        return [{"Key": tag["key"], "Value": tag["value"]} for tag in self._cluster.tags.render_tags()]


def _group(name: str, role: str, instance_type: str, count: int) -> dict[str, Any]:
    return {
        "Name": name,
        "InstanceRole": role,
        "Market": "ON_DEMAND",
        "InstanceType": instance_type,
        "InstanceCount": count,
    }


def _cfn_group(group: dict[str, Any]) -> emr.CfnCluster.InstanceGroupConfigProperty:
    return emr.CfnCluster.InstanceGroupConfigProperty(
        name=group["Name"],
        market=group["Market"],
        instance_type=group["InstanceType"],
        instance_count=group["InstanceCount"],
    )


def _cfn_configuration(block: dict[str, Any]) -> emr.CfnCluster.ConfigurationProperty:
    return emr.CfnCluster.ConfigurationProperty(
        classification=block["Classification"],
        configuration_properties=block.get("Properties") or None,
        configurations=[_cfn_configuration(inner) for inner in block.get("Configurations", [])] or None,
    )
