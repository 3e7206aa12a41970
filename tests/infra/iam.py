"""May this role do that on this resource? IAM's rules over synthesized templates, for one account and no AWS.

    account = Account.from_templates({s.stack_name: Template.from_stack(s).to_json() for s in stacks})
    bucket = account.arn("Bucket", "AWS::S3::Bucket")
    assert account.may("JobRole", "s3:GetObject", f"{bucket}/data/x.csv")  # ("dp-glue/JobRole" where two fit)

Beside each allowed pair ask for its forbidden twin: another key, action, bucket or context. A question names one
concrete resource (or "*" for actions that have none), since "not all of them" would pass for "none of them"; a log
group's ARN ends with ":*", which the question replaces by ":log-stream:NAME". A role with an AWS managed policy
answers no question that hangs on it until `managed` has its document, or NOTHING where it plays no part; a Deny in
one that has no document is not seen.

People are users with managed policies: `account.may(account.holder("Analyst"), …)`.

Known: identity policies; the policies of buckets, keys, tables, topics and VPC endpoints (`through`); trust. A
resource that is in none of the templates is judged by identity alone, and KMS grants play no part. Every other kind
of policy, permissions boundaries and operators of dates and addresses raise CannotTell. Whether an action takes that
kind of resource at all is not checked.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from infra.intrinsics import TYPES, CannotTell, Resource, Templates
from infra.statements import Statement, applies, statements_of, texts

NOTHING: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}
Context = Mapping[str, Any]
Found = TypeVar("Found")
DIRECTLY, AS_ACCOUNT = "directly", "as account"  # how a Principal may name a role
DOCUMENTS = {  # the properties that are read, by type
    "AWS::DynamoDB::Table": ("ResourcePolicy",),
    "AWS::EC2::VPCEndpoint": ("PolicyDocument",),
    "AWS::IAM::ManagedPolicy": ("PolicyDocument", "Roles"),
    "AWS::IAM::Policy": ("PolicyDocument", "Roles"),
    "AWS::IAM::Role": ("AssumeRolePolicyDocument", "ManagedPolicyArns", "PermissionsBoundary", "Policies"),
    "AWS::KMS::Key": ("KeyPolicy",),
    "AWS::S3::BucketPolicy": ("Bucket", "PolicyDocument"),
    "AWS::SNS::TopicPolicy": ("PolicyDocument", "Topics"),
}


@dataclass(frozen=True)
class Role:
    """A role with what its own policies say; `opaque` are managed policies whose document nobody gave."""

    stack: str
    logical_id: str
    arn: str
    managed: tuple[str, ...] = field(default=(), repr=False)
    opaque: tuple[str, ...] = field(default=(), repr=False)
    statements: tuple[Statement, ...] = field(default=(), repr=False, compare=False)


class Attached(NamedTuple):
    """A resource's own policy, for the actions of one service; one that `gates` must itself admit the principal."""

    arn: str
    service: str
    statements: list[Statement]

    @property
    def gates(self) -> bool:
        return self.service in {"kms", "sts"}

    def governs(self, action: str, resource: str) -> bool:
        inside = not self.gates and resource.startswith(self.arn + "/")  # an object, an index
        return (resource == self.arn or inside) and action.lower().startswith(self.service + ":")


