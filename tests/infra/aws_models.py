"""What AWS says of a property: CloudFormation's schemas (inside cfn-lint) and the services' models (botocore's).

botocore lies in the environment beside this one, where moto brings it; its models are read as files.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cfnlint
import regex

SITE_PACKAGES = Path(sys.prefix).resolve().parent / "lib" / "python3.11" / "site-packages"
SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"
Path_ = tuple[str, ...]  # of a property: names, and [] for an item of a list


class Limit(NamedTuple):
    """What one source says of a text or a number."""

    source: str
    shortest: float | None = None
    longest: float | None = None
    pattern: str | None = None
    whole: bool = True  # the pattern is for all of it, or for some part
    values: tuple[Any, ...] | None = None

    @property
    def says_something(self) -> bool:
        """Whether it can refuse anything that is not empty."""
        return self.longest is not None or self.pattern is not None or self.values is not None

    def refuses(self, value: Any) -> str | None:
        """What is wrong with a value."""
        size = len(value) if isinstance(value, str) else value
        if self.values is not None and value not in self.values:
            return f"is none of {', '.join(map(str, self.values))}"
        if self.shortest is not None and size < self.shortest:
            return f"is below {self.shortest:g} ({size})"
        if self.longest is not None and size > self.longest:
            return f"is above {self.longest:g} ({size})"
        if self.pattern is not None and isinstance(value, str):
            compiled = _for_python(self.pattern)
            if not (compiled.fullmatch if self.whole else compiled.search)(value, timeout=10):
                return f"does not match {self.pattern}"
        return None


@cache
def _for_python(pattern: str) -> Any:
    """AWS writes UTF-16: two halves of a character, where Python wants the character."""
    plain = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), pattern)
    pairs = "\ud800\udc00-\udbff\udfff"
    plain = plain.replace(pairs, "\U00010000-\U0010ffff")
    return regex.compile(plain, regex.DOTALL)


# -- the services' models

OPERATIONS = {
    "AWS::Budgets::Budget": ("budgets", "CreateBudget"),
    "AWS::DynamoDB::Table": ("dynamodb", "CreateTable"),
    "AWS::EC2::EIP": ("ec2", "AllocateAddress"),
    "AWS::EC2::FlowLog": ("ec2", "CreateFlowLogs"),
    "AWS::EC2::NetworkAclEntry": ("ec2", "CreateNetworkAclEntry"),
    "AWS::EC2::VPC": ("ec2", "CreateVpc"),
    "AWS::EC2::VPCEndpoint": ("ec2", "CreateVpcEndpoint"),
    "AWS::EMR::Cluster": ("emr", "RunJobFlow"),
    "AWS::CloudTrail::Trail": ("cloudtrail", "CreateTrail"),
    "AWS::Events::Rule": ("events", "PutRule"),
    "AWS::SNS::Subscription": ("sns", "Subscribe"),
    "AWS::StepFunctions::StateMachine": ("stepfunctions", "CreateStateMachine"),
    "AWS::EMR::SecurityConfiguration": ("emr", "CreateSecurityConfiguration"),
    "AWS::Glue::Connection": ("glue", "CreateConnection"),
    "AWS::Glue::Job": ("glue", "CreateJob"),
    "AWS::Glue::SecurityConfiguration": ("glue", "CreateSecurityConfiguration"),
    "AWS::IAM::InstanceProfile": ("iam", "CreateInstanceProfile"),
    "AWS::IAM::ManagedPolicy": ("iam", "CreatePolicy"),
    "AWS::IAM::Policy": ("iam", "PutRolePolicy"),
    "AWS::IAM::Role": ("iam", "CreateRole"),
    "AWS::KMS::Key": ("kms", "CreateKey"),
    "AWS::Lambda::Function": ("lambda", "CreateFunction"),
    "AWS::Lambda::LayerVersion": ("lambda", "PublishLayerVersion"),
    "AWS::Logs::LogGroup": ("logs", "CreateLogGroup"),
    "AWS::S3::Bucket": ("s3", "CreateBucket"),
    "AWS::SSM::Parameter": ("ssm", "PutParameter"),
}
"""The call behind each type."""
RENAMED = [  # type, the property's path, and where the model has it: (operation, path)
    ("AWS::EMR::Cluster", "Instances/(Master|Core)InstanceGroup", None, "Instances/InstanceGroups/[]"),
    ("AWS::EMR::Cluster", "(.*)ConfigurationProperties/", None, r"\1Properties/"),
    ("AWS::CloudTrail::Trail", "TrailName", None, "Name"),
    ("AWS::CloudTrail::Trail", "AdvancedEventSelectors", "PutEventSelectors", "AdvancedEventSelectors"),
    ("AWS::CloudTrail::Trail", "Tags", None, "TagsList"),
    ("AWS::Events::Rule", "Targets", "PutTargets", "Targets"),
    ("AWS::StepFunctions::StateMachine", "DefinitionString", None, "definition"),
    ("AWS::Glue::SecurityConfiguration", "(.*)/S3Encryptions", None, r"\1/S3Encryption"),
    ("AWS::IAM::InstanceProfile", "Roles/\\[\\]", "AddRoleToInstanceProfile", "RoleName"),
    ("AWS::IAM::ManagedPolicy", "Roles/\\[\\]", "AttachRolePolicy", "RoleName"),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName", None, "PolicyName"),
    ("AWS::IAM::Policy", "Roles/\\[\\]", "PutRolePolicy", "RoleName"),
    ("AWS::IAM::Role", "ManagedPolicyArns/\\[\\]", "AttachRolePolicy", "PolicyArn"),
    ("AWS::KMS::Key", "Tags/\\[\\]/", None, "Tags/[]/Tag"),
    ("AWS::Logs::LogGroup", "Tags/\\[\\]/Key", None, "Tags/{key}"),
    ("AWS::Logs::LogGroup", "Tags/\\[\\]/Value", None, "Tags/{value}"),
    ("AWS::S3::Bucket", "BucketName", None, "Bucket"),
    ("AWS::S3::Bucket", "BucketEncryption/ServerSideEncryptionConfiguration/\\[\\]/ServerSideEncryptionByDefault",
     "PutBucketEncryption", "ServerSideEncryptionConfiguration/Rules/[]/ApplyServerSideEncryptionByDefault"),
    ("AWS::S3::Bucket", "LifecycleConfiguration/Rules/\\[\\]/Id",
     "PutBucketLifecycleConfiguration", "LifecycleConfiguration/Rules/[]/ID"),
    ("AWS::S3::Bucket", "LifecycleConfiguration/", "PutBucketLifecycleConfiguration", "LifecycleConfiguration/"),
    ("AWS::S3::Bucket", "OwnershipControls/", "PutBucketOwnershipControls", "OwnershipControls/"),
    ("AWS::S3::Bucket", "VersioningConfiguration/", "PutBucketVersioning", "VersioningConfiguration/"),
]  # fmt: skip


def of_service(kind: str, path: Path_) -> Iterator[Limit]:
    """What the service's model says of a property; nothing where it does not know it."""
    if kind not in OPERATIONS:
        return
    service, operation = OPERATIONS[kind]
    joined = "/".join(path)
    for of, pattern, other, place in RENAMED:
        if of == kind and (match := re.match(pattern, joined)):
            operation = other or operation
            joined = match.expand(place) + joined[match.end() :]
    shapes = _model(service)["shapes"]
    shape = shapes[_model(service)["operations"][operation]["input"]["shape"]]
    for part in joined.split("/"):
        inner = _inner(shape, part)
        if inner is None:
            return
        shape = shapes[inner]
    yield from _limits(shape, f"{service} {operation}")


