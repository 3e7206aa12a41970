"""Templates as AWS's APIs would see them: what only a deployment knows stands there at its longest.

An identifier has the form that EC2 gives it, so that a subnet's id where a VPC's belongs is seen, too.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from infra.intrinsics import TYPES, Resource, Templates

PLACES = (("aws", "ap-southeast-1"), ("aws-us-gov", "us-gov-west-1"))
"""The longest names of a partition and of its regions; China's is refused (stacks/config/app.py)."""
ACCOUNT = "111122223333"
_RANDOM = "A1B2C3D4E5F6G"  # what CloudFormation puts behind a name that it makes
_IDS = {
    "AWS::EC2::EIP": "eipalloc",
    "AWS::EC2::FlowLog": "fl",
    "AWS::EC2::InternetGateway": "igw",
    "AWS::EC2::NatGateway": "nat",
    "AWS::EC2::NetworkAcl": "acl",
    "AWS::EC2::RouteTable": "rtb",
    "AWS::EC2::SecurityGroup": "sg",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::VPC": "vpc",
    "AWS::EC2::VPCEndpoint": "vpce",
}
_MOST = {  # of a name that CloudFormation makes: its own rule, or else the service's
    "AWS::DynamoDB::Table": 255,
    "AWS::IAM::InstanceProfile": 128,
    "AWS::IAM::Role": 64,
    "AWS::Lambda::Function": 64,
    "AWS::S3::Bucket": 63,
}
_LAYER = "arn:{partition}:lambda:{region}:{account}:layer:{name}:1"
_OWN_ARN = {"AWS::Lambda::LayerVersion": _LAYER, "AWS::CloudFormation::WaitConditionHandle": "https://{name}"}


class Longest(Templates):
    """The stacks in one place, each under its full name (by the short one that the templates go by)."""

    def __init__(
        self, templates: Mapping[str, dict[str, Any]], names: Mapping[str, str], partition: str, region: str
    ) -> None:
        self.names = names
        self._known: dict[tuple[str, str], Resource] = {}
        super().__init__(templates, ACCOUNT, region, partition)

    def resource(self, stack: str, logical_id: str) -> Resource:
        """As the base class's, remembered: it looks through all resources for each."""
        if (stack, logical_id) not in self._known:
            self._known = {each[:2]: each for each in self.resources()}
        return (
            self._known[stack, logical_id]
            if (stack, logical_id) in self._known
            else super().resource(stack, logical_id)
        )

    def name(self, resource: Resource) -> str:
        """The physical name or id, given or made."""
        if resource.type in _IDS:
            digits = hashlib.sha256(resource.logical_id.encode()).hexdigest()[:17]
            return f"{_IDS[resource.type]}-{digits}"
        if resource.type == "AWS::KMS::Key":
            return "1234abcd-12ab-34cd-56ef-1234567890ab"
        if resource.type == "AWS::EMR::Cluster":
            return "j-1K48XXXXXXHCB"
        given: Any = resource.properties
        for part in (TYPES.get(resource.type, ("",))[0] or "").split("."):
            given = given.get(part) if given else None
        if given:
            return str(self.resolve(resource.stack, given))
        full, most = self.names.get(resource.stack, resource.stack), _MOST.get(resource.type, 255)
        kept = f"{full}-{resource.logical_id}"[: most - len(_RANDOM) - 1]
        made = f"{kept}-{_RANDOM}"
        if resource.type == "AWS::S3::Bucket":
            return made.lower().ljust(most, "x")
        made = made.ljust(most, "X") if resource.type == "AWS::IAM::Role" else made
        if resource.type in _OWN_ARN:
            return _OWN_ARN[resource.type].format(**self.place, name=made)
        return made

    def resolve(self, stack: str, value: Any) -> Any:
        """As the base class does, with the zones of a region besides."""
        if isinstance(value, dict) and set(value) == {"Fn::GetAZs"}:
            return [self.place["region"] + letter for letter in "abc"]
        return super().resolve(stack, value)

    def _ref(self, stack: str, name: str) -> Any:
        if name == "AWS::StackName":
            return self.names.get(stack, stack)
        if name == "AWS::StackId":
            made = "arn:{partition}:cloudformation:{region}:{account}:stack/".format(**self.place)
            return f"{made}{self.names.get(stack, stack)}/12345678-1234-1234-1234-123456789012"
        return super()._ref(stack, name)

    def _get_att(self, stack: str, path: Any) -> str:
        logical_id, attribute = path.split(".", 1) if isinstance(path, str) else path
        if attribute == "AllocationId":
            return self.name(self.resource(stack, logical_id))
        return super()._get_att(stack, path)


def deployed(templates: Mapping[str, dict[str, Any]], names: Mapping[str, str]) -> Iterator[Longest]:
    """The same stacks in each of the places whose names are the longest."""
    for partition, region in PLACES:
        yield Longest(templates, names, partition, region)
