"""Who may do what: pairs of a question and its answer, the forbidden beside the allowed.

A line is (role, actions, resource, context); the words in braces are those of `names`.
"""

from typing import Any

from infra.scenarios import KEY, Scenario

Pair = tuple[str, str, str, dict[str, Any]]
GLUE, EMR, SERVICE = "glue/JobRole", "emr/InstanceRole", "emr/ServiceRole"
JOBS = (GLUE, EMR)
ONCE = {"s3:if-none-match": "*"}
OTHER = "arn:aws:s3:::somebody-elses-bucket"
LOGS = "arn:aws:logs:eu-west-1:111122223333:log-group:"
EC2 = "arn:aws:ec2:eu-west-1:111122223333:"
GROUPS = LOGS + "/aws-glue/jobs/differential-privacy"
DAEMONS = LOGS + "/aws-glue/jobs/error"  # where Spark's daemons tell sizes of what they shuffle
CLUSTER = "arn:aws:elasticmapreduce:eu-west-1:111122223333:cluster/j-1"
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}
SECURITY_GROUPS = {  # by the construct; some are there in an isolated network only
    "EndpointsGroup": "endpoints_group",
    "SparkGroupsCore": "core_group",
    "SparkGroupsPrimary": "primary_group",
    "SparkGroupsService": "service_group",
    "WorkersGroup": "workers_group",
}
TAGGED = {"aws:ResourceTag/aws-glue-service-resource": "vpc-1"}
TAGS = {"aws:TagKeys": ["aws-glue-service-resource"]}


def names(found: Scenario) -> dict[str, str]:
    """What the words in braces stand for."""
    account = found.account()
    assets = "arn:aws:s3:::cdk-hnb659fds-assets-111122223333-eu-west-1"
    known = {
        "bucket": account.arn("storage/Bucket", "AWS::S3::Bucket"),
        "table": account.arn("Ledger", "AWS::DynamoDB::Table"),
        "log_key": account.arn("LogKey", "AWS::KMS::Key"),
        "disk_key": account.arn("DiskKey", "AWS::KMS::Key"),
        "glue_role": account.role(GLUE).arn,
        "instance_role": account.role(EMR).arn,
        "service_role": account.role(SERVICE).arn,
        "assets": assets,
        "vpc": account.arn("Vpc", "AWS::EC2::VPC"),
        **{
            f"private_{letter}": account.arn(f"VpcprivateSubnet{number}Subnet", "AWS::EC2::Subnet")
            for letter, number in (("a", 1), ("b", 2))
        },
        **dict.fromkeys(SECURITY_GROUPS.values(), EC2 + "security-group/none"),
    }
    for stack in found.templates:
        for key in found.all(stack, "EC2::SecurityGroup"):
            known[SECURITY_GROUPS[key[:-8]]] = account.arn(f"{stack}/{key}", "AWS::EC2::SecurityGroup")
    for stack in ("glue", "emr"):
        for part, path in found.assets(stack).items():
            known[f"{stack}_{part.replace('/', '_').lower()}"] = f"{assets}/{path.name.removeprefix('asset.')}"
    return known


def lines(roles: str | tuple[str, ...], table: str, context: dict[str, Any] | None = None) -> list[Pair]:
    """One pair a word: every line of the table is a resource, and then the actions on it."""
    found = []
    for line in table.strip().splitlines():
        resource, *actions = line.split()
        for role in [roles] if isinstance(roles, str) else roles:
            found += [(role, action, resource, context or {}) for action in actions]
    return found


