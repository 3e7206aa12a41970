"""Mistakes that AWS refuses, to be planted in a copy of our templates: each must be found (test_aws_limits.py)."""

from collections.abc import Callable
from typing import Any

Change = Callable[[dict[str, Any]], None]


def resource(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """The first resource of a type that has what the others have, too."""
    return next(body for body in template["Resources"].values() if body["Type"] == f"AWS::{kind}")


def put(kind: str, *path: str | int, value: Any) -> Change:
    """Put a value at a path of the first resource of a type."""

    def change(template: dict[str, Any]) -> None:
        inner = resource(template, kind)["Properties"]
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value

    return change


def _rule(**changed: Any) -> Change:
    """Change the lifecycle rule of the warehouse."""

    def change(template: dict[str, Any]) -> None:
        rules = resource(template, "S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
        next(rule for rule in rules if rule["Id"] == "Warehouse").update(changed)

    return change


def _statement(kind: str, document: str, **changed: Any) -> Change:
    def change(template: dict[str, Any]) -> None:
        resource(template, kind)["Properties"][document]["Statement"][0].update(changed)

    return change


def _many_statements(template: dict[str, Any]) -> None:
    statements = resource(template, "IAM::Policy")["Properties"]["PolicyDocument"]["Statement"]
    statements += [statements[0] | {"Sid": f"More{i}"} for i in range(60)]


def _output(template: dict[str, Any]) -> None:
    next(iter(template["Outputs"].values()))["Description"] = "é" * 513  # bytes count, not characters


ARGUMENTS = ("NonOverridableArguments",)
IN_TRANSIT = ("SecurityConfiguration", "EncryptionConfiguration")
PLANTED: dict[str, tuple[str, Change, str]] = {
    "an apostrophe in a rule": (
        "emr",
        put("EC2::SecurityGroupIngress", "Description", value="EMR's service"),
        '"EMR\'s service" does not',
    ),
    "an inline rule too long": (
        "emr",
        put("EC2::SecurityGroup", "SecurityGroupEgress", 0, "Description", value="a" * 256),
        "is above 255",
    ),
    "a group's text in German": (
        "emr",
        put("EC2::SecurityGroup", "GroupDescription", value="Für EMR"),
        "does not match",
    ),
    "a rule without ports": ("emr", put("EC2::SecurityGroupEgress", "ToPort", value=None), "the ports"),
    "a protocol by its capitals": (
        "emr",
        put("EC2::SecurityGroupIngress", "IpProtocol", value="TCP"),
        "is none of tcp",
    ),
    "a subnet where a VPC belongs": (
        "network",
        put("EC2::RouteTable", "VpcId", value={"Ref": "AclD68BE482"}),
        "does not match (vpc)",
    ),
    "a network of five numbers": (
        "network",
        put("EC2::Subnet", "CidrBlock", value="10.0.0.0.0/27"),
        "does not match",
    ),
    "a tag that AWS keeps": ("network", put("EC2::VPC", "Tags", 0, "Key", value="aws:project"), "does not match"),
    "a tag of strange characters": ("storage", put("S3::Bucket", "Tags", 0, "Value", value="50 %"), "does not match"),
    "a role's text with an arrow": ("glue", put("IAM::Role", "Description", value="jobs → data"), "does not match"),
    "a role's name too long": ("emr", put("IAM::Role", "RoleName", value="r" * 65), "is above 64"),
    "a statement with a dash in its name": (
        "glue",
        _statement("IAM::Policy", "PolicyDocument", Sid="Read-Data"),
        "Sid",
    ),
    "an action without its service": (
        "glue",
        _statement("IAM::Policy", "PolicyDocument", Action="GetObject"),
        "Action",
    ),
    "a bucket's name for its ARN": (
        "glue",
        _statement("IAM::Policy", "PolicyDocument", Resource="my-bucket/*"),
        "Resource",
    ),
    "an operator that IAM does not know": (
        "glue",
        _statement("IAM::Policy", "PolicyDocument", Condition={"StringMatches": {"a": "b"}}),
        "the operator",
    ),
    "policies too long together": ("glue", _many_statements, "above 10240 bytes"),
    "a trust policy on a resource": (
        "glue",
        _statement("IAM::Role", "AssumeRolePolicyDocument", Resource="*"),
        "a trust policy with a Resource",
    ),
    "an unknown argument of Glue": (
        "glue",
        put("Glue::Job", *ARGUMENTS, "--enable-magic", value="true"),
        "--enable-magic is no",
    ),
    "an argument that Glue keeps": ("glue", put("Glue::Job", *ARGUMENTS, "--JOB_NAME", value="x"), "is Glue's own"),
    "a yes for a true": (
        "glue",
        put("Glue::Job", *ARGUMENTS, "--enable-spark-ui", value="yes"),
        "does not match true|false",
    ),
    "a variable without its prefix": (
        "glue",
        put("Glue::Job", *ARGUMENTS, "--customer-driver-env-vars", value="UNUSED=1"),
        "does not match CUSTOMER_",
    ),
    "a group of logs with a colon": (
        "glue",
        put("Glue::Job", *ARGUMENTS, "--custom-logGroup-prefix", value="/aws-glue/a:b"),
        "does not match",
    ),
    "arguments too long": (
        "glue",
        put("Glue::Job", *ARGUMENTS, "--extra-files", value="s3://bucket/" + "x" * 270_000),
        "above 266240 bytes",
    ),
    "a job's text with a control character": (
        "glue",
        put("Glue::Job", "Description", value="one\x0btwo"),
        "does not match",
    ),
    "a worker of yesterday": ("glue", put("Glue::Job", "WorkerType", value="G.3X"), "is none of"),
    "an encryption that EMR does not know": (
        "emr",
        put(
            "EMR::SecurityConfiguration",
            *IN_TRANSIT,
            "AtRestEncryptionConfiguration",
            "S3EncryptionConfiguration",
            "EncryptionMode",
            value="AES256",
        ),
        "is none of SSE-S3",
    ),
    "a key of EMR's JSON misspelt": (
        "emr",
        put("EMR::SecurityConfiguration", *IN_TRANSIT, "EnableInTransit", value=False),
        "is none of",
    ),
    "a classification misspelt": (
        "emr",
        put("EMR::Cluster", "Configurations", 0, "Classification", value="spark-default"),
        "is none of",
    ),
    "a cluster's name too long": ("emr", put("EMR::Cluster", "Name", value="e" * 257), "is above 256"),
    "a log's address without a scheme": (
        "emr",
        put("EMR::Cluster", "LogUri", value="bucket/logs/"),
        "does not match",
    ),
    "days beside a delete marker": (
        "storage",
        _rule(ExpiredObjectDeleteMarker=True),
        "a delete marker's expiry beside",
    ),
    "no day at all": ("storage", _rule(ExpirationInDays=0), "0 days"),
    "two rules of one name": ("storage", _rule(Id="Logs"), "two rules of the name Logs"),
    "a rule's name too long": ("storage", _rule(Id="w" * 256), "is above 255"),
    "a table's name with a blank": (
        "storage",
        put("DynamoDB::Table", "TableName", value="my ledger"),
        "does not match",
    ),
    "a table's key of type string": (
        "storage",
        put("DynamoDB::Table", "AttributeDefinitions", 0, "AttributeType", value="STRING"),
        "is none of S, N, B",
    ),
    "a retention that CloudWatch does not know": (
        "network",
        put("Logs::LogGroup", "RetentionInDays", value=45),
        "is none of 1, 3, 5",
    ),
    "an output's text too long": ("storage", _output, "a description above 1024 bytes"),
    "a template's text too long": (
        "storage",
        lambda template: template.update(Description="d" * 1025),
        "above 1024 bytes",
    ),
}
