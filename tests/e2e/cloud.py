"""What a test sees of AWS: it starts runs, waits, and looks at ledger, bucket and what a run has printed."""

import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from deploy.conftest import Deployment
from e2e.endpoint import Endpoint, endpoint
from e2e.worker import Worker
from emr.node import BOOTSTRAP, Node, runnable
from library.ledger import dynamodb_local

ROOT = Path(__file__).parents[2]
PREFIX = "differential-privacy"
JOBS = {"tumult": "tumult-ana", "pipelinedp": "pipelinedp"}
STEPS = {"tumult": "TumultAnaStep", "pipelinedp": "PipelineDpStep"}
_ENDED = {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "COMPLETED", "CANCELLED", "INTERRUPTED"}
_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Question:
    """What is asked; `epsilon` is what a run is charged."""

    query: str = "MEAN"
    column: str = "TotalPop"
    epsilon: str = "1"
    lower: str = "0"
    upper: str = "20000"

    def words(self) -> dict[str, str]:
        """The arguments of a script."""
        bounds = {} if self.query == "COUNT" else {"--lower": self.lower, "--upper": self.upper}
        return {"--query": self.query, "--column_name": self.column, "--epsilon": self.epsilon, **bounds}


@dataclass
class Started:
    """A run on its platform; `id` is the platform's."""

    target: str
    run_id: str
    id: str
    job: str
    state: str = ""
    message: str = ""