ALLOWED = [
    *lines(
        JOBS,
        """
        {bucket}/data/census.csv                        s3:GetObject
        {bucket}/data/folder/part-0.parquet             s3:GetObject
        {bucket}/warehouse/tumult_temp/t/part-0         s3:GetObject s3:PutObject s3:DeleteObject
        {bucket}/warehouse/tumult_temp/__magic/part-0   s3:AbortMultipartUpload s3:ListMultipartUploadParts
        {bucket}                                        s3:GetBucketLocation s3:ListBucketMultipartUploads
        {table}                     dynamodb:GetItem dynamodb:Query dynamodb:DescribeTable
        {table}                     dynamodb:UpdateItem dynamodb:PutItem
        """,
    ),
    *lines(GLUE, "{bucket}/releases/glue/run-1.json s3:PutObject s3:GetObject", ONCE),
    *lines(EMR, "{bucket}/releases/emr/run-1.json s3:PutObject s3:GetObject", ONCE),
    *lines(JOBS, "{bucket} s3:ListBucket", {"s3:prefix": "data/"}),
    *lines(JOBS, "{bucket} s3:ListBucket", {"s3:prefix": "warehouse/tumult_temp"}),
    *lines(
        GLUE,
        f"""
        {GROUPS}:log-stream:jr_1        logs:CreateLogStream logs:PutLogEvents
        {GROUPS}                        logs:CreateLogGroup logs:AssociateKmsKey
        {{log_key}}                     kms:Encrypt kms:Decrypt kms:GenerateDataKey
        {{glue_tumultana_script}}       s3:GetObject
        {{glue_pipelinedp_script}}      s3:GetObject
        {{glue_code_library}}           s3:GetObject
        {{glue_environment}}            s3:GetObject
        """,
    ),
    *lines(
        EMR,
        """
        {bucket}/emr/cluster-logs/j-1/node/i-1/a.gz     s3:PutObject
        *                       ssm:UpdateInstanceInformation ssmmessages:OpenDataChannel
        {disk_key}              kms:Decrypt kms:GenerateDataKeyWithoutPlaintext
        {emr_tumultana}         s3:GetObject
        {emr_pipelinedp}        s3:GetObject
        {emr_spark_bootstrap}   s3:GetObject
        {emr_code_library}      s3:GetObject
        {emr_environment}       s3:GetObject
        """,
    ),
    *lines((EMR, SERVICE), "{disk_key} kms:CreateGrant", {"kms:GrantIsForAWSResource": True}),
    *lines(SERVICE, "{instance_role} iam:PassRole", TO_EC2),
]

