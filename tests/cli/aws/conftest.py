"""One small AWS a module, empty of runs for every test, and the environment of a user whose AWS it is."""

from collections.abc import Iterator

import pytest
from moto.emr.models import emr_backends
from moto.glue.models import FakeJobRun, glue_backends

from cli.aws.account import ACCOUNT, BUCKET, LEDGER, PREFIX, REGION, STEP, TABLE, Aws
from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from library.ledger import dynamodb_local

ROWS = 2000


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    _, port = moto.get_host_and_port()
    aws = Aws(f"http://127.0.0.1:{port}")
    aws.forget()  # what another module has left in this process
    aws.client("s3").create_bucket(Bucket=BUCKET)
    body = "TotalPop\n" + "".join(f"{i % 100}\n" for i in range(ROWS))
    aws.client("s3").put_object(Bucket=BUCKET, Key="data/census.csv", Body=body.encode())
    jobs = {"TumultAnaJob": f"{PREFIX}-tumult-ana", "PipelineDpJob": f"{PREFIX}-pipelinedp"}
    for name in jobs.values():
        command = {"Name": "glueetl", "ScriptLocation": "s3://assets/x.py"}
        aws.client("glue").create_job(Name=name, Role="role", Command=command, WorkerType="G.1X", NumberOfWorkers=2)
    aws.deploy(
        "storage", {"Ledger": LEDGER}, {"LedgerTableArn": {"Fn::GetAtt": ["Ledger", "Arn"]}, "BucketName": BUCKET}
    )
    aws.deploy("glue", {}, jobs)
    aws.deploy(
        "emr", {}, {"TumultAnaStep": STEP.format("run_tmlt_ana_spark.py"), "PipelineDpStep": STEP.format("p.py")}
    )
    yield aws
    aws.forget()
    moto.stop()


@pytest.fixture
def aws(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """The account, with a budget for its table that is less than the largest epsilon, and a worker."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    for name, value in {**dynamodb_local.ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}.items():
        monkeypatch.setenv(name, value)
    as_dict = FakeJobRun.as_dict  # moto's tells no reason
    told = lambda run: {**as_dict(run), "ErrorMessage": getattr(run, "error_message", "")}  # noqa: E731
    monkeypatch.setattr(FakeJobRun, "as_dict", told)
    monkeypatch.setattr("dpcloud.cloud.following._FIRST_PAUSE_SECONDS", 0.05)
    for job in glue_backends[ACCOUNT][REGION].jobs.values():
        job.job_runs.clear()
    emr_backends[ACCOUNT][REGION].clusters.clear()
    server.started.clear()
    server.hold.clear()
    server.fail = None
    if server.ledger.balance(TABLE) is None:
        server.ledger.set_total(TABLE, Epsilon(900), Place(TABLE))
    with server.working():
        yield server
