"""What neither schema nor model says, and AWS refuses all the same: each line with its source.

A path is the property's as aws_limits.py writes it: names with slashes between, and [] for an item of a list.
"""

import re
from typing import NamedTuple

from infra.aws_models import Limit

EC2_TEXT = (
    "EC2: at most 255 of a-z, A-Z, 0-9, blanks and ._-:/()#,@[]+=&;{}!$* "
    "(docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html, API_IpRange.html; cfn-lint#173)"
)
EC2_IDS = (
    "EC2's ids: eight or seventeen hexadecimal digits (docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html)"
)
TAGS = "tags: docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"
ARNS = "docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"
ZONES = "docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html"
GLUE = "docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html"
GLUE_LOGS = "docs.aws.amazon.com/glue/latest/dg/monitor-continuous-logging.html"
EMR_SECURITY = "docs.aws.amazon.com/emr/latest/ManagementGuide/emr-create-security-configuration.html"
EMR_ISSUES = "docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-configure-apps.html"
SSM = "docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
S3 = "docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"
S3_RULES = "docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html"
CFN = "docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"
CIDR = "docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"
EVENTS = "docs.aws.amazon.com/eventbridge/latest/ref/events-ref-emr.html, …-glue.html, …-states.html"
BUDGETS = "docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Subscriber.html"

_BYTE = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_URL = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\x00-\x1f]*"
_KEY = r"arn:aws(-us-gov)?:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+"
_ROLE = r"arn:aws(-us-gov)?:iam::\d{12}:role/[\w+=,.@/-]{1,576}"
_MACHINE = r"arn:aws(-us-gov)?:states:[a-z0-9-]+:\d{12}:stateMachine:[\w-]{1,80}"
_BOOL = ("true", "false")


class Line(NamedTuple):
    """What holds for the properties whose type and path match."""

    kind: str
    path: str
    limit: Limit

    def speaks_of(self, kind: str, path: str) -> bool:
        """Whether it is about this property."""
        return re.fullmatch(self.kind, kind) is not None and re.fullmatch(self.path, path) is not None


def _text(kind: str, path: str, source: str, pattern: str, longest: int | None = None, shortest: int = 1) -> Line:
    return Line(kind, path, Limit(source, shortest, longest, pattern))


def _one_of(kind: str, path: str, source: str, *values: str) -> Line:
    return Line(kind, path, Limit(source, values=values))


def _id(path: str, *kinds: str) -> Line:
    return _text(
        "AWS::(EC2|EMR|Glue)::.*", f"(.*/)?{path}", EC2_IDS, f"({'|'.join(kinds)})-([0-9a-f]{{8}}|[0-9a-f]{{17}})"
    )


_SECURITY = "SecurityConfiguration/EncryptionConfiguration/.*"
_AN_ARGUMENT = r"(Default|NonOverridable)Arguments/"
_BOOLEANS = (
    "user-jars-first|enable-(auto-scaling|continuous-cloudwatch-log|continuous-log-filter|glue-datacatalog|job-insights"
    "|observability-metrics|spark-ui)|write-shuffle-(files|spills)-to-s3"
)

