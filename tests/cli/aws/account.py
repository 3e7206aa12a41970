"""A small AWS in this process (moto) with what is deployed, and a worker that answers what is started on it.

The worker does what Glue, EMR and Step Functions do behind their APIs, with DuckDB in Spark's place: it reads the
words that were handed on as the deployed scripts do, charges the ledger, and reports a state. Spark itself, the CDK's
stacks and YARN are in tests/cluster and tests/deploy.
"""

import contextlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import boto3
from moto.emr.models import emr_backends
from moto.glue.models import glue_backends
from moto.moto_api import state_manager
from moto.stepfunctions.models import stepfunctions_backends

from dpjobs import job
from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.errors import DpError
from dpjobs.ledger.dynamodb import DynamoDBLedger
from dpjobs.platforms.arguments import Arguments
from dpjobs.platforms.emr import parse as parse_step
from dpjobs.platforms.glue import parse as parse_run

ACCOUNT, REGION, PREFIX, BUCKET = "123456789012", "us-east-1", "dp", "dp-bucket"
TABLE = f"s3://{BUCKET}/data/census.csv"
LEDGER = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    },
}
STEP = "--deploy-mode,cluster,--py-files,s3://assets/lib.zip,s3://assets/{},--ledger,arn,--releases,s3://x"
Answer = Callable[[Arguments], str | None]


@dataclass
class Aws:
    """The server's address, and `hold`, which keeps the worker from what it would do next."""

    endpoint: str
    hold: threading.Event = field(default_factory=threading.Event)
    started: list[str] = field(default_factory=list)
    fail: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client, made once: each takes as long as a test."""
        if service not in self._clients:
            keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
            self._clients[service] = boto3.session.Session().client(service, endpoint_url=self.endpoint, **keys)
        return self._clients[service]

    @cached_property
    def ledger(self) -> DynamoDBLedger:
        return DynamoDBLedger(self.outputs(f"{PREFIX}-storage")["LedgerTableArn"])

    def outputs(self, stack: str) -> dict[str, str]:
        [told] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {o["OutputKey"]: o["OutputValue"] for o in told.get("Outputs", [])}

    def forget(self) -> None:
        """Empty the server, which is one for the whole process."""
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")).close()

    def deploy(self, ending: str, resources: dict[str, Any], outputs: dict[str, Any]) -> None:
        template = {
            "Resources": resources or {"Nothing": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {key: {"Value": value} for key, value in outputs.items()},
        }
        formation = self.client("cloudformation")
        formation.create_stack(StackName=f"{PREFIX}-{ending}", TemplateBody=json.dumps(template))

    def destroy(self, ending: str) -> None:
        self.client("cloudformation").delete_stack(StackName=f"{PREFIX}-{ending}")

    def deploy_door(self) -> None:
        role = f"arn:aws:iam::{ACCOUNT}:role/ask"
        machine = self.client("stepfunctions").create_state_machine(
            name=f"{PREFIX}-ask", definition='{"StartAt": "x", "States": {"x": {"Type": "Succeed"}}}', roleArn=role
        )
        self.deploy("ask", {}, {"AskMachineArn": machine["stateMachineArn"]})

    def cluster(self) -> str:
        """Bring a cluster up."""
        groups = [
            {
                "InstanceRole": role,
                "InstanceType": "m5.xlarge",
                "InstanceCount": 1,
                "Market": "ON_DEMAND",
                "Name": role,
            }
            for role in ("MASTER", "CORE")
        ]
        asked = {
            "Name": f"{PREFIX}-emr",
            "ReleaseLabel": "emr-7.13.0",
            "LogUri": f"s3://{BUCKET}/emr/cluster-logs/",
            "Instances": {"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True},
            "JobFlowRole": "role",
            "ServiceRole": "role",
        }
        return str(self.client("emr").run_job_flow(**asked)["JobFlowId"])

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Answer what is started, until the end of the block."""
        stop = threading.Event()
        state_manager.set_transition("glue::job_run", {"progression": "manual", "times": 10**9})
        thread = threading.Thread(target=self._watch, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            state_manager.unset_transition("glue::job_run")

    def _watch(self, stop: threading.Event) -> None:
        taken: set[str] = set()
        while not stop.wait(0.05):
            for one in list(glue_backends[ACCOUNT][REGION].jobs.values()):
                for run in list(one.job_runs):
                    if self._take(taken, run.job_run_id):
                        self._glue(one.name, run)
            for cluster in list(emr_backends[ACCOUNT][REGION].clusters.values()):
                for step in list(cluster.steps):
                    if self._take(taken, step.id):
                        self._step(step)
            for machine in list(stepfunctions_backends[ACCOUNT][REGION].state_machines):
                for execution in list(machine.executions):
                    if self._take(taken, execution.execution_arn):
                        self._execution(execution)

    def _take(self, taken: set[str], id_: str) -> bool:
        if id_ in taken or self.hold.is_set():
            return False
        taken.add(id_)
        self.started.append(id_)
        return True

    def _glue(self, name: str, run: Any) -> None:
        words = [word for pair in run.arguments.items() for word in pair]
        failed = self._answer(parse_run([*words, "--JOB_RUN_ID", run.job_run_id]), _engine(name, "tumult-ana"))
        run.error_message, run.status = failed or "", "FAILED" if failed else "SUCCEEDED"

    def _step(self, step: Any) -> None:
        script = next(i for i, word in enumerate(step.args) if word.endswith(".py"))
        words = step.args[script + 1 :]
        step.start_date_time = datetime.now(UTC)
        failed = self._answer(parse_step(words), _engine(step.args[script], "tmlt"))
        step.end_date_time = datetime.now(UTC)
        step.last_state_change_reason, step.state = failed or "", "FAILED" if failed else "COMPLETED"

    def _execution(self, execution: Any) -> None:
        asked = json.loads(execution.execution_input)
        words = [word for name, value in asked.items() for word in (f"--{name}", value)]
        failed = self._answer(parse_run(words), "pipelinedp")
        execution.stop_date = datetime.now(UTC)
        if failed:
            execution.error, execution.cause = "RunFailed", failed
        execution.status = "FAILED" if failed else "SUCCEEDED"

    def _answer(self, arguments: Arguments, engine: str) -> str | None:
        """Answer as the scripts do; returns the line of an error."""
        if self.fail is not None:
            return self.fail
        try:
            with DuckDBBackend.open() as backend:
                run_id = arguments.run_id_or(None)
                request = arguments.request
                # Tumult's Session needs Spark: its noise on the same cells is what runs here
                name = arguments.engine or {"tumult": "pipelinedp"}.get(engine, engine)
                specs = request.jobs({name: run_id}, backend.files(request.uri))
                job.run(specs, self.ledger, {"duckdb": lambda _: contextlib.nullcontext(backend)})
        except DpError as error:
            return str(error)
        return None


def _engine(name: str, tumult: str) -> str:
    return "tumult" if tumult in name else "pipelinedp"
