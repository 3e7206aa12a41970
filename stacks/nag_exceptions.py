"""Where the stacks depart from AWS's rules (cdk-nag) or the CDK's, and why: docs/security.md repeats each reason."""

from typing import Any, cast

from aws_cdk import Acknowledgment, Reference, Stack, Tokenization, Validations
from constructs import IConstruct

REASONS = {
    "AwsSolutions-S1": (
        "Server access logs would name every object read, from a bucket of their own that has to be kept as well; "
        "who needs them has CloudTrail data events (dp.trail.enabled), which cover the ledger too."
    ),
    "AwsSolutions-VPC3": (
        "The article has a network ACL, and so have we: one, of three rules, that a NAT gateway works behind."
    ),
    "AwsSolutions-IAM4": (
        "AmazonEMRServicePolicy_v2 is AWS's own scoped policy for EMR's service: it acts only on what carries the "
        "tag for-use-with-amazon-emr-managed-policies, and follows EMR's releases, which a copy would not."
    ),
    "AwsSolutions-EMR4": (
        "Local disks are encrypted; the rule looks for it beside EncryptionConfiguration, EMR expects it within."
    ),
    "AwsSolutions-EMR5": (
        "Encryption in transit needs a certificate that only the owner can make (emr.tls_certificate_s3; even then "
        "the rule looks in the wrong place). Without it the nodes talk in the clear, inside one private subnet and "
        "their own security groups."
    ),
    "AwsSolutions-EMR6": (
        "No key pair and no Kerberos on purpose: nobody logs in but through SSM sessions, which IAM grants and "
        "CloudTrail records."
    ),
    "AwsSolutions-SF1": (
        "A log of a state machine would hold every question and every job run once more, in a place that needs its "
        "own readers and its own end; the executions themselves are kept for 90 days, and the ledger for good."
    ),
    "AwsSolutions-SF2": "A trace would show how long each run took, to whoever reads traces in the account.",
    "CloudFormation-Validate::W3010": (
        "The zones that the configuration names: EMR's and Glue's machines are not offered in every zone of a region."
    ),
}
"""By rule."""
WILDCARDS = {
    "ReadData": "All tables under data/ in our own bucket: a table may be a folder of files.",
    "CreateReleases": (
        "One object a run under the role's own part of releases/; the bucket's policy lets each be written once."
    ),
    "UseWarehouse": "Temporary tables of Tumult under warehouse/, whose names Spark makes.",
    "WriteLogs": "The log groups that Glue makes under /aws-glue/, or EMR's log files under emr/cluster-logs/.",
    "TakeSessions": "The five actions of SSM's sessions know no resources.",
    "LookAtNetwork": "EC2's Describe actions know no resources.",
    "MakeInterfaces": "Network interfaces have no names before they are made; their subnet and group are Glue's own.",
    "TagInterfaces": "As above; only with the tag that Glue gives them.",
    "RemoveInterfaces": "As above; only those with that tag.",
    "ReadConnection": "Glue asks for its connection by a name that is generated.",
    "SeeAnswers": "Executions of our own state machine, whose names those who ask choose.",
    "ReadReleases": "The releases: what was answered, to whoever may ask.",
    "BringTables": "Tables under data/, whose names their owner chooses.",
    "FindNames": "CloudFormation gives a stack's ARN an ending of its own.",
    "LookAtClusters": "A step's event has its cluster's id, but not its name: any cluster's is looked up.",
    "ListClusters": "EMR's list of clusters knows no resources.",
    "ReadLocation": "What the configuration lists in data_locations.",
}
"""For AwsSolutions-IAM5, by the name of the statement that holds a wildcard."""


def acknowledge(construct: IConstruct, *rules: str) -> None:
    """Say on a construct that it breaks these rules on purpose; raises KeyError for a rule without a reason."""
    Validations.of(construct).acknowledge(*(Acknowledgment(id=rule, reason=REASONS[rule]) for rule in rules))


def acknowledge_managed(role: IConstruct, policy: str) -> None:
    """The same for one of AWS's managed policies on a role."""
    rule = "AwsSolutions-IAM4"
    finding = f"{rule}[Policy::arn:<AWS::Partition>:iam::aws:policy/{policy}]"
    Validations.of(role).acknowledge(Acknowledgment(id=finding, reason=REASONS[rule]))


def acknowledge_wildcards(construct: IConstruct, sid: str, resources: list[str]) -> None:
    """The same for each resource with a wildcard in a statement of this name, as cdk-nag will call it."""
    acknowledgments = [
        Acknowledgment(id=f"AwsSolutions-IAM5[Resource::{name}]", reason=WILDCARDS[sid.rstrip("0123456789")])
        for name in (_nag_name(construct, resource) for resource in resources)
        if "*" in name
    ]
    if acknowledgments:
        Validations.of(construct).acknowledge(*acknowledgments)


def _nag_name(construct: IConstruct, resource: str) -> str:
    """What cdk-nag makes of an ARN: tokens in angle brackets, those of other stacks by their exports' names."""
    here = Stack.of(construct)
    name = _flat(here.resolve(resource))
    for token in Tokenization.reverse_string(resource).tokens:
        if not Reference.is_reference(token):
            continue
        reference = cast(Reference, token)
        home = Stack.of(reference.target)
        if home != here and not reference.display_name.startswith("AWS::"):
            export = here.resolve(home.export_value(token))["Fn::ImportValue"]
            name = name.replace(_flat(home.resolve(token)), export)
    return name


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    ((kind, inner),) = value.items()
    if kind == "Fn::Join":
        return str(inner[0]).join(_flat(part) for part in inner[1])
    return f"<{inner}>" if kind == "Ref" else f"<{'.'.join(inner)}>"