class Account:
    """The roles and resources of several stacks, and who may do what among them."""

    def __init__(self, templates: Templates, managed: Mapping[str, Any]) -> None:
        self._templates = templates
        self._root = "arn:{partition}:iam::{account}:root".format(**templates.place)
        self.attached: list[Attached] = []
        self.endpoints: dict[str, Attached] = {}
        self._managed: dict[str, list[Statement]] = {}  # by ARN
        read: list[tuple[Resource, dict[str, Any]]] = []
        for resource in templates.resources():
            if resource.type not in DOCUMENTS:
                if _has_statements(resource.properties):
                    raise CannotTell(f"the policy in {resource.stack}'s {resource.logical_id} ({resource.type})")
                continue
            if resource.conditional:
                raise CannotTell(f"whether {resource.stack} has {resource.logical_id}: it has a condition")
            part = {key: each for key, each in resource.properties.items() if key in DOCUMENTS[resource.type]}
            read.append((resource, templates.resolve(resource.stack, part)))
            self._attach(*read[-1])
        self.roles = self._roles(read, managed)

    @classmethod
    def from_templates(
        cls,
        templates: Mapping[str, dict[str, Any]],
        account: str = "111122223333",
        region: str = "eu-west-1",
        partition: str = "aws",
        managed: Mapping[str, Any] | None = None,
    ) -> "Account":
        """Templates by stack name; `managed` are documents of managed policies by ARN or by its last part."""
        return cls(Templates(templates, account, region, partition), managed or {})

    def _attach(self, resource: Resource, read: dict[str, Any]) -> None:
        """Keep the policy that a resource carries."""
        anyone = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
        match resource.type:
            case "AWS::EC2::VPCEndpoint":
                service, document = "ec2", read.get("PolicyDocument", NOTHING | {"Statement": anyone})
            case "AWS::IAM::Role":
                service, document = "sts", read["AssumeRolePolicyDocument"]
            case "AWS::KMS::Key":
                default = anyone | {"Principal": {"AWS": self._root}}
                service, document = "kms", read.get("KeyPolicy", NOTHING | {"Statement": default})
            case "AWS::DynamoDB::Table":
                service, document = "dynamodb", read.get("ResourcePolicy", {}).get("PolicyDocument", NOTHING)
            case "AWS::S3::BucketPolicy":
                service, document = "s3", read["PolicyDocument"]
            case "AWS::SNS::TopicPolicy":
                service, document = "sns", read["PolicyDocument"]
            case _:
                return
        bucket = "arn:{partition}:s3:::".format(**self._templates.place) + read.get("Bucket", "")
        if service == "sns":
            (arn,) = read["Topics"]
        else:
            arn = bucket if service == "s3" else self._templates.arn(resource)
        attached = Attached(arn, service, statements_of(document, attached=True))
        if service == "ec2":
            self.endpoints[f"{resource.stack}/{resource.logical_id}"] = attached
        else:
            self.attached.append(attached)

    def _roles(self, read: list[tuple[Resource, dict[str, Any]]], managed: Mapping[str, Any]) -> list[Role]:
        """Every role with the statements of its inline, attached and managed policies."""
        ours = self._managed  # of these stacks
        by_role: dict[str, list[Statement]] = {}  # by the role's name
        for resource, policy in read:
            if resource.type in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
                statements = statements_of(policy["PolicyDocument"])
                for name in policy.get("Roles", []):
                    by_role.setdefault(name, []).extend(statements)
                if resource.type == "AWS::IAM::ManagedPolicy":
                    ours[self._templates.arn(resource)] = statements
        roles = []
        for resource, role in read:
            if resource.type != "AWS::IAM::Role":
                continue
            if "PermissionsBoundary" in role:
                raise CannotTell(f"what {resource.logical_id} may: it has a permissions boundary")
            told = [each for policy in role.get("Policies", []) for each in statements_of(policy["PolicyDocument"])]
            told += by_role.get(self._templates.name(resource), [])
            foreign, opaque = [], []
            for arn in role.get("ManagedPolicyArns", []):
                given = [document for key, document in managed.items() if arn == key or arn.endswith("/" + key)]
                if arn in ours:
                    told += ours[arn]
                    continue
                foreign.append(arn)
                if given:
                    told += statements_of(given[0])
                else:
                    opaque.append(arn)
            arn = self._templates.arn(resource)
            roles.append(Role(resource.stack, resource.logical_id, arn, tuple(foreign), tuple(opaque), tuple(told)))
        return roles

    # -- finding

    def role(self, which: Role | str | Callable[[Role], bool]) -> Role:
        """The one role with this (fragment of a) logical id, or for which the function is true."""
        if isinstance(which, Role):
            return which
        if isinstance(which, str):
            return _the_one(which, {f"{role.stack}/{role.logical_id}": role for role in self.roles})
        return _the_one("", {f"{role.stack}/{role.logical_id}": role for role in self.roles if which(role)})

    def holder(self, *policies: str) -> Role:
        """A user who has these managed policies of the templates (fragments of their logical ids), no more."""
        arns = [self.arn(policy, "AWS::IAM::ManagedPolicy") for policy in policies]
        user = "arn:{partition}:iam::{account}:user/somebody".format(**self._templates.place)
        told = tuple(statement for arn in arns for statement in self._managed[arn])
        return Role("", "somebody", user, statements=told)

    def arn(self, fragment: str, type: str = "") -> str:
        """The ARN of the one resource with this (fragment of a) logical id, of this type where it is given."""
        every = [each for each in self._templates.resources() if TYPES.get(each.type, (0, None))[1]]
        found = {f"{each.stack}/{each.logical_id}": each for each in every if type in ("", each.type)}
        return self._templates.arn(_the_one(fragment, found))

    def managed_policies(self, role: Role | str | Callable[[Role], bool]) -> tuple[str, ...]:
        """The ARNs of the role's policies that stand in no template, with or without a document."""
        return self.role(role).managed

    # -- asking

    def may(
        self,
        principal: Role | str | Callable[[Role], bool],
        action: str,
        resource: str,
        context: Context | None = None,
        through: str | None = None,
    ) -> bool:
        """Whether the principal (a role, or a service such as logs.eu-west-1.amazonaws.com) may; `through` a VPC
        endpoint where one is named. What AWS always knows of a request is in the context unless it says otherwise."""
        if not re.fullmatch(r"[\w-]+:\w+", action) or (resource != "*" and re.search(r"[*?]", resource)):
            raise ValueError(f"ask for one action on one resource, not for {action} on {resource}")
        service = isinstance(principal, str) and principal.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        who: Role | str = str(principal) if service else self.role(principal)
        endpoint = _the_one(through, self.endpoints) if through else None
        known = self._context(who, endpoint, context or {})

        def told(statements: Iterable[Statement]) -> list[tuple[str, str]]:
            """The effects that a resource's policy has for the principal, and how it names it."""
            named = [(statement, self._names(statement, who)) for statement in statements]
            return [(s["Effect"], how) for s, how in named if how and applies(s, action, resource, known)]

        if endpoint and {effect for effect, _ in told(endpoint.statements)} != {"Allow"}:
            return False
        attached = [each for each in self.attached if each.governs(action, resource)]
        theirs = told(statement for each in attached for statement in each.statements)
        own = [s["Effect"] for s in getattr(who, "statements", ()) if applies(s, action, resource, known)]
        if "Deny" in own or "Deny" in {effect for effect, _ in theirs}:
            return False
        if ("Allow", DIRECTLY) in theirs:
            return True
        if any(each.gates for each in attached) and ("Allow", AS_ACCOUNT) not in theirs:
            return False
        if not own and isinstance(who, Role) and who.opaque:
            raise CannotTell(f"whether {who.logical_id} may {action}: that may stand in {', '.join(who.opaque)}")
        return bool(own)

    def who_can(self, action: str, resource: str, context: Context | None = None) -> list[Role]:
        """Every role that may."""
        return [role for role in self.roles if self.may(role, action, resource, context)]

    def trusts(self, role: Role | str | Callable[[Role], bool], service: str, context: Context | None = None) -> bool:
        """Whether the service may assume the role."""
        return self.may(service, "sts:AssumeRole", self.role(role).arn, context)

    # -- the request

    def _context(self, who: Role | str, endpoint: Attached | None, given: Context) -> dict[str, list[str]]:
        """Condition keys in lower case, each with its values; None takes a key away."""
        place = self._templates.place
        context: dict[str, Any] = {"aws:RequestedRegion": place["region"], "aws:SecureTransport": True}
        if isinstance(who, Role):
            context |= {"aws:PrincipalArn": who.arn, "aws:PrincipalAccount": place["account"]}
            context |= {"aws:PrincipalIsAWSService": False, "kms:CallerAccount": place["account"]}
        else:
            context |= {"aws:PrincipalIsAWSService": True, "aws:PrincipalServiceName": who}
        if endpoint:
            context["aws:SourceVpce"] = endpoint.arn.rpartition("/")[2]
        values = {key.lower(): value for key, value in context.items()}
        values |= {key.lower(): value for key, value in given.items()}
        return {key: texts(value) for key, value in values.items() if value is not None}

    def _names(self, statement: Statement, who: Role | str) -> str | None:
        """How a statement's Principal names the one who asks; the account's root stands for all its roles."""
        if "NotPrincipal" in statement:
            return None if self._names({"Principal": statement["NotPrincipal"]}, who) else DIRECTLY
        principal = statement["Principal"]
        if principal == "*" or "*" in texts(principal.get("AWS", [])):
            return DIRECTLY
        if not isinstance(who, Role):
            return DIRECTLY if who in texts(principal.get("Service", [])) else None
        names = texts(principal.get("AWS", []))
        if who.arn in names:
            return DIRECTLY
        return AS_ACCOUNT if {self._root, self._templates.place["account"]} & set(names) else None


def _the_one(fragment: str, found: Mapping[str, Found]) -> Found:
    """Of entries by "stack/logical id" the one with this logical id, or the only one that contains this fragment of
    it; a fragment of the stack's name may stand before a slash."""
    stack, _, name = fragment.rpartition("/")
    ids = {key: key.split("/")[1] for key in found if stack in key.split("/")[0]}
    fit = [key for key in ids if ids[key] == name] or [key for key in ids if name in ids[key]]
    if len(fit) != 1:
        raise LookupError(f"{len(fit)} fit {fragment!r}: {sorted(fit or found)}")
    return found[fit[0]]


def _has_statements(value: Any) -> bool:
    """Whether a policy document stands somewhere in these properties."""
    if isinstance(value, dict):
        return isinstance(value.get("Statement"), dict | list) or any(map(_has_statements, value.values()))
    return isinstance(value, list) and any(map(_has_statements, value))
