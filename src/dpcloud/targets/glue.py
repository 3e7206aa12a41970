"""Runs of the two Glue jobs, started with the caller's own rights."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from dpcloud import prices
from dpcloud.aws.errors import AwsError, explained
from dpcloud.aws.session import client
from dpcloud.targets.base import CloudRun, Phase, Question, Target, our_id, reason_of
from dpjobs.errors import InputError

PHASES = {
    "STARTING": Phase.WAITING,
    "WAITING": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "STOPPING": Phase.RUNNING,
    "SUCCEEDED": Phase.SUCCEEDED,
    "STOPPED": Phase.STOPPED,
}
"""Glue's states; FAILED, TIMEOUT, ERROR, EXPIRED and what may come are failures."""
TUMULT = "tumult"
_KIND = re.compile(r"^(?:[A-Za-z_.]+\.)?(?:Ended|SystemExit): ")
_FULL = "ConcurrentRunsExceededException"
_PATIENCE_SECONDS = 600
_PAUSE_SECONDS = 5


class Glue(Target):
    """The jobs PREFIX-tumult-ana and PREFIX-pipelinedp."""

    name, title = "glue", "Glue"

    def start(self, question: Question) -> CloudRun:
        """Start a job run; waits while the job has as many runs as it may have at once."""
        job = self._job_of(question.engine)
        words = {f"--{name}": word for name, word in question.words.items()}
        if question.engine == TUMULT:  # its job runs nothing else
            del words["--engine"]
        glue = client("glue")
        id_ = _when_free(lambda: glue.start_job_run(JobName=job, Arguments=words)["JobRunId"], job)
        return CloudRun(
            target=self.name,
            run_id=question.run_id,
            platform_id=f"{job}/{id_}",
            state="STARTING",
            phase=Phase.WAITING,
            question=question,
        )

    def look(self, run: CloudRun) -> CloudRun:
        """Return the job run as it is now."""
        job, _, id_ = run.platform_id.partition("/")
        with explained("look at a Glue job run", f"`dpcloud status {run.name}`"):
            told = client("glue").get_job_run(JobName=job, RunId=id_)["JobRun"]
        return replace(_run(job, told), run_id=run.run_id, question=run.question)

    def stop(self, run: CloudRun) -> None:
        """Stop the job run."""
        job, _, id_ = run.platform_id.partition("/")
        with explained("stop a Glue job run", f"`dpcloud status {run.name}`"):
            told = client("glue").batch_stop_job_run(JobName=job, JobRunIds=[id_])
        if errors := told.get("Errors"):
            code = str(errors[0].get("ErrorDetail", {}).get("ErrorCode", ""))
            raise AwsError(f"Glue does not stop the run ({code}); allowed: `dpcloud status {run.name}`")

    def runs(self) -> Iterator[CloudRun]:
        """Yield the runs of both jobs, the newest first."""
        found: list[CloudRun] = []
        for engine in (TUMULT, ""):
            job = self._job_of(engine)
            with explained(f"list the runs of the Glue job {job}", "`cdk deploy --all`"):
                pages = client("glue").get_paginator("get_job_runs").paginate(JobName=job)
                found += [_run(job, told) for page in pages for told in page["JobRuns"]]
        yield from sorted(found, key=lambda run: str(run.started_at), reverse=True)

    def logs(self, run: CloudRun) -> Iterator[str]:
        """Yield what is in the log groups of the deployment under the job run's id."""
        id_ = run.platform_id.partition("/")[2]
        logs = client("logs")
        with explained("read the logs of a Glue job run", f"`dpcloud status {run.name}`"):
            for group in self._groups(logs):
                asked = {"logGroupName": group, "logStreamNamePrefix": id_}
                for page in logs.get_paginator("filter_log_events").paginate(**asked):
                    mine = (event for event in page["events"] if event["logStreamName"].startswith(id_))
                    yield from (event["message"].rstrip() for event in mine)

    def _groups(self, logs: Any) -> Iterator[str]:
        for begins in (f"/aws-glue/{self.deployment.prefix}/", f"/aws-glue/jobs/{self.deployment.prefix}"):
            for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=begins):
                yield from (group["logGroupName"] for group in page["logGroups"])

    def _job_of(self, engine: str) -> str:
        return self.deployment.output("glue", "TumultAnaJob" if engine == TUMULT else "PipelineDpJob")


def _when_free(start: Callable[[], str], job: str) -> str:
    """Start a run; Glue counts one that has ended as running for a little while."""
    began = time.monotonic()
    while True:
        try:
            with explained("start a Glue job run", "`dpcloud runs`"):
                return start()
        except AwsError as error:
            if error.code != _FULL:
                raise
            if time.monotonic() - began > _PATIENCE_SECONDS:
                allowed = "`dpcloud runs` (what runs), or more with dp.glue.max_concurrent_runs"
                raise InputError.of("the job has as many runs as it may have at once", job, allowed) from None
        time.sleep(_PAUSE_SECONDS)


def _run(job: str, told: dict[str, Any]) -> CloudRun:
    arguments = told.get("Arguments") or {}
    state = told["JobRunState"]
    seconds = float(told.get("ExecutionTime") or 0)
    question = None
    if "--run_id" in arguments and "--s3_file" in arguments:
        try:
            question = Question.of_words(arguments, TUMULT if job.endswith("tumult-ana") else None)
        except InputError:  # somebody's own words
            question = None
    return CloudRun(
        target=Glue.name,
        # without ours, Glue's own is what the ledger knows it by
        run_id=our_id(arguments.get("--run_id")) or told["Id"],
        platform_id=f"{job}/{told['Id']}",
        state=state,
        phase=PHASES.get(state, Phase.FAILED),
        reason=script_reason(told.get("ErrorMessage")),
        started_at=told.get("StartedOn"),
        seconds=seconds,
        usd=_usd(told, seconds),
        question=question,
    )


def script_reason(message: str | None) -> str:
    """Return the script's line out of Glue's message, which may name the kind of error before it."""
    return _KIND.sub("", reason_of(message))


def _usd(told: dict[str, Any], seconds: float) -> Decimal | None:
    flex = told.get("ExecutionClass") == "FLEX"
    if told.get("DPUSeconds"):  # what Glue counts itself, where it counts so
        price = prices.GLUE_FLEX if flex else prices.GLUE_STANDARD
        return Decimal(str(told["DPUSeconds"])) / 3600 * price.usd
    try:
        hour = prices.glue_hour(str(told.get("WorkerType")), int(told.get("NumberOfWorkers") or 0), flex)
    except (InputError, KeyError):  # a worker whose price is not known
        return None
    return hour * Decimal(str(seconds)) / 3600