def _inner(shape: dict[str, Any], part: str) -> str | None:
    """The shape of a part of a shape, by its name in CloudFormation."""
    match shape["type"], part:
        case "list", "[]":
            return shape["member"]["shape"]
        case "map", "{key}":
            return shape["key"]["shape"]
        case "map", _:
            return shape["value"]["shape"]
        case "structure", _:
            members = {name.lower(): member["shape"] for name, member in shape["members"].items()}
            return members.get(part.lower())
    return None


def _limits(shape: dict[str, Any], source: str) -> Iterator[Limit]:
    if shape["type"] not in ("string", "integer", "long", "double"):
        return
    values = tuple(shape["enum"]) if "enum" in shape else None
    yield Limit(source, shape.get("min"), shape.get("max"), shape.get("pattern"), values=values)


@cache
def _model(service: str) -> Any:
    (*_, newest) = sorted((SITE_PACKAGES / "botocore" / "data" / service).glob("*/service-2.json.gz"))
    return json.loads(gzip.decompress(newest.read_bytes()))


# -- CloudFormation's schemas


def of_schema(kind: str, path: Path_) -> Iterator[Limit]:
    """What the resource's schema says of a property."""
    schema = _schema(kind)
    for node in _nodes(schema, schema, path) if schema else ():
        values = node.get("enum") or ([node["const"]] if "const" in node else None)
        limit = Limit(
            f"schema of {kind}",
            node.get("minLength", node.get("minimum")),
            node.get("maxLength", node.get("maximum")),
            node.get("pattern"),
            whole=False,
            values=tuple(values) if values else None,
        )
        if limit.says_something:
            yield limit


def _nodes(schema: dict[str, Any], node: dict[str, Any], path: Path_) -> Iterator[dict[str, Any]]:
    """Every part of a schema that speaks of a path without a condition (cfn-lint knows those with one)."""
    while "$ref" in node:
        target: Any = schema
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    for inner in node.get("allOf", []):
        yield from _nodes(schema, inner, path)
    if not path:
        yield node
        return
    part, *rest = path
    if part == "[]":
        inner = node.get("items", {})
    elif part == "{key}":
        names = list(node.get("patternProperties", {}))
        if len(names) == 1 and not rest:
            yield {"pattern": names[0]}
        return
    else:
        inner = node.get("properties", {}).get(part)
        patterns = node.get("patternProperties", {}) if inner is None else {}
        fitting = [each for name, each in patterns.items() if regex.search(name, part)]
        inner = inner if inner is not None else (fitting[0] if fitting else {})
    if isinstance(inner, dict):
        yield from _nodes(schema, inner, tuple(rest))


@cache
def _schema(kind: str) -> Any:
    listed = json.loads((SCHEMAS / "providers" / "us-east-1.json").read_text())
    if kind not in listed:
        return None
    return json.loads((SCHEMAS / "resources" / f"{listed[kind]}.json").read_text())
