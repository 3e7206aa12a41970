"""What AWS's APIs would refuse in our templates, though CloudFormation's parser, cfn-lint and moto take it.

Every text (and number) of every resource is held against the service's model, the resource's schema and the table
in aws_table.py; policies against IAM's grammar and its sizes; the template against CloudFormation's own limits.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from infra import aws_models, aws_names, aws_table
from infra.aws_longest import Longest, deployed
from infra.aws_models import Limit, Path_
from infra.intrinsics import NO_VALUE, Resource

POLICIES = ("AssumeRolePolicyDocument", "KeyPolicy", "PolicyDocument")
_MAPS = ("Tags", "DefaultArguments", "NonOverridableArguments", "ConfigurationProperties", "Variables")
_ACTION = r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+"
_SID = "[A-Za-z0-9]*"
_RESOURCE = r"\*|arn:(aws|aws-us-gov|\*):[a-z0-9-]*:[a-z0-9*-]*:(\d{12}|aws|\*)?:.+"
_OPERATORS = re.compile(
    r"(ForAllValues:|ForAnyValue:)?((String|Arn)(Not)?(Equals|Like)|StringNot?EqualsIgnoreCase|Bool|Null"
    r"|(Numeric|Date)(Not)?(Equals|LessThan(Equals)?|GreaterThan(Equals)?)|(Not)?IpAddress)(IfExists)?"
)


def complaints(
    templates: Mapping[str, dict[str, Any]], names: Mapping[str, str], only: str | None = None
) -> list[str]:
    """What AWS would refuse, one line each, in all stacks or `only` one; `names` are their full ones by the short."""
    found: dict[str, None] = {}
    looked_at = {stack: template for stack, template in templates.items() if only in (None, stack)}
    for stack, template in looked_at.items():
        for line in _of_template(names.get(stack, stack), template):
            found[f"{stack}: {line}"] = None
    for stacks in deployed(templates, names):
        for stack, template in looked_at.items():
            for line in _of_outputs(stacks, stack, template.get("Outputs", {})):
                found[f"{stack}: {line}"] = None
        for resource in stacks.resources():
            for line in _of_resource(stacks, resource) if resource.stack in looked_at else ():
                found[f"{resource.stack}/{resource.logical_id} ({resource.type}) {line}"] = None
        for line in _of_roles(stacks):
            found[line] = None
    return list(found)


def unheld(templates: Mapping[str, dict[str, Any]], names: Mapping[str, str]) -> set[tuple[str, str]]:
    """The texts (type, path) that no source says anything of, and that aws_names.FREE does not name."""
    stacks = next(deployed(templates, names))
    found = set()
    for resource in stacks.resources():
        for path, value in leaves(_plain(stacks, resource)):
            if isinstance(value, str) and not any(limit.says_something for limit in limits(resource.type, path)):
                found.add((resource.type, "/".join(path)))
    free = aws_names.FREE
    return {
        each for each in found if not any(re.fullmatch(k, each[0]) and re.fullmatch(p, each[1]) for k, p, _ in free)
    }


@cache
def limits(kind: str, path: Path_) -> tuple[Limit, ...]:
    """Everything that is said of a property."""
    joined = "/".join(path)
    table = (line.limit for line in aws_table.LINES if line.speaks_of(kind, joined))
    return (*aws_models.of_service(kind, path), *aws_models.of_schema(kind, path), *table)


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every text and number with its path, the names too that we choose (as …/{key}); no policies."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in POLICIES:
                if (path[-1:] and path[-1] in _MAPS) or path[:1] == ("SecurityConfiguration",):
                    yield (*path, "{key}"), name
                yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, (*path, "[]"))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield path, value


def _plain(stacks: Longest, resource: Resource) -> dict[str, Any]:
    """The properties without intrinsics."""
    resolved = stacks.resolve(resource.stack, resource.properties)
    return {} if resolved is NO_VALUE else resolved


def _of_resource(stacks: Longest, resource: Resource) -> Iterator[str]:
    properties = _plain(stacks, resource)
    for path, value in leaves(properties):
        for limit in limits(resource.type, path):
            if wrong := limit.refuses(value):
                yield f"{'/'.join(path)}: {value!r} {wrong} [{limit.source}]"
    for name in POLICIES:
        if name in properties:
            yield from (f"{name}: {line}" for line in _of_policy(resource.type, properties[name]))
    if resource.type == "AWS::Glue::Job":
        yield from _of_arguments(properties)
    if resource.type == "AWS::S3::Bucket":
        yield from _of_lifecycle(properties.get("LifecycleConfiguration", {}).get("Rules", []))
    if resource.type in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        yield from _of_rule(properties)
    for rule in (*properties.get("SecurityGroupIngress", ()), *properties.get("SecurityGroupEgress", ())):
        yield from _of_rule(rule)


def _of_rule(rule: Mapping[str, Any]) -> Iterator[str]:
    """API_IpPermission.html: TCP and UDP take ports, ICMP a type and a code, and neither may be left out."""
    first, last = rule.get("FromPort"), rule.get("ToPort")
    if rule["IpProtocol"] in ("tcp", "udp"):
        if first is None or last is None or not 0 <= first <= last <= 65_535:
            yield f"the ports {first} to {last} of {rule['IpProtocol']}"
    elif rule["IpProtocol"] == "icmp" and not all(port is not None and -1 <= port <= 255 for port in (first, last)):
        yield f"the type {first} and code {last} of ICMP"


def _of_arguments(properties: Mapping[str, Any]) -> Iterator[str]:
    """Glue's names, or our own scripts'; none that Glue sets itself; 260 KB together."""
    both = [properties.get(name, {}) for name in ("DefaultArguments", "NonOverridableArguments")]
    for name in (name for arguments in both for name in arguments):
        if name in aws_names.GLUE_RESERVED:
            yield f"{name} is Glue's own [{aws_table.GLUE}]"
        elif name not in aws_names.GLUE_ARGUMENTS | aws_names.OUR_ARGUMENTS:
            yield f"{name} is no argument that Glue or our script documents [{aws_table.GLUE}]"
    size = sum(len(json.dumps(arguments).encode()) for arguments in both)
    if size > aws_names.GLUE_ARGUMENTS_BYTES:
        yield f"the arguments are above {aws_names.GLUE_ARGUMENTS_BYTES} bytes ({size}) [{aws_table.GLUE}]"


def _of_lifecycle(rules: list[dict[str, Any]]) -> Iterator[str]:
    """S3's rules about rules."""
    ids = Counter(rule.get("Id") for rule in rules)
    yield from (f"two rules of the name {name} [{aws_table.S3_RULES}]" for name, times in ids.items() if times > 1)
    for rule in rules:
        days = {"ExpirationInDays", "ExpirationDate"} & set(rule)
        if rule.get("ExpiredObjectDeleteMarker") and days:
            yield f"{rule.get('Id')}: a delete marker's expiry beside {days.pop()} [{aws_table.S3_RULES}]"
        if not set(rule) - {"Id", "Status", "Prefix", "Filter", "TagFilters"}:
            yield f"{rule.get('Id')}: a rule that does nothing [{aws_table.S3_RULES}]"
        whole = {"AbortIncompleteMultipartUpload", "ExpiredObjectDeleteMarker"} & set(rule)
        if rule.get("TagFilters") and whole:
            yield f"{rule.get('Id')}: {whole.pop()} by tags [{aws_table.S3_RULES}]"
        numbers = [rule.get("ExpirationInDays"), *_days(rule)]
        yield from (f"{rule.get('Id')}: {number} days" for number in numbers if number is not None and number < 1)