LINES = [
    # EC2 and whatever names parts of the network
    _text(
        "AWS::EC2::SecurityGroup.*",
        "(.*/)?(Group)?Description",
        EC2_TEXT,
        r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*",
        255,
    ),
    _one_of(
        "AWS::EC2::SecurityGroup.*",
        "(.*/)?IpProtocol",
        "EC2's protocols: API_IpPermission.html",
        "tcp",
        "udp",
        "icmp",
        "icmpv6",
        "-1",
    ),
    _one_of("AWS::EC2::NetworkAclEntry", "RuleAction", "API_CreateNetworkAclEntry.html", "allow", "deny"),
    _text(
        "AWS::EC2::.*",
        "(.*/)?(CidrBlock|CidrIp|DestinationCidrBlock)",
        CIDR,
        rf"({_BYTE}\.){{3}}{_BYTE}/(3[0-2]|[12]?\d)",
    ),
    _text("AWS::(EC2|Glue)::.*", "(.*/)?AvailabilityZone", ZONES, r"[a-z]{2}(-[a-z]+)+-\d[a-z]"),
    _text(
        "AWS::EC2::VPCEndpoint",
        "ServiceName",
        "API_CreateVpcEndpoint.html",
        r"com\.amazonaws\.[a-z0-9-]+\.[a-z0-9.-]+",
        255,
    ),
    _id("VpcId", "vpc"),
    _id(r"(SubnetIds/\[\]|(Ec2)?SubnetId)", "subnet"),
    _id(r"(SecurityGroupIds/\[\]|SecurityGroupIdList/\[\]|GroupId|(Source|Destination)SecurityGroupId)", "sg"),
    _id("(EmrManaged(Master|Slave)|ServiceAccess)SecurityGroup", "sg"),
    _id(r"(RouteTableId|RouteTableIds/\[\])", "rtb"),
    _id("NetworkAclId", "acl"),
    _id("AllocationId", "eipalloc"),
    _id("NatGatewayId", "nat"),
    _id("(Internet)?GatewayId", "igw"),
    _id("ResourceId", "vpc", "subnet", "eni"),
    # tags, wherever they stand
    _text(".*", r"(Tags|ResourceTags)/(\[\]/Key|\{key\})", TAGS, r"(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+\-@]+", 128),
    _text(".*", r"(Tags|ResourceTags)/(\[\]/Value|[^/\[\]{}]+)", TAGS, r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", 256, 0),
    # keys and roles
    _text(".*", "(.*/)?(KmsKeyArn|K(MS|ms)MasterKeyI[dD]|AwsKmsKey|KmsKeyId)", ARNS, _KEY, 2048),
    _text("AWS::(Glue|EMR|Lambda|EC2)::.*", "(Role|ServiceRole|DeliverLogsPermissionArn)", ARNS, _ROLE, 2048),
    _text(
        "AWS::IAM::Role", r"ManagedPolicyArns/\[\]", ARNS, r"arn:aws(-us-gov)?:iam::(\d{12}|aws):policy/[\w+=,.@/-]+"
    ),
    _text("AWS::EMR::Cluster", "JobFlowRole", "iam AddRoleToInstanceProfile", r"[\w+=,.@-]+", 128),
    _text("AWS::IAM::Role", "Description", "IAM's console and API: API_CreateRole.html", r"[\t\n\r -~¡-ÿ]*", 1000, 0),
    # S3
    _text(
        "AWS::S3::BucketPolicy|AWS::Lambda::.*|AWS::CloudTrail::Trail",
        "(.*/)?(Bucket|S3Bucket|S3BucketName)",
        S3,
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    ),
    _text("AWS::S3::Bucket", r"LifecycleConfiguration/Rules/\[\]/Id", S3_RULES, r"[ -~]+", 255),
    _text("AWS::S3::Bucket", r"LifecycleConfiguration/Rules/\[\]/Prefix", S3, r"[^/\x00-\x1f][^\x00-\x1f]*", 1024),
    # DynamoDB
    _text("AWS::DynamoDB::Table", "TableName", "API_CreateTable.html", r"[a-zA-Z0-9_.-]+", 255, 3),
    # EMR
    _text("AWS::EMR::Cluster", "LogUri|.*/ScriptBootstrapAction/Path|.*/spark.sql.warehouse.dir", S3, _URL, 1100),
    _text("AWS::EMR::Cluster", r"BootstrapActions/\[\]/ScriptBootstrapAction/Args/\[\]", S3, _URL, 1100),
    _text(
        "AWS::EMR::Cluster",
        r"(Configurations/\[\]/)+ConfigurationProperties/\{key\}",
        EMR_ISSUES,
        r"[A-Za-z][\w.-]*",
        255,
    ),
    _text(
        "AWS::EMR::Cluster", r"(Configurations/\[\]/)+ConfigurationProperties/[^{].*", EMR_ISSUES, r"[ -~]*", 10280, 0
    ),
    _one_of(
        "AWS::EMR::Cluster",
        r"Configurations/\[\]/Classification",
        EMR_ISSUES,
        "spark-defaults",
        "spark-env",
        "spark-log4j2",
        "spark-hive-site",
        "core-site",
        "yarn-site",
        "emrfs-site",
        "capacity-scheduler",
        "hadoop-env",
        "hdfs-site",
        "mapred-site",
        "yarn-env",
        "zeppelin-env",
        "zeppelin-site",
        "spark",
        "spark-metrics",
        "livy-conf",
        "container-executor",
    ),
    _one_of("AWS::EMR::Cluster", r"(Configurations/\[\]/){2}Classification", EMR_ISSUES, "export"),
    _one_of("AWS::EMR::Cluster", r"Applications/\[\]/Name", EMR_ISSUES, "Spark", "Hadoop", "Zeppelin"),
    _text("AWS::EMR::Cluster", "ReleaseLabel", EMR_ISSUES, r"emr-\d+\.\d+\.\d+"),
    _text("AWS::EMR::Cluster", ".*/InstanceType", "EC2's types", r"[a-z][a-z0-9-]+\.(metal|\d*x?large|medium|small)"),
    _one_of(
        "AWS::EMR::SecurityConfiguration",
        f"{_SECURITY}/S3EncryptionConfiguration/EncryptionMode",
        EMR_SECURITY,
        "SSE-S3",
        "SSE-KMS",
        "CSE-KMS",
        "CSE-Custom",
    ),
    _one_of(
        "AWS::EMR::SecurityConfiguration", f"{_SECURITY}/EncryptionKeyProviderType", EMR_SECURITY, "AwsKms", "Custom"
    ),
    _one_of("AWS::EMR::SecurityConfiguration", f"{_SECURITY}/CertificateProviderType", EMR_SECURITY, "PEM", "Custom"),
    _one_of(
        "AWS::EMR::SecurityConfiguration",
        r"SecurityConfiguration/(.*/)?\{key\}",
        EMR_SECURITY,
        "EncryptionConfiguration",
        "InstanceMetadataServiceConfiguration",
        "EnableAtRestEncryption",
        "EnableInTransitEncryption",
        "AtRestEncryptionConfiguration",
        "InTransitEncryptionConfiguration",
        "S3EncryptionConfiguration",
        "LocalDiskEncryptionConfiguration",
        "EncryptionMode",
        "AwsKmsKey",
        "EncryptionKeyProviderType",
        "EnableEbsEncryption",
        "TLSCertificateConfiguration",
        "S3Object",
        "CertificateProviderType",
        "MinimumInstanceMetadataServiceVersion",
        "HttpPutResponseHopLimit",
    ),
    _text("AWS::SSM::Parameter", "Value", SSM, r"(?!.*\{\{)[ -~]+", 4096),  # free up to there
    _text("AWS::EMR::SecurityConfiguration", f"{_SECURITY}/S3Object", EMR_SECURITY, rf"{_URL}\.zip", 1100),
    # Glue
    _text("AWS::Glue::Job", f"{_AN_ARGUMENT}--({_BOOLEANS})", GLUE, "true|false"),
    _one_of("AWS::Glue::Job", f"{_AN_ARGUMENT}--job-language", GLUE, "python", "scala"),
    _one_of(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--job-bookmark-option",
        GLUE,
        "job-bookmark-enable",
        "job-bookmark-disable",
        "job-bookmark-pause",
    ),
    _text("AWS::Glue::Job", f"{_AN_ARGUMENT}--class", GLUE, r"[A-Za-z_$][\w.$]*"),
    _text(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--(scriptLocation|extra-(py-files|jars|files)|TempDir|spark-event-logs-path"
        "|s3_file|releases)",
        GLUE,
        _URL,
        1100,
    ),
    _text(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--customer-(driver|executor)-env-vars",
        GLUE,
        r'CUSTOMER_\w+=("[^"]*"|[^",]*)(,CUSTOMER_\w+=("[^"]*"|[^",]*))*',
    ),
    _text(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--(custom-logGroup-prefix|continuous-log-logGroup)",
        GLUE_LOGS,
        r"[._/#A-Za-z0-9-]+",
        400,
    ),
    _text(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--(custom-logStream-prefix|continuous-log-logStreamPrefix)",
        GLUE_LOGS,
        r"[^:*]+",
        400,
    ),
    _text("AWS::Glue::Job", f"{_AN_ARGUMENT}--continuous-log-conversionPattern", GLUE, r"[ -~]+", 255),
    _text("AWS::Glue::Job", f"{_AN_ARGUMENT}--conf", GLUE, r"[\w.]+=\S+( --conf [\w.]+=\S+)*"),
    _text(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--additional-python-modules",
        GLUE,
        rf"|{_URL}|[A-Za-z0-9][\w.\[\]-]*==[\w.+!]+(,[A-Za-z0-9][\w.\[\]-]*==[\w.+!]+)*",
        shortest=0,  # empty where the packed environment serves: unverified (docs/operations.md)
    ),
    _text(
        "AWS::Glue::Job", f"{_AN_ARGUMENT}--python-modules-installer-option", GLUE, r"-{1,2}[a-z-]+( -{1,2}[a-z-]+)*"
    ),
    _text("AWS::Glue::Job", f"{_AN_ARGUMENT}--python-virtual-env", GLUE, rf"|{_URL}", 1100, 0),
    _text(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--ledger",
        ARNS,
        r"arn:aws(-us-gov)?:dynamodb:[a-z0-9-]+:\d{12}:table/[\w.-]+",
    ),
    _text(
        "AWS::Glue::Job",
        f"{_AN_ARGUMENT}--(dataset|column_name|epsilon|query|source_id)",
        "our own script's",
        r"[ -~]+",
        255,
    ),
    _one_of("AWS::Glue::Job", f"{_AN_ARGUMENT}--unhardened", "our own script's", "yes", "no"),
    _one_of(
        "AWS::Glue::Job", "Command/Name", "API_JobCommand.html", "glueetl", "pythonshell", "gluestreaming", "glueray"
    ),
    _text("AWS::Glue::Job", "Command/ScriptLocation", S3, _URL, 1100),
    # notices
    _one_of("AWS::Events::Rule", r"EventPattern/source/\[\]", EVENTS, "aws.glue", "aws.emr", "aws.states"),
    _one_of(
        "AWS::Events::Rule",
        r"EventPattern/detail-type/\[\]",
        EVENTS,
        "Glue Job State Change",
        "EMR Step Status Change",
        "EMR Cluster State Change",
        "Step Functions Execution Status Change",
    ),
    _one_of(
        "AWS::Events::Rule",
        r"EventPattern/detail/(state|status)/\[\]",
        "API_StepStatus.html, API_ClusterStatus.html, API_DescribeExecution.html",
        *("STARTING", "TERMINATED", "TERMINATED_WITH_ERRORS"),
        *("COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"),
        *("SUCCEEDED", "TIMED_OUT", "ABORTED"),
    ),
    _text("AWS::Events::Rule", r"EventPattern/detail/(jobName|name)/\[\]", "of our job or cluster", r"[\w-]+", 255),
    _text("AWS::Events::Rule", r"EventPattern/detail/stateMachineArn/\[\]", ARNS, _MACHINE),
    _one_of("AWS::SNS::Subscription", "Protocol", "API_Subscribe.html", "email", "email-json", "https", "sqs"),
    _text("AWS::SNS::Subscription", "Endpoint", "API_Subscribe.html", r"[^@\s]+@[^@\s]+\.[^@\s]+", 254),
    _text("AWS::SNS::.*", r"(TopicArn|Topics/\[\])", ARNS, r"arn:aws(-us-gov)?:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}"),
    # the others
    _text("AWS::Budgets::Budget", ".*/Address", BUDGETS, r"[^@\s]+@[^@\s]+\.[^@\s]+", 254),
    _one_of("AWS::Budgets::Budget", "Budget/BudgetLimit/Unit", "API_budgets_Spend.html", "USD"),
    _text("AWS::EC2::FlowLog", "LogGroupName", "API_CreateLogGroup.html", r"[.\-_/#A-Za-z0-9]+", 512),
    _text("AWS::KMS::Key", "Description", "kms CreateKey", r"[\t\n\r -퟿-�]*", 8192, 0),
    _text("AWS::Lambda::.*", "Description", "lambda CreateFunction", r"[ -~]*", 256, 0),
    _text(
        "AWS::Lambda::Function",
        "Layers/.*",
        ARNS,
        r"arn:aws(-us-gov)?:lambda:[a-z0-9-]+:\d{12}:layer:[\w-]+:\d+",
        2048,
    ),
    _text("AWS::Lambda::Function", "Environment/Variables/[^{].*", "environment variables: 4 KB", r"[ -~]*", 4096, 0),
    _text("AWS::Lambda::Function", r"Environment/Variables/\{key\}", "lambda CreateFunction", r"[A-Za-z]\w+"),
    _text(
        "AWS::DynamoDB::Table",
        r"(AttributeDefinitions|KeySchema)/\[\]/AttributeName",
        "naming rules",
        r"[\w.-]+",
        255,
    ),
]
