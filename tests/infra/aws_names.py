"""What holds for a policy, for Glue's arguments, and what is held against nothing: names and sizes, with sources."""

import re

GLUE_ARGUMENTS = frozenset(
    re.findall(
        r"--[A-Za-z0-9-]+",
        """
        --additional-python-modules --auto-scale-within-microbatch --class --conf --continuous-log-conversionPattern
        --continuous-log-logGroup --continuous-log-logStreamPrefix --custom-logGroup-prefix --custom-logStream-prefix
        --customer-driver-env-vars --customer-executor-env-vars --datalake-formats --disable-proxy-v2
        --enable-auto-scaling --enable-continuous-cloudwatch-log --enable-continuous-log-filter
        --enable-glue-datacatalog --enable-job-insights --enable-lakeformation-fine-grained-access --enable-metrics
        --enable-observability-metrics --enable-rename-algorithm-v2 --enable-s3-parquet-optimized-committer
        --enable-spark-ui --executor-cores --extra-files --extra-jars --extra-py-files --job-bookmark-option
        --job-language --python-modules-installer-option --python-virtual-env --scriptLocation
        --spark-event-logs-path --TempDir --use-postgres-driver --user-jars-first --version
        --write-shuffle-files-to-s3 --write-shuffle-spills-to-s3
        """,
    )
)
"""What Glue documents: aws_table.GLUE, and for --python-virtual-env …programming-python-virtual-environments.html."""
GLUE_RESERVED = frozenset({"--debug", "--mode", "--JOB_NAME", "--endpoint"})
"""What Glue uses itself and asks nobody to set (the same page)."""
GLUE_ARGUMENTS_BYTES = 260 * 1024
"""Of all arguments together (the same page)."""
OUR_ARGUMENTS = frozenset(
    re.findall(
        r"--\w+", "--column_name --dataset --epsilon --ledger --query --releases --s3_file --source_id --unhardened"
    )
)
"""What our scripts read."""

FREE = [
    ("Custom::.*", ".*", "read by the CDK's own function, which checks it"),
    ("AWS::Glue::Job", r"(Default|NonOverridable)Arguments/\{key\}", "checked by name: GLUE_ARGUMENTS"),
    ("AWS::Lambda::.*", ".*(S3Key|Handler|Runtime)", "of the CDK's own functions"),
]
"""What nothing is known of, and why that is all right."""
POLICY_BYTES = {
    "AWS::EC2::VPCEndpoint": (20_480, "docs.aws.amazon.com/vpc/latest/privatelink/vpc-limits-endpoints.html"),
    "AWS::IAM::ManagedPolicy": (6_144, "a managed policy: IAM/latest/UserGuide/reference_iam-quotas.html"),
    "AWS::IAM::Policy": (10_240, "a role's inline policies together: IAM/latest/UserGuide/reference_iam-quotas.html"),
    "AWS::IAM::Role": (2_048, "the trust policy: IAM/latest/UserGuide/reference_iam-quotas.html"),
    "AWS::KMS::Key": (32_768, "docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html"),
    "AWS::SNS::TopicPolicy": (30_720, "docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html"),
    "AWS::S3::BucketPolicy": (20_480, "docs.aws.amazon.com/AmazonS3/latest/userguide/add-bucket-policy.html"),
}
"""How long a policy may be, without blanks."""
