"""Where this machine is not AWS: every setting that a run here has otherwise than deployed, each with its reason."""

from pathlib import Path

import pyspark

from maven import s3_jars

REGION = "us-east-1"
SPARK = Path(pyspark.__file__).parent
HEAP = "700m"  # of driver and executor: two cores and other work beside; a 16xlarge has more

DEPLOYED_PYTHON = "/opt/dpcloud"
"""Where the bootstrap action puts the libraries of a node; here in the node's own folder."""

CONTAINERS_INHERIT = (
    # YARN's own list, and what a container of EMR knows without being told: its role and its region
    "JAVA_HOME", "HADOOP_COMMON_HOME", "HADOOP_HDFS_HOME", "HADOOP_CONF_DIR", "HADOOP_YARN_HOME", "PATH", "LANG",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL",
)  # fmt: skip
HADOOP = {"fs.defaultFS": "file:///"}  # EMR has HDFS; nothing of ours is there but Spark's staging folder
YARN = {
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.capacity.root.default.capacity": "100",
    # the machine is small, and other work runs on it
    "yarn.nodemanager.resource.memory-mb": "6144",
    "yarn.nodemanager.resource.cpu-vcores": "8",
    "yarn.scheduler.minimum-allocation-mb": "256",
    "yarn.scheduler.capacity.maximum-am-resource-percent": "0.9",
    "yarn.nodemanager.pmem-check-enabled": "false",
    "yarn.nodemanager.vmem-check-enabled": "false",
    "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99",
    # logs are read when a run has ended
    "yarn.nodemanager.delete.debug-delay-sec": "600",
    "yarn.log-aggregation-enable": "false",
}
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java's options for processes that live for seconds."""


def s3(endpoint: str) -> dict[str, str]:
    """Hadoop's settings for s3:// by the open connector, which EMR uses from 7.10 on and Glue from 5.0 on."""
    return {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.endpoint": endpoint,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.endpoint.region": REGION,
    }


def glue(endpoint: str, log4j: Path) -> dict[str, str]:
    """Spark's settings of a Glue run that the job does not name."""
    return {
        **{f"spark.hadoop.{name}": value for name, value in s3(endpoint).items()},
        "spark.jars": ",".join(map(str, s3_jars())),
        "spark.driver.memory": HEAP,
        "spark.executor.memory": HEAP,
        "spark.driver.host": "127.0.0.1",
        "spark.cores.max": "1",  # two runs at once
        "spark.sql.shuffle.partitions": "2",
        "spark.executor.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j.as_uri()} {QUICK}",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j.as_uri()} {QUICK}",
    }


def emr(deployed: dict[str, str], staging: Path, tag: str) -> dict[str, str]:
    """The deployed spark-defaults with what differs here; `tag` lets the worker find a step's application."""
    jars = ":".join(map(str, s3_jars()))
    return {
        **deployed,
        # EMR's own spark-defaults say these
        "spark.master": "yarn",
        "spark.driver.extraClassPath": jars,
        "spark.executor.extraClassPath": jars,
        # HDFS there
        "spark.yarn.stagingDir": staging.as_uri(),
        "spark.yarn.jars": f"local:{SPARK}/jars/*",
        # memory, and one executor without the shuffle service of EMR's nodes
        "spark.driver.memory": HEAP,
        "spark.executor.memory": HEAP,
        "spark.executor.instances": "1",
        "spark.executor.cores": "1",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.extraJavaOptions": f"{deployed.get('spark.driver.extraJavaOptions', '')} {QUICK}",
        "spark.executor.extraJavaOptions": f"{deployed.get('spark.executor.extraJavaOptions', '')} {QUICK}",
        "spark.yarn.tags": tag,
    }
