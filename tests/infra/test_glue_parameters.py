"""Every special parameter that AWS documents for Glue's jobs: the starter of a run cannot set it, or may, and why.

As of November 2026: the developer guide's pages "Using job parameters in AWS Glue jobs", "Using Python virtual
environments with AWS Glue", "Logging for AWS Glue jobs" and "AWS Glue Spark shuffle plugin with Amazon S3".
"""

import re

import pytest

from infra.scenarios import OPTIONS, ROOT, scenario

DOCUMENTED = """
    --additional-python-modules --auto-scale-within-microbatch --class --conf --continuous-log-conversionPattern
    --continuous-log-logGroup --continuous-log-logStreamPrefix --custom-logGroup-prefix --custom-logStream-prefix
    --customer-driver-env-vars --customer-executor-env-vars --datalake-formats --disable-proxy-v2
    --enable-auto-scaling --enable-continuous-cloudwatch-log --enable-continuous-log-filter --enable-glue-datacatalog
    --enable-job-insights --enable-lakeformation-fine-grained-access --enable-metrics --enable-observability-metrics
    --enable-rename-algorithm-v2 --enable-s3-parquet-optimized-committer --enable-spark-ui --encryption-type
    --executor-cores --extra-files --extra-jars --extra-py-files --job-bookmark-from --job-bookmark-option
    --job-bookmark-to --job-language --python-modules-installer-option --python-virtual-env
    --python-virtual-env-storage-prefix --python-virtual-env-version --scriptLocation --spark-event-logs-path
    --TempDir --use-postgres-driver --user-jars-first --write-shuffle-files-to-s3 --write-shuffle-spills-to-s3
    --debug --endpoint --JOB_NAME --mode
"""
HARMLESS = {
    "--auto-scale-within-microbatch": "for streaming jobs, which these are not",
    "--custom-logStream-prefix": "names a stream within the groups that are fixed",
    "--datalake-formats": "puts jars of Glue's own on the class path, and no others",
    "--disable-proxy-v2": "the way that calls to AWS take, by the same role to the same places",
    "--enable-lakeformation-fine-grained-access": "the role may not ask Lake Formation for data",
    "--enable-metrics": "any value switches it on, so it cannot be fixed to off: the role may put no metrics",
    "--enable-rename-algorithm-v2": "for Glue 1.0",
    "--enable-s3-parquet-optimized-committer": "how Parquet is written, into the warehouse that is fixed",
    "--encryption-type": "replaced by the security configuration; the bucket encrypts whatever comes",
    "--executor-cores": "how many tasks run side by side",
    "--job-bookmark-from": "for readers of Glue's own, which the scripts do not use",
    "--job-bookmark-option": "for readers of Glue's own, which the scripts do not use",
    "--job-bookmark-to": "for readers of Glue's own, which the scripts do not use",
    "--python-virtual-env-storage-prefix": "for Glue 6.0 and later; a run cannot choose the version",
    "--python-virtual-env-version": "for Glue 6.0 and later; a run cannot choose the version",
    "--use-postgres-driver": "for Glue 2.0",
    "--debug": "Glue's own, not to be set by anyone: what it does with it is not told",
    "--endpoint": "Glue's own, not to be set by anyone: what it does with it is not told",
    "--JOB_NAME": "Glue's own, not to be set by anyone; the scripts ignore it",
    "--mode": "Glue's own, not to be set by anyone: what it does with it is not told",
}
OURS = {"--ledger", "--releases", "--dataset", "--unhardened"}
ASKED = {"--column_name", "--epsilon", "--query", "--source_id", "--s3_file"}


@pytest.mark.parametrize("which", OPTIONS)
def test_each_is_either_fixed_or_harmless(which: str) -> None:
    documented = set(DOCUMENTED.split())
    for job in scenario(which).all("glue", "Glue::Job").values():
        fixed = set(job["NonOverridableArguments"])
        assert documented - fixed == set(HARMLESS)
        assert fixed - documented == OURS
        assert set(job["DefaultArguments"]) <= ASKED | set(HARMLESS)


@pytest.mark.parametrize("which", OPTIONS)
def test_what_the_reasons_rest_on(which: str) -> None:
    found = scenario(which)
    for job in found.all("glue", "Glue::Job").values():
        assert job["GlueVersion"] == "5.1"
        assert job["Command"]["Name"] == "glueetl"  # no streaming
        assert "--custom-logGroup-prefix" in job["NonOverridableArguments"]
    may = found.account().may
    assert not may("glue/JobRole", "cloudwatch:PutMetricData", "*")
    assert not may("glue/JobRole", "lakeformation:GetDataAccess", "*")
    for script in (ROOT / "glue_scripts").glob("*.py"):
        assert "awsglue" not in script.read_text()  # whose readers alone know bookmarks
    assert not [path for path in (ROOT / "src/dpjobs").rglob("*.py") if "awsglue" in path.read_text()]


def test_the_security_guide_says_the_same() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    table = text.split("### What it can change")[1].split("\n## ")[0]
    told = set()
    for row in table.splitlines():
        if row.startswith("| `"):
            told |= set(re.findall(r"`(--[A-Za-z0-9_-]+)`", row.split("|")[1]))
    assert told == set(HARMLESS)