EVERYBODY = (*JOBS, SERVICE)
FORBIDDEN = [
    *lines(
        EVERYBODY,
        f"""
        {{bucket}}/data/census.csv          s3:PutObject s3:DeleteObject s3:DeleteObjectVersion
        {{bucket}}/releases/run-1.json      s3:PutObject s3:DeleteObject s3:DeleteObjectVersion s3:PutObjectAcl
        {{bucket}}/releases/glue/run-1.json s3:PutObject s3:DeleteObject s3:DeleteObjectVersion s3:PutObjectAcl
        {{bucket}}/releases/emr/run-1.json  s3:PutObject s3:DeleteObject s3:DeleteObjectVersion s3:PutObjectAcl
        {{bucket}}/wheelhouse/any.zip       s3:GetObject s3:PutObject
        {{glue_environment}}                s3:PutObject s3:DeleteObject
        {{glue_code_library}}               s3:PutObject s3:DeleteObject
        {{emr_spark_bootstrap}}             s3:PutObject s3:DeleteObject
        {{bucket}}/elsewhere.csv            s3:GetObject s3:PutObject
        {{bucket}}/warehouse_$folder$       s3:PutObject s3:DeleteObject
        {{bucket}}/data/census.csv          s3:AbortMultipartUpload s3:ListMultipartUploadParts
        {{bucket}}      s3:PutBucketPolicy s3:DeleteBucketPolicy s3:PutBucketVersioning s3:DeleteBucket s3:ListBucket
        {{bucket}}      s3:PutLifecycleConfiguration s3:PutBucketPublicAccessBlock s3:PutEncryptionConfiguration
        {OTHER}/data/census.csv             s3:GetObject s3:PutObject
        {OTHER}                             s3:ListBucket
        {{assets}}/{"0" * 64}.zip           s3:GetObject s3:PutObject
        {{assets}}                          s3:ListBucket
        {{table}}       dynamodb:DeleteItem dynamodb:Scan dynamodb:DeleteTable dynamodb:UpdateTable
        {{table}}       dynamodb:UpdateContinuousBackups dynamodb:UpdateTimeToLive dynamodb:BatchWriteItem
        {{table}}       dynamodb:PartiQLUpdate dynamodb:PartiQLDelete dynamodb:RestoreTableToPointInTime
        {{table}}-too   dynamodb:GetItem dynamodb:UpdateItem
        *               cloudwatch:PutMetricData elasticmapreduce:PutBlockPublicAccessConfiguration
        *               elasticmapreduce:RunJobFlow iam:CreateRole sts:GetFederationToken
        *               ec2:CreateVpc ec2:RunInstances ec2:CreateInternetGateway ec2:AllocateAddress
        {EC2}security-group/sg-1            ec2:AuthorizeSecurityGroupIngress ec2:AuthorizeSecurityGroupEgress
        {EC2}route-table/rtb-1              ec2:CreateRoute ec2:ReplaceRoute
        {EC2}network-acl/acl-1              ec2:CreateNetworkAclEntry
        {CLUSTER}                           elasticmapreduce:AddJobFlowSteps elasticmapreduce:TerminateJobFlows
        {GROUPS}:log-stream:jr_1            logs:GetLogEvents logs:FilterLogEvents logs:DeleteLogStream
        {GROUPS}                            logs:DeleteLogGroup logs:DisassociateKmsKey
        arn:aws:glue:eu-west-1:111122223333:job/differential-privacy-tumult-ana     glue:StartJobRun glue:UpdateJob
        {{glue_role}}                       sts:AssumeRole iam:PassRole iam:PutRolePolicy iam:AttachRolePolicy
        {{service_role}}                    sts:AssumeRole iam:PassRole iam:UpdateAssumeRolePolicy
        {{instance_role}}                   sts:AssumeRole iam:PutRolePolicy
        {{log_key}}                         kms:ScheduleKeyDeletion kms:PutKeyPolicy kms:DisableKey
        {{disk_key}}                        kms:ScheduleKeyDeletion kms:PutKeyPolicy kms:CreateGrant
        {KEY}                               kms:Decrypt
        """,
    ),
    *lines(EVERYBODY, "{bucket}/data/census.csv s3:PutObject", ONCE),
    *lines(EVERYBODY, "{bucket}/releases/run-1.json s3:PutObject", ONCE),
    # a step on EMR runs any code: it cannot make the release of a Glue run, nor Glue one of EMR's
    *lines((EMR, SERVICE), "{bucket}/releases/glue/run-1.json s3:PutObject s3:GetObject", ONCE),
    *lines((GLUE, SERVICE), "{bucket}/releases/emr/run-1.json s3:PutObject s3:GetObject", ONCE),
    *lines(EVERYBODY, "{bucket} s3:ListBucket", {"s3:prefix": ""}),
    *lines(EVERYBODY, "{bucket} s3:ListBucket", {"s3:prefix": "emr/cluster-logs/"}),
    *lines(JOBS, "{bucket}/data/census.csv s3:GetObject", {"aws:SecureTransport": False}),
    *lines(GLUE, "{bucket}/releases/glue/run-1.json s3:PutObject", ONCE | {"aws:SecureTransport": False}),
    *lines(EMR, "{bucket}/releases/emr/run-1.json s3:PutObject", ONCE | {"aws:SecureTransport": False}),
    *lines(JOBS, "{instance_role} iam:PassRole", TO_EC2),
    *lines(
        GLUE,
        f"""
        {{bucket}}/emr/cluster-logs/j-1/a.gz    s3:GetObject s3:PutObject
        {{disk_key}}                            kms:Decrypt
        {{emr_spark_bootstrap}}                 s3:GetObject
        {{emr_tumultana}}                       s3:GetObject
        {LOGS}/other/jobs:log-stream:x          logs:PutLogEvents
        {DAEMONS}:log-stream:jr_1               logs:PutLogEvents logs:CreateLogStream
        *                                       ssmmessages:OpenDataChannel lakeformation:GetDataAccess
        """,
    ),
    *lines(
        EMR,
        f"""
        {{bucket}}/emr/cluster-logs/j-1/a.gz    s3:GetObject s3:DeleteObject
        {{log_key}}                             kms:Decrypt
        {{glue_tumultana_script}}               s3:GetObject
        {GROUPS}:log-stream:jr_1                logs:PutLogEvents
        *                                       ssm:SendCommand ssm:GetParameter
        {EC2}instance/i-1                       ssm:StartSession
        """,
    ),
    *lines(SERVICE, "{instance_role} iam:PassRole"),
    *lines(SERVICE, "{instance_role} iam:PassRole", {"iam:PassedToService": "glue.amazonaws.com"}),
    *lines(SERVICE, "{glue_role} iam:PassRole", TO_EC2),
    *lines(SERVICE, "{bucket}/data/census.csv s3:GetObject"),
    *lines(SERVICE, "{table} dynamodb:GetItem dynamodb:UpdateItem dynamodb:PutItem"),
]

