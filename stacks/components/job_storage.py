"""Where jobs read and write: the folders of the bucket, the ledger, and their key."""

from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

DATA, RELEASES, EMR_LOGS, WAREHOUSE = ("data/", "releases/", "emr/cluster-logs/", "warehouse/")
GLUE_RELEASES, EMR_RELEASES = (f"{RELEASES}glue/", f"{RELEASES}emr/")
"""Each role's own, so that a step on EMR, which runs any code, cannot make the release of a Glue run."""


@dataclass(frozen=True, kw_only=True)
class JobStorage:
    """The bucket, the ledger's table and, where there is one, the key of both."""

    bucket: s3.IBucket
    ledger: dynamodb.ITable
    key: kms.IKey | None

    def url(self, folder: str) -> str:
        """Return the s3:// address of a folder of the bucket, or of a file in it."""
        return self.bucket.s3_url_for_object(folder)
