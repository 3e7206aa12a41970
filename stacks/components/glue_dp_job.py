"""One Glue job whose runs answer a private query, and whose starter can choose the question but not the rules."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import Duration
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from stacks.components.glue_log_groups import log_prefix
from stacks.components.job_code import pinned_modules
from stacks.components.job_storage import DATA, GLUE_RELEASES, WAREHOUSE, JobStorage
from stacks.components.paths import ROOT, existing
from stacks.components.python_environment import PythonEnvironment
from stacks.config.glue import GlueConfig

ARTICLE = {
    "--column_name": "TotalPop",
    "--epsilon": "1",
    "--query": "MEAN",
    "--source_id": "census",
}
"""The article's parameters; together with the file they are what a run may override."""
ARTICLE_FILE = "acs2017_census_tract_data.csv"


class GlueDpJob(Construct):
    """A job of Glue 5.1 that runs one of glue_scripts/; `script` is its asset, for the role to read."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        script: str,
        name_prefix: str,
        name: str,
        settings: GlueConfig,
        storage: JobStorage,
        library: s3_assets.Asset,
        environment: PythonEnvironment | None,
        role: iam.Role,
        security: glue.SecurityConfiguration,
        connections: Sequence[glue.IConnection],
    ) -> None:
        """Make PREFIX-NAME; without an `environment` Glue's pip installs the list (python_modules: pins)."""
        super().__init__(scope, id)
        kind = glue.PySparkFlexEtlJob if settings.flex else glue.PySparkEtlJob
        self.script = s3_assets.Asset(self, "Script", path=existing(ROOT / "glue_scripts" / script))
        self.job = kind(
            self,
            "Job",
            job_name=f"{name_prefix}-{name}",
            description=f"Differentially private statistics: {script}",
            script=glue.Code.from_bucket(self.script.bucket, self.script.s3_object_key),
            role=role.without_policy_updates(),  # which would let it read the whole asset bucket
            glue_version=glue.GlueVersion.V5_1,
            worker_configuration=glue.WorkerConfiguration(
                worker_type=glue.WorkerType[settings.worker_type.replace(".", "_")],
                number_of_workers=settings.number_of_workers,
            ),
            max_concurrent_runs=settings.max_concurrent_runs,
            max_retries=0,  # a run that failed is finished by its run id, not by drawing anew
            timeout=Duration.minutes(settings.timeout_minutes),
            security_configuration=security,
            connections=connections or None,
            continuous_logging=glue.ContinuousLoggingProps(enabled=True, quiet=True),
            # both show exact row counts
            enable_metrics=False,
            enable_observability_metrics=False,
        )
        resource = cast(glue.CfnJob, self.job.node.default_child)
        resource.default_arguments = {
            **ARTICLE,
            "--s3_file": storage.url(f"{DATA}{ARTICLE_FILE}"),
            "--job-bookmark-option": "job-bookmark-enable",
        }
        resource.non_overridable_arguments = {
            **_fixed(name_prefix, settings, storage, library.s3_object_url),
            **_python(environment),
            "--scriptLocation": self.script.s3_object_url,
        }


def _fixed(name_prefix: str, settings: GlueConfig, storage: JobStorage, library: str) -> dict[str, str]:
    """Every argument with which the starter of a run could bring code, move results or ledger, or open a channel.

    Not here: --enable-metrics, which any value switches on; the role may not put metrics. What else Glue documents
    and a run may set is harmless: tests/infra/test_glue_parameters.py says why, one by one.
    """
    warehouse = storage.url(WAREHOUSE)
    return {
        # the rules of the answer
        "--ledger": storage.ledger.table_arn,
        "--releases": storage.url(GLUE_RELEASES),
        "--dataset": "by-address",
        "--unhardened": "no",  # who starts a run might see through the noise of such an engine
        # code
        "--job-language": "python",
        "--class": "GlueApp",
        "--extra-py-files": library,
        "--extra-jars": library,  # harmless: no class in it, and an empty value is not known to be taken
        "--extra-files": library,
        "--user-jars-first": "false",
        "--customer-driver-env-vars": "CUSTOMER_UNUSED=1",
        "--customer-executor-env-vars": "CUSTOMER_UNUSED=1",
        # folders and settings
        "--TempDir": f"{warehouse}temporary/",
        "--conf": " --conf ".join(
            [
                f"spark.sql.warehouse.dir={warehouse}",
                "spark.sql.catalogImplementation=in-memory",
                "spark.ui.enabled=false",
                "spark.eventLog.enabled=false",
                # Spark's messages quote cells and counts
                *([] if settings.daemon_logs else ["spark.log.level=OFF"]),
            ]
        ),
        "--enable-glue-datacatalog": "false",
        # channels: each shows exact numbers of the table
        "--enable-spark-ui": "false",
        "--spark-event-logs-path": f"{warehouse}no-event-logs/",
        "--enable-observability-metrics": "false",
        "--enable-job-insights": "false",
        "--enable-continuous-cloudwatch-log": "true",
        "--enable-continuous-log-filter": "true",
        "--continuous-log-logGroup": f"/aws-glue/jobs/{name_prefix}",
        "--continuous-log-logStreamPrefix": "run",
        "--continuous-log-conversionPattern": "%m%n",
        "--custom-logGroup-prefix": log_prefix(name_prefix),  # what Glue 5 knows in place of the group
        "--enable-auto-scaling": "false",
        "--write-shuffle-files-to-s3": "false",
        "--write-shuffle-spills-to-s3": "false",
    }


def _python(environment: PythonEnvironment | None) -> dict[str, str]:
    """How a run gets its libraries: the archive in place of Glue's own environment, or pip over it, without pyspark.

    All three are fixed, as each brings code; the empty ones say "none", which Glue is not documented to take
    (docs/operations.md).
    """
    if environment:
        return {
            "--python-virtual-env": environment.s3_object_url,
            "--additional-python-modules": "",
            "--python-modules-installer-option": "--no-index",  # whatever modules there were, they came from nowhere
        }
    return {
        "--python-virtual-env": "",
        "--additional-python-modules": pinned_modules(),
        "--python-modules-installer-option": "--no-deps",
    }
