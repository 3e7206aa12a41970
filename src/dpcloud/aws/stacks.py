"""What `cdk deploy` left behind, by the outputs of its stacks."""

import re
from dataclasses import dataclass, field
from typing import Any

from dpcloud.aws.errors import AwsError, explained
from dpcloud.aws.session import client
from dpjobs.errors import InputError

_LEDGER = "LedgerTableArn"
_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}", re.ASCII)
_WHERE = "`cdk deploy --all`, or AWS_PROFILE and AWS_REGION of where it is deployed, or its prefix with --stack"


def check_stack(name: str) -> str:
    """Return the name or prefix of a stack when it can be one; raises InputError."""
    if not _STACK.fullmatch(name):
        raise InputError.of("malformed stack name", name, "a letter, then letters, digits and '-', 128 at most")
    return name


@dataclass(frozen=True)
class Deployment:
    """The stacks PREFIX-network, -storage, -glue, -emr, -ask, of which an account and region need not have each."""

    prefix: str
    _outputs: dict[str, dict[str, str] | None] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_stack(self.prefix)

    def outputs(self, ending: str) -> dict[str, str] | None:
        """Return the outputs of PREFIX-ENDING, None when there is no such stack; raises AwsError."""
        if ending not in self._outputs:
            self._outputs[ending] = outputs_of(f"{self.prefix}-{ending}")
        return self._outputs[ending]

    def output(self, ending: str, key: str) -> str:
        """Return one output of a stack; raises InputError when there is no such stack or output."""
        found = self.outputs(ending)
        name = f"{self.prefix}-{ending}"
        if found is None:
            raise InputError.of(f"no such stack in this account and region ({_region()})", name, _WHERE)
        if key not in found:
            allowed = "`cdk deploy --all` of this version, with what it is asked for switched on"
            raise InputError.of(f"the stack has no output {key}", name, allowed)
        return found[key]

    def either(self, key: str, *endings: str) -> str:
        """Return an output of the first of these stacks that has it and may be looked at; raises InputError."""
        denied: AwsError | None = None
        for ending in endings:
            try:
                found = self.outputs(ending)
            except AwsError as error:
                if not error.denied:
                    raise
                denied = denied or error
                continue
            if found and key in found:
                return found[key]
        if denied:
            raise denied
        return self.output(endings[0], key)

    @property
    def ledger(self) -> str:
        """The ARN of the ledger's table; an analyst may look at the stack of the door alone."""
        return self.either(_LEDGER, "storage", "ask")

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self.either("BucketName", "storage", "ask")


def ledger_table(stack: str) -> str:
    """Return the ARN of the ledger's table of a stack, or of the deployment with this prefix; raises InputError."""
    own = outputs_of(check_stack(stack)) if stack.endswith(("-storage", "-ask")) else None
    if own is not None and _LEDGER in own:
        return own[_LEDGER]
    return Deployment(stack).ledger


def outputs_of(stack: str) -> dict[str, str] | None:
    """Return a stack's outputs, None when there is no such stack; raises AwsError."""
    cloudformation = client("cloudformation")
    try:
        with explained(f"look at the stack {stack}"):
            [described] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except AwsError as error:
        if error.code == "ValidationError":  # what CloudFormation says when there is no such stack
            return None
        raise
    listed: list[dict[str, Any]] = described.get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in listed}


def _region() -> str:
    return str(client("cloudformation").meta.region_name)