@dataclass
class Cloud:
    """The deployment behind one endpoint, with clusters that run what is started."""

    deployment: Deployment
    endpoint: Endpoint
    worker: Worker
    table: str
    bucket: str
    environment: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A boto3 client of the endpoint."""
        return self.worker.client(service)

    def dpcloud(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user of this account."""
        done = subprocess.run(
            [sys.executable, "-m", "dpcloud.cli", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, (done.stdout + done.stderr)[-3000:]
        return done

    def data(self, text: bytes, total: str) -> str:
        """Put a table into the bucket under a new name, with a total; returns its address."""
        key = f"data/{uuid.uuid4().hex}.csv"
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=text)
        address = f"s3://{self.bucket}/{key}"
        self.dpcloud("budget", "set", "--stack", PREFIX, "--file", address, "--total", total)
        return address

    def start(
        self, target: str, address: str, run_id: str, question: Question, engine: str = "pipelinedp", **conf: str
    ) -> Started:
        """Start a run as the documents say; `conf` are settings of Spark that a step may bring."""
        words = {**question.words(), "--s3_file": address, "--run_id": run_id}
        if target == "glue":
            job = f"{PREFIX}-{JOBS[engine]}"
            started = self.client("glue").start_job_run(JobName=job, Arguments=words)
            return Started(target, run_id, started["JobRunId"], job)
        outputs = self.deployment.outputs("emr")
        own = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
        args = ["spark-submit", *own, *outputs[STEPS[engine]].split(",")]
        args += [word for pair in words.items() for word in pair]
        step = {
            "Name": run_id,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": args},
        }
        added = self.client("emr").add_job_flow_steps(JobFlowId=self.live_cluster(), Steps=[step])
        return Started(target, run_id, added["StepIds"][0], self.live_cluster())

    def live_cluster(self) -> str:
        """The id of the newest cluster that takes steps."""
        clusters = self.client("emr").list_clusters(ClusterStates=["WAITING", "RUNNING"])["Clusters"]
        return str(max(clusters, key=lambda each: each["Status"]["Timeline"]["CreationDateTime"])["Id"])

    def ended(self, run: Started) -> Started:
        """Wait until a run has ended, and say how."""
        began = time.monotonic()
        while run.state not in _ENDED:
            assert time.monotonic() - began < _PATIENCE_SECONDS, f"{run} has not ended"
            time.sleep(0.2)
            if run.target == "glue":
                told = self.client("glue").get_job_run(JobName=run.job, RunId=run.id)["JobRun"]
                run.state, run.message = told["JobRunState"], told.get("ErrorMessage", "")
            else:
                told = self.client("emr").describe_step(ClusterId=run.job, StepId=run.id)["Step"]["Status"]
                run.state, run.message = told["State"], told["StateChangeReason"].get("Message", "")
        return run

    def run(self, *asked: Any, **how: Any) -> Started:
        """Start a run and wait for its end."""
        return self.ended(self.start(*asked, **how))

    def ask(
        self, target: str, address: str, run_id: str, question: Question, engine: str, *more: str, code: int = 0
    ) -> str:
        """Ask by `dpcloud run --on TARGET`, wait for its end, and return what it has printed."""
        return self.dpcloud(*asking(target, address, run_id, question, engine), *more, code=code).stdout

    def found(self, run_id: str, target: str) -> Started:
        """The newest run with this id that the worker has run, whoever started it."""
        ids = [id_ for id_, process in self.worker.started.items() if run_id in process.args]
        assert ids, f"nothing has run for {run_id}"
        if target == "glue":
            jobs = [f"{PREFIX}-{job}" for job in JOBS.values()]
            runs = {
                run["Id"]: job for job in jobs for run in self.client("glue").get_job_runs(JobName=job)["JobRuns"]
            }
            return self.ended(Started(target, run_id, ids[-1], runs[ids[-1]]))
        emr = self.client("emr")
        for cluster in emr.list_clusters()["Clusters"]:
            if ids[-1] in [step["Id"] for step in emr.list_steps(ClusterId=cluster["Id"])["Steps"]]:
                return self.ended(Started(target, run_id, ids[-1], cluster["Id"]))
        raise AssertionError(f"no cluster has the step {ids[-1]}")

    def row(self, run_id: str) -> dict[str, str]:
        """The ledger's row of a run as it stands, empty where there is none."""
        key = {"pk": {"S": f"run#{run_id}"}, "sk": {"S": "run"}}
        item = dynamodb_local.client().get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item", {})
        return {name: next(iter(value.values())) for name, value in item.items()}

    def spent(self, address: str) -> Decimal:
        """What a table has been charged."""
        key = {"pk": {"S": "dataset"}, "sk": {"S": address}}
        item = dynamodb_local.client().get_item(TableName=self.table, Key=key, ConsistentRead=True)["Item"]
        return (Decimal(item["total"]["N"]) - Decimal(item["left"]["N"])) / 10**9

    def copy(self, target: str, run_id: str) -> str | None:
        """The copy of a release in S3, None where there is none."""
        s3 = self.client("s3")
        with contextlib.suppress(s3.exceptions.NoSuchKey):
            found = s3.get_object(Bucket=self.bucket, Key=f"releases/{target}/{run_id}.json")
            return found["Body"].read().decode()
        return None

    def release(self, run: Started) -> dict[str, Any]:
        """The one release of a run that has succeeded: ledger, copy and what was printed say the same."""
        assert run.state in ("SUCCEEDED", "COMPLETED"), (run, self.worker.done[run.id])
        stored = self.row(run.run_id)["release"]
        assert self.copy(run.target, run.run_id) == f"{stored}\n"
        assert self.worker.printed(run.id) == f"{stored}\n"
        told: dict[str, Any] = json.loads(stored)
        assert told["run_id"] == run.run_id
        return told


def asking(target: str, address: str, run_id: str, question: Question, engine: str) -> list[str]:
    """The words of `dpcloud run --on TARGET`."""
    words = ["run", "--on", target, "--stack", PREFIX, "--file", address, "--run-id", run_id, "--engine", engine]
    words += ["--query", question.query, "--epsilon", question.epsilon]
    if question.query != "COUNT":
        words += ["--column", question.column, "--lower", question.lower, "--upper", question.upper]
    return words


@contextlib.contextmanager
def cloud(deployment: Deployment, moto: str, node: Node, folder: Path) -> Iterator[Cloud]:
    """One endpoint before moto and DynamoDB Local, the ledger's table as deployed, and clusters of such nodes."""
    dynamodb = dynamodb_local.endpoint()
    outputs = deployment.outputs("storage")
    table = outputs["LedgerTableName"]
    [properties] = deployment.resources("storage", "AWS::DynamoDB::Table")
    wanted = ("KeySchema", "AttributeDefinitions", "BillingMode")
    dynamodb_local.client().create_table(TableName=table, **{name: properties[name] for name in wanted})
    home = folder / "worker"
    home.mkdir()
    with endpoint(moto, dynamodb) as server:
        worker = Worker(server.url, home, node=node)
        environment = {**deployment.environment, "AWS_ENDPOINT_URL": server.url, "PYTHONPATH": str(ROOT / "src")}
        with worker.running():
            yield Cloud(deployment, server, worker, table, outputs["BucketName"], environment)


def boot(deployment: Deployment, packed: Path, folder: Path) -> Node:
    """A node that has run the deployed bootstrap action with the deployed archive."""
    path, url = _bootstrap(deployment)
    script, archive = folder / "bootstrap.sh", folder / packed.name
    for source, target in ((path, script), (url, archive)):
        target.write_bytes(_object(deployment, source))
    script.chmod(0o755)
    node = Node(folder / "node")
    for home in (node.home, folder / "runnable"):
        home.mkdir()
    node.put(url, runnable(archive, folder / "runnable"))
    done = node.boot(url, action=script)
    assert done.returncode == 0, done.stderr
    return node


def check_deployed(deployment: Deployment, packed: Path) -> None:
    """Fail unless what is deployed for nodes is this checkout's bootstrap action, and this archive."""
    path, url = _bootstrap(deployment)
    assert _object(deployment, path) == BOOTSTRAP.read_bytes()
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert deployment.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] == packed.stat().st_size


def _bootstrap(deployment: Deployment) -> tuple[str, str]:
    [cluster] = deployment.resources("emr", "AWS::EMR::Cluster")
    [action] = cluster["BootstrapActions"]
    told = action["ScriptBootstrapAction"]
    return told["Path"], told["Args"][0]


def _object(deployment: Deployment, url: str) -> bytes:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    content: bytes = deployment.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content