NETWORK_OF_WORKERS = [
    *lines(
        GLUE,
        f"""
        *                                   ec2:DescribeSubnets ec2:DescribeNetworkInterfaces
        {EC2}network-interface/eni-1        ec2:CreateNetworkInterface
        {{private_b}}                       ec2:CreateNetworkInterface
        {{workers_group}}                   ec2:CreateNetworkInterface
        arn:aws:glue:eu-west-1:111122223333:connection/any    glue:GetConnection
        """,
    ),
    *lines(GLUE, f"{EC2}network-interface/eni-1 ec2:CreateTags ec2:DeleteTags", TAGS),
    *lines(GLUE, f"{EC2}network-interface/eni-1 ec2:DeleteNetworkInterface", TAGGED),
]
"""What Glue's role may besides in an isolated network, and only there."""
NOT_OF_WORKERS = [
    *lines(
        GLUE,
        f"""
        {{private_a}}                       ec2:CreateNetworkInterface
        {{endpoints_group}}                 ec2:CreateNetworkInterface
        {{primary_group}}                   ec2:CreateNetworkInterface
        {EC2}subnet/subnet-1                ec2:CreateNetworkInterface
        {EC2}security-group/sg-1            ec2:CreateNetworkInterface
        """,
    ),
    *lines(GLUE, f"{EC2}network-interface/eni-1 ec2:DeleteNetworkInterface ec2:ModifyNetworkInterfaceAttribute"),
    *lines(GLUE, f"{EC2}network-interface/eni-1 ec2:CreateTags", {"aws:TagKeys": ["Name"]}),
    # without a tag's name every tag would go
    *lines(GLUE, f"{EC2}network-interface/eni-1 ec2:CreateTags ec2:DeleteTags"),
    *lines(GLUE, f"{EC2}instance/i-1 ec2:CreateTags", TAGS),
    *lines(GLUE, "arn:aws:glue:eu-west-1:111122223333:connection/any glue:UpdateConnection glue:DeleteConnection"),
]

LOCATIONS = [
    *lines(
        JOBS,
        f"""
        arn:aws:s3:::census-tables/2017/tracts/part-0.parquet   s3:GetObject
        arn:aws:s3:::census-tables/2017/tracts                  s3:GetObject
        arn:aws:s3:::open-data/any.csv                          s3:GetObject
        arn:aws:s3:::open-data                                  s3:ListBucket
        {KEY}                                                   kms:Decrypt
        """,
    ),
    *lines(JOBS, "arn:aws:s3:::census-tables s3:ListBucket", {"s3:prefix": "2017/tracts/"}),
]
"""What jobs may besides where data_locations names them."""
NOT_OF_LOCATIONS = [
    *lines(
        JOBS,
        f"""
        arn:aws:s3:::census-tables/2017/tracts/part-0.parquet   s3:PutObject s3:DeleteObject
        arn:aws:s3:::census-tables/2017/tracts-raw/part-0       s3:GetObject
        arn:aws:s3:::census-tables/2018/part-0                  s3:GetObject
        arn:aws:s3:::open-data/any.csv                          s3:PutObject
        arn:aws:s3:::open-data-too/any.csv                      s3:GetObject
        arn:aws:s3:::census-tables                              s3:ListBucket
        {KEY}                       kms:ScheduleKeyDeletion kms:Encrypt kms:GenerateDataKey
        {KEY}0                                                  kms:Decrypt
        """,
    ),
    *lines(JOBS, "arn:aws:s3:::census-tables s3:ListBucket", {"s3:prefix": "2018/"}),
]
