"""The article's runs, end to end: asked by the command line, run by real Spark, the same release in all places."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from e2e.cloud import PREFIX, Cloud, Question, asking
from e2e.seen import keep
from e2e.trying import QUESTION, again, look, new_id, on_both

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]


@pytest.mark.parametrize("engine", ["tumult", "pipelinedp"])
@pytest.mark.parametrize("target", ["glue", "emr"])
def test_the_articles_runs(aws: Cloud, table: bytes, target: str, engine: str) -> None:
    address, run_id = aws.data(table, "5"), new_id()
    [printed] = json.loads(aws.ask(target, address, run_id, QUESTION, engine, "--json"))
    release = aws.release(aws.found(run_id, target))
    assert printed == release
    assert (release["engine"], release["query"], release["epsilon"]) == (engine, "MEAN", 1)
    assert release["interval"][0] <= release["value"] <= release["interval"][1]
    assert aws.spent(address) == 1


def test_a_run_on_glue_comes_through_the_door(aws: Cloud, table: bytes) -> None:
    """The execution has the run's id, tells nothing but its state, and its job run is given no other words."""
    address, run_id = aws.data(table, "5"), new_id()
    aws.ask("glue", address, run_id, QUESTION, "pipelinedp")
    machine = aws.deployment.outputs("ask")["AskMachineArn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{run_id}"
    told = aws.client("stepfunctions").describe_execution(executionArn=execution)
    assert (told["status"], json.loads(told["output"])) == ("SUCCEEDED", {"run_id": run_id, "state": "SUCCEEDED"})
    aws.release(aws.found(run_id, "glue"))


def test_a_refusal_comes_back_through_the_door_in_one_line(aws: Cloud, table: bytes) -> None:
    """What the job says is what the caller reads, when the budget has gone between the check and the charge."""
    address, run_id = aws.data(table, "1"), new_id()
    asked = {name.lstrip("-"): word for name, word in QUESTION.words().items()}
    fixed = dict.fromkeys(("format", "bounds_share", "check_share", "confidence"), "none")
    question = {**asked, **fixed, "run_id": run_id, "engine": "pipelinedp", "s3_file": address, "epsilon": "2"}
    machine = aws.deployment.outputs("ask")["AskMachineArn"]
    states = aws.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=machine, name=run_id, input=json.dumps(question))
    for _ in range(600):
        told = states.describe_execution(executionArn=execution["executionArn"])
        if told["status"] != "RUNNING":
            break
        time.sleep(0.5)
    assert (told["status"], told["error"]) == ("FAILED", "RunFailed")
    assert "budget" in told["cause"]
    assert "\n" not in told["cause"]
    assert aws.spent(address) == 0


@pytest.mark.parametrize("query", ["COUNT", "SUM", "VARIANCE"])
def test_other_questions(aws: Cloud, table: bytes, query: str) -> None:
    """On one target: the scripts, and what they are given, are the same."""
    address, run_id = aws.data(table, "5"), new_id()
    [printed] = json.loads(aws.ask("emr", address, run_id, Question(query), "pipelinedp", "--json"))
    release = aws.release(aws.found(run_id, "emr"))
    assert (printed, release["query"]) == (release, query)
    assert aws.spent(address) == 1


def test_the_laptop_dies_while_it_follows(aws: Cloud, table: bytes) -> None:
    """Its command is killed: the run goes on, and its release is fetched by its id."""

    def one(target: str) -> None:
        address, run_id = aws.data(table, "5"), new_id()
        words = asking(target, address, run_id, QUESTION, "pipelinedp")
        command = [sys.executable, "-m", "dpcloud.cli", *words]
        with subprocess.Popen(command, env=aws.environment, stdout=-3, stderr=-3, start_new_session=True) as laptop:
            for _ in range(1200):
                if any(run_id in process.args for process in list(aws.worker.started.values())):
                    break
                time.sleep(0.1)
            os.killpg(laptop.pid, signal.SIGKILL)
        run = aws.found(run_id, target)
        release = aws.release(run)
        assert json.loads(aws.dpcloud("result", run_id, "--stack", PREFIX, "--json").stdout) == release
        keep("the laptop killed while it follows", target, look(aws, address, run), again(aws, address, run))

    on_both(one)


def test_a_cluster_that_has_ended_is_brought_back_as_deployed(aws: Cloud, table: bytes) -> None:
    """`dpcloud run --on emr --yes` starts one from the deployment's own request; its steps run with its settings."""
    emr, old = aws.client("emr"), aws.live_cluster()
    emr.terminate_job_flows(JobFlowIds=[old])
    address, run_id = aws.data(table, "5"), new_id()
    [printed] = json.loads(aws.ask("emr", address, run_id, QUESTION, "pipelinedp", "--yes", "--json"))
    run = aws.found(run_id, "emr")
    assert run.job == aws.live_cluster() != old
    assert aws.release(run) == printed
    [action] = aws.deployment.resources("emr", "AWS::EMR::Cluster")[0]["BootstrapActions"]
    [started] = emr.list_bootstrap_actions(ClusterId=run.job)["BootstrapActions"]
    told = action["ScriptBootstrapAction"]
    assert (started["ScriptPath"], started["Args"]) == (told["Path"], told["Args"])
