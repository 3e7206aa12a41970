"""CloudFormation's intrinsic functions, resolved to the strings that AWS would see; several stacks together."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# Where a type's name stands in its properties, and its ARN after "arn:PARTITION:". A name that the template leaves
# to CloudFormation is made from stack and logical id.
TYPES = {
    "AWS::DynamoDB::GlobalTable": ("TableName", "dynamodb:{region}:{account}:table/{name}"),
    "AWS::DynamoDB::Table": ("TableName", "dynamodb:{region}:{account}:table/{name}"),
    "AWS::EC2::SecurityGroup": (None, "ec2:{region}:{account}:security-group/{name}"),
    "AWS::EC2::Subnet": (None, "ec2:{region}:{account}:subnet/{name}"),
    "AWS::EC2::VPC": (None, "ec2:{region}:{account}:vpc/{name}"),
    "AWS::EC2::VPCEndpoint": (None, "ec2:{region}:{account}:vpc-endpoint/{name}"),
    "AWS::EMR::Cluster": (None, "elasticmapreduce:{region}:{account}:cluster/{name}"),
    "AWS::EMR::SecurityConfiguration": ("Name", None),
    "AWS::Glue::Connection": ("ConnectionInput.Name", "glue:{region}:{account}:connection/{name}"),
    "AWS::Glue::Job": ("Name", "glue:{region}:{account}:job/{name}"),
    "AWS::Glue::SecurityConfiguration": ("Name", None),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", "iam::{account}:instance-profile{path}{name}"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", "iam::{account}:policy{path}{name}"),
    "AWS::IAM::Role": ("RoleName", "iam::{account}:role{path}{name}"),
    "AWS::KMS::Alias": ("AliasName", "kms:{region}:{account}:{name}"),
    "AWS::KMS::Key": (None, "kms:{region}:{account}:key/{name}"),
    "AWS::Lambda::Function": ("FunctionName", "lambda:{region}:{account}:function:{name}"),
    "AWS::Logs::LogGroup": ("LogGroupName", "logs:{region}:{account}:log-group:{name}:*"),
    "AWS::S3::Bucket": ("BucketName", "s3:::{name}"),
    "AWS::SSM::Parameter": ("Name", "ssm:{region}:{account}:parameter/{name}"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "states:{region}:{account}:stateMachine:{name}"),
    "AWS::SNS::Topic": ("TopicName", "sns:{region}:{account}:{name}"),
}
REF_IS_ARN = {"AWS::IAM::ManagedPolicy", "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine"}
# Attributes besides Arn.
ATTRIBUTES = {
    ("AWS::DynamoDB::Table", "StreamArn"): "{arn}/stream/2026-01-01T00:00:00.000",
    ("AWS::EC2::SecurityGroup", "GroupId"): "{name}",
    ("AWS::EC2::Subnet", "SubnetId"): "{name}",
    ("AWS::EC2::VPC", "DefaultSecurityGroup"): "{name}-default-security-group",
    ("AWS::EC2::VPC", "VpcId"): "{name}",
    ("AWS::KMS::Key", "KeyId"): "{name}",
    ("AWS::S3::Bucket", "DomainName"): "{name}.s3.{suffix}",
    ("AWS::S3::Bucket", "RegionalDomainName"): "{name}.s3.{region}.{suffix}",
}
NO_VALUE = object()


class CannotTell(Exception):
    """Something here is not known to the evaluator: it says so rather than guess."""


class Resource(NamedTuple):
    """A resource of a template, its properties not yet resolved."""

    stack: str
    logical_id: str
    type: str
    properties: dict[str, Any]
    conditional: bool


class Templates:
    """Stacks by name, deployed in thought to one account and region."""

    def __init__(self, templates: Mapping[str, dict[str, Any]], account: str, region: str, partition: str) -> None:
        self.templates = templates
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        self.place = {"account": account, "region": region, "partition": partition, "suffix": suffix}
        self._exports: dict[str, tuple[str, Any]] = {}
        for stack, template in templates.items():
            for output in template.get("Outputs", {}).values():
                if "Export" in output:
                    name = self.resolve(stack, output["Export"]["Name"])
                    if name in self._exports:
                        raise CannotTell(f"two stacks export {name}")
                    self._exports[name] = (stack, output["Value"])

    def resources(self) -> Iterator[Resource]:
        for stack, template in self.templates.items():
            for logical_id, body in template.get("Resources", {}).items():
                yield Resource(stack, logical_id, body["Type"], body.get("Properties", {}), "Condition" in body)

    def resource(self, stack: str, logical_id: str) -> Resource:
        for resource in self.resources():
            if resource[:2] == (stack, logical_id):
                return resource
        raise CannotTell(f"{stack} has no resource or parameter {logical_id}")

    def name(self, resource: Resource) -> str:
        """The physical name or id."""
        if resource.type not in TYPES:
            raise CannotTell(f"what Ref gives for {resource.type} ({resource.logical_id}): add it to TYPES")
        given: Any = resource.properties
        for part in (TYPES[resource.type][0] or "").split("."):
            given = given.get(part) if given else None
        if given:
            return str(self.resolve(resource.stack, given))
        made = f"{resource.stack}-{resource.logical_id}"
        return made.lower() if resource.type == "AWS::S3::Bucket" else made

    def arn(self, resource: Resource) -> str:
        pattern = TYPES.get(resource.type, (None, None))[1]
        if pattern is None:
            raise CannotTell(f"the ARN of {resource.type} ({resource.logical_id}): add it to TYPES")
        path = self.resolve(resource.stack, resource.properties.get("Path", "/")) if "{path}" in pattern else ""
        return f"arn:{self.place['partition']}:" + pattern.format(**self.place, path=path, name=self.name(resource))

    def resolve(self, stack: str, value: Any) -> Any:
        """The value without intrinsics, as `stack` would see it."""
        if isinstance(value, list):
            return [item for item in (self.resolve(stack, each) for each in value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        functions = [key for key in value if key == "Ref" or key.startswith("Fn::")]
        if not functions:
            whole = {key: self.resolve(stack, each) for key, each in value.items()}
            return {key: each for key, each in whole.items() if each is not NO_VALUE}
        known = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::ImportValue": self._import_value,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Sub": self._sub,
        }
        if len(value) > 1 or functions[0] not in known:
            raise CannotTell(f"{stack}: how to resolve {value}")
        return known[functions[0]](stack, value[functions[0]])

    def _ref(self, stack: str, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name.startswith("AWS::"):
            place = {
                "AWS::AccountId": self.place["account"],
                "AWS::Partition": self.place["partition"],
                "AWS::Region": self.place["region"],
                "AWS::StackName": stack,
                "AWS::URLSuffix": self.place["suffix"],
            }
            if name not in place:
                raise CannotTell(f"{stack}: the pseudo parameter {name}")
            return place[name]
        parameter = self.templates[stack].get("Parameters", {}).get(name)
        if parameter is None:
            resource = self.resource(stack, name)
            return self.arn(resource) if resource.type in REF_IS_ARN else self.name(resource)
        if "Default" not in parameter or parameter["Type"].startswith("AWS::SSM::"):
            raise CannotTell(f"{stack}: the value of parameter {name}, which stands only in AWS")
        return parameter["Default"]

    def _get_att(self, stack: str, path: Any) -> str:
        logical_id, attribute = path.split(".", 1) if isinstance(path, str) else path
        resource = self.resource(stack, logical_id)
        if attribute == "Arn":
            return self.arn(resource)
        pattern = ATTRIBUTES.get((resource.type, attribute))
        if pattern is None:
            raise CannotTell(f"{stack}: {attribute} of {resource.type} ({logical_id}): add it to ATTRIBUTES")
        arn = self.arn(resource) if "{arn}" in pattern else ""
        return pattern.format(**self.place, arn=arn, name=self.name(resource))

    def _import_value(self, stack: str, name: Any) -> Any:
        name = self.resolve(stack, name)
        if name not in self._exports:
            raise CannotTell(f"{stack} imports {name}, which no stack here exports")
        return self.resolve(*self._exports[name])

    def _join(self, stack: str, arguments: Any) -> str:
        delimiter, parts = arguments
        return str(delimiter).join(str(part) for part in self.resolve(stack, parts))

    def _split(self, stack: str, arguments: Any) -> list[str]:
        delimiter, text = arguments
        return str(self.resolve(stack, text)).split(delimiter)

    def _select(self, stack: str, arguments: Any) -> Any:
        index, items = arguments
        return self.resolve(stack, items)[int(self.resolve(stack, index))]

    def _sub(self, stack: str, arguments: Any) -> str:
        text, values = arguments if isinstance(arguments, list) else (arguments, {})

        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in values:
                return str(self.resolve(stack, values[name]))
            return str(self._get_att(stack, name) if "." in name else self._ref(stack, name))

        return re.sub(r"\$\{([^}]+)\}", put, text)
