"""The actions of the services that a deployment touches, by name: the operations of botocore's models, and the rest.

An operation's name is its action's, but for S3, whose actions AWS lists by themselves, and for what EXTRA names
(docs.aws.amazon.com/service-authorization/latest/reference).
"""

from collections import defaultdict
from fnmatch import fnmatchcase
from functools import cache

from infra.aws_models import _model
from infra.iam import Account, Context, Role
from infra.statements import texts

SERVICES = {  # the prefix of its actions, by the name of botocore's model
    "athena": "athena", "cloudformation": "cloudformation", "cloudtrail": "cloudtrail", "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb", "dynamodbstreams": "dynamodb", "ec2": "ec2", "emr": "elasticmapreduce",
    "emr-containers": "emr-containers", "emr-serverless": "emr-serverless", "events": "events", "glue": "glue",
    "iam": "iam", "kms": "kms", "lakeformation": "lakeformation", "lambda": "lambda", "logs": "logs", "s3": "s3",
    "s3control": "s3", "sns": "sns", "sqs": "sqs", "ssm": "ssm", "stepfunctions": "states", "sts": "sts",
    "xray": "xray", "organizations": "organizations", "secretsmanager": "secretsmanager", "pipes": "pipes",
    "scheduler": "scheduler",
}  # fmt: skip
EXTRA = """
dynamodb:ConditionCheckItem dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLSelect
dynamodb:PartiQLUpdate dynamodb:StartAwsBackupJob dynamodb:RestoreTableFromAwsBackup
dynamodb:GetAbacStatus dynamodb:ReadDataForReplication dynamodb:WriteDataForReplication
elasticmapreduce:DescribeJobFlows elasticmapreduce:ViewEventsFromAllClustersInConsole
glue:UseGlueStudio glue:GetTableVersions glue:PassConnection glue:NotifyEvent glue:TestConnection
glue:RunDataPreviewStatement glue:GetDataPreviewStatement glue:RequestLogParsing glue:GetLogParsingStatus
iam:PassRole kms:ReEncryptFrom kms:ReEncryptTo lambda:InvokeFunction logs:StartLiveTail logs:Unmask
states:RevealSecrets states:RedriveExecution states:InvokeHTTPEndpoint states:TestState
ssmmessages:OpenDataChannel ssmmessages:OpenControlChannel ssmmessages:CreateControlChannel ec2messages:GetMessages
s3:AbortMultipartUpload s3:BypassGovernanceRetention s3:CreateBucket s3:DeleteBucket s3:DeleteBucketPolicy
s3:DeleteObject s3:DeleteObjectTagging s3:DeleteObjectVersion s3:DeleteObjectVersionTagging
s3:GetAccelerateConfiguration s3:GetAnalyticsConfiguration s3:GetBucketAcl s3:GetBucketCORS s3:GetBucketLocation
s3:GetBucketLogging s3:GetBucketNotification s3:GetBucketObjectLockConfiguration s3:GetBucketOwnershipControls
s3:GetBucketPolicy s3:GetBucketPolicyStatus s3:GetBucketPublicAccessBlock s3:GetBucketTagging
s3:GetBucketVersioning s3:GetEncryptionConfiguration s3:GetInventoryConfiguration s3:GetLifecycleConfiguration
s3:GetMetricsConfiguration s3:GetObject s3:GetObjectAcl s3:GetObjectAttributes s3:GetObjectLegalHold
s3:GetObjectRetention s3:GetObjectTagging s3:GetObjectTorrent s3:GetObjectVersion s3:GetObjectVersionAcl
s3:GetObjectVersionAttributes s3:GetObjectVersionForReplication s3:GetObjectVersionTagging
s3:GetReplicationConfiguration s3:InitiateReplication s3:ListAllMyBuckets s3:ListBucket
s3:ListBucketMultipartUploads s3:ListBucketVersions s3:ListMultipartUploadParts s3:ObjectOwnerOverrideToBucketOwner
s3:PutBucketAcl s3:PutBucketNotification s3:PutBucketPolicy s3:PutBucketPublicAccessBlock s3:PutBucketVersioning
s3:PutEncryptionConfiguration s3:PutInventoryConfiguration s3:PutLifecycleConfiguration s3:PutObject s3:PutObjectAcl
s3:PutObjectLegalHold s3:PutObjectRetention s3:PutObjectTagging s3:PutObjectVersionAcl s3:PutReplicationConfiguration
s3:ReplicateDelete s3:ReplicateObject s3:RestoreObject s3:UpdateBucketMetadataJournalTableConfiguration
"""


@cache
def every_action() -> frozenset[str]:
    """All of them, such as glue:StartJobRun."""
    of_models = {
        f"{prefix}:{operation}" for model, prefix in SERVICES.items() for operation in _model(model)["operations"]
    }
    return frozenset(of_models | set(EXTRA.split()))


def allowed(asked: Account, who: Role, resource: str, context: Context) -> set[str]:
    """All actions that this one may on this resource.

    Actions of one service that the same patterns of all policies fit have the same answer: one of them is asked.
    """
    own = list(who.statements) + [statement for each in asked.attached for statement in each.statements]
    patterns = {
        pattern for each in own for element in ("Action", "NotAction") for pattern in texts(each.get(element, []))
    }
    alike = _alike(frozenset(pattern.lower() for pattern in patterns))
    return {action for same in alike if asked.may(who, same[0], resource, context) for action in same}


@cache
def _alike(patterns: frozenset[str]) -> list[list[str]]:
    """The actions, those together that the same patterns fit."""
    found: dict[tuple[str, frozenset[str]], list[str]] = defaultdict(list)
    wild = [pattern for pattern in patterns if "*" in pattern or "?" in pattern]
    for action in sorted(every_action()):
        name = action.lower()
        fit = {name} & patterns | {pattern for pattern in wild if fnmatchcase(name, pattern)}
        found[name.split(":")[0], frozenset(fit)].append(action)
    return list(found.values())