def _days(rule: Mapping[str, Any]) -> Iterator[Any]:
    yield rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
    yield rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")


def _of_policy(kind: str, document: Mapping[str, Any]) -> Iterator[str]:
    """IAM/latest/UserGuide/reference_policies_grammar.html, and how long a policy may be."""
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    sids = Counter(statement["Sid"] for statement in statements if "Sid" in statement)
    yield from (f"two statements of the name {sid}" for sid, times in sids.items() if times > 1)
    for statement in statements:
        if statement["Effect"] not in ("Allow", "Deny"):
            yield f"the effect {statement['Effect']!r}"
        for name, pattern in (("Sid", _SID), ("Action", _ACTION), ("NotAction", _ACTION), ("Resource", _RESOURCE)):
            given = statement.get(name, [])
            for text in given if isinstance(given, list) else [given]:
                if not re.fullmatch(pattern, text):
                    yield f"{name} {text!r} does not match {pattern}"
        yield from (
            f"the operator {name}" for name in statement.get("Condition", {}) if not _OPERATORS.fullmatch(name)
        )
        trusts = kind == "AWS::IAM::Role"
        if trusts and "Resource" in statement:
            yield "a trust policy with a Resource"
        if (kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")) == ("Principal" in statement):
            yield f"{'a' if 'Principal' in statement else 'no'} Principal"
    most, source = aws_names.POLICY_BYTES[kind]
    if (size := _size(document)) > most:
        yield f"is above {most} bytes ({size}) [{source}]"


def _size(document: Mapping[str, Any]) -> int:
    """IAM counts no blanks."""
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


def _of_roles(stacks: Longest) -> Iterator[str]:
    """A role's inline policies count together."""
    most, source = aws_names.POLICY_BYTES["AWS::IAM::Policy"]
    sizes: Counter[str] = Counter()
    for resource in stacks.resources():
        if resource.type == "AWS::IAM::Policy":
            plain = _plain(stacks, resource)
            for role in plain["Roles"]:
                sizes[role] += _size(plain["PolicyDocument"])
    yield from (
        f"{role}: policies above {most} bytes ({size}) [{source}]" for role, size in sizes.items() if size > most
    )


def _of_template(name: str, template: Mapping[str, Any]) -> Iterator[str]:
    """CloudFormation's own limits (aws_table.CFN)."""
    outputs = template.get("Outputs", {})
    if not re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,127}", name):
        yield f"the stack's name {name!r}"
    if len(template.get("Description", "").encode()) > 1024:
        yield "a description above 1024 bytes"
    if len(template["Resources"]) > 500 or len(outputs) > 200:
        yield "more than 500 resources or 200 outputs"
    if len(json.dumps(template).encode()) > 1_000_000:
        yield "above 1 MB"
    for logical_id in (*template["Resources"], *outputs):
        if not re.fullmatch("[A-Za-z0-9]{1,255}", logical_id):
            yield f"the logical id {logical_id!r}"


def _of_outputs(stacks: Longest, stack: str, outputs: Mapping[str, Any]) -> Iterator[str]:
    for key, output in outputs.items():
        if len(output.get("Description", "").encode()) > 1024:
            yield f"output {key}: a description above 1024 bytes"
        value = str(stacks.resolve(stack, output["Value"]))
        if not 1 <= len(value) <= 4096:
            yield f"output {key}: a value of {len(value)} characters"
        export = stacks.resolve(stack, output.get("Export", {}).get("Name", "none"))
        if not re.fullmatch("[A-Za-z0-9:-]{1,255}", export):
            yield f"output {key}: exported as {export!r}"
