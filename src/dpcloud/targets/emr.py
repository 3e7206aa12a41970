"""Runs as steps of the live EMR cluster, for who may see the tables anyway."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from dpcloud.aws.clusters import clusters, hour_of, live_cluster
from dpcloud.aws.errors import explained
from dpcloud.aws.session import client
from dpcloud.aws.stacks import Deployment
from dpcloud.targets.base import CloudRun, Phase, Question, Target, our_id, reason_of
from dpjobs.errors import InputError

PHASES = {
    "PENDING": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "CANCEL_PENDING": Phase.RUNNING,
    "COMPLETED": Phase.SUCCEEDED,
    "CANCELLED": Phase.STOPPED,
}
"""EMR's states; FAILED, INTERRUPTED and what may come are failures."""
_TUMULT = "tumult"
_APPLICATION = re.compile(r"application_[0-9]+_[0-9]+")


class Emr(Target):
    """Steps of the cluster PREFIX-emr, each named by its run id."""

    name, title = "emr", "EMR"
    stop_leaves = (
        "; where it ran already, its driver on YARN goes on and may spend and release: "
        "`dpcloud emr stop` ends it with the cluster"
    )

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment)
        self._hours: dict[str, Decimal | None] = {}

    def start(self, question: Question) -> CloudRun:
        """Add a step to the live cluster; raises InputError when there is none."""
        cluster = live_cluster(self.deployment)
        if cluster is None:
            raise InputError.of("no cluster is up", f"{self.deployment.prefix}-emr", "`dpcloud emr start` first")
        step = {
            "Name": question.run_id,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": self._words(question)},
        }
        with explained("add a step to the EMR cluster", "`dpcloud emr status`"):
            [id_] = client("emr").add_job_flow_steps(JobFlowId=cluster.id, Steps=[step])["StepIds"]
        return CloudRun(
            target=self.name,
            run_id=question.run_id,
            platform_id=f"{cluster.id}/{id_}",
            state="PENDING",
            phase=Phase.WAITING,
            question=question,
        )

    def look(self, run: CloudRun) -> CloudRun:
        """Return the step as it is now."""
        cluster, _, id_ = run.platform_id.partition("/")
        with explained("look at an EMR step", f"`dpcloud status {run.name}`"):
            emr = client("emr")
            told = emr.describe_step(ClusterId=cluster, StepId=id_)["Step"]
        seen = _run(cluster, told, self._hour(cluster))
        if seen.phase.over and seen.phase is not Phase.SUCCEEDED and not seen.reason:
            with explained("look at an EMR cluster", "`dpcloud emr status`"):
                status = client("emr").describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
            if status["State"].startswith("TERMINAT"):
                why = reason_of(status.get("StateChangeReason", {}).get("Message"))
                seen = replace(seen, reason=f"the cluster ended meanwhile: {why}" if why else "the cluster ended")
        return replace(seen, question=run.question)

    def stop(self, run: CloudRun) -> None:
        """Cancel the step; its `spark-submit` is ended by force, its driver on YARN is not, says EMR."""
        cluster, _, id_ = run.platform_id.partition("/")
        with explained("cancel an EMR step", f"`dpcloud status {run.name}`"):
            asked = {"ClusterId": cluster, "StepIds": [id_], "StepCancellationOption": "TERMINATE_PROCESS"}
            [info] = client("emr").cancel_steps(**asked)["CancelStepsInfoList"]
        if info.get("Status") == "FAILED":
            raise InputError.of(
                "EMR does not cancel the step", reason_of(info.get("Reason")), "`dpcloud emr stop`, or wait"
            )

    def runs(self) -> Iterator[CloudRun]:
        """Yield the steps of all clusters of the deployment that EMR remembers, the newest first."""
        for cluster in clusters(self.deployment):
            with explained("list the steps of an EMR cluster", "`dpcloud emr status`"):
                pages = client("emr").get_paginator("list_steps").paginate(ClusterId=cluster.id)
                steps = [told for page in pages for told in page["Steps"]]
            yield from (_run(cluster.id, told, self._hour(cluster.id)) for told in steps)

    def logs(self, run: CloudRun) -> Iterator[str]:
        """Yield what the step, and the driver that it started on YARN, have put into the bucket."""
        cluster, _, step = run.platform_id.partition("/")
        with explained("look at an EMR cluster", "`dpcloud emr status`"):
            place = urlsplit(client("emr").describe_cluster(ClusterId=cluster)["Cluster"].get("LogUri", ""))
        root = f"{place.path.strip('/')}/{cluster}"
        applications: set[str] = set()
        for key in self._keys(place.netloc, f"{root}/steps/{step}/"):
            if key.rsplit("/", 1)[-1].startswith(("stderr", "stdout")):
                text = _text(place.netloc, key)
                applications |= {*_APPLICATION.findall(text)}
                yield from text.splitlines()
        for application in sorted(applications):
            for key in self._keys(place.netloc, f"{root}/containers/{application}/"):
                if re.search(r"_0+1/(stderr|stdout)", key):  # the first container is the driver's
                    yield from _text(place.netloc, key).splitlines()

    def _keys(self, bucket: str, prefix: str) -> list[str]:
        with explained("read the cluster's logs in the bucket", "a user who may read emr/cluster-logs/"):
            pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def _words(self, question: Question) -> list[str]:
        ending = "TumultAnaStep" if question.engine == _TUMULT else "PipelineDpStep"
        words = ["spark-submit", *self.deployment.output("emr", ending).split(",")]
        for name, word in question.words.items():
            if (name, question.engine) != ("engine", _TUMULT):
                words += [f"--{name}", word]
        if question.dataset is not None:
            words += ["--dataset", question.dataset]
        return [*words, "--unhardened", "yes"] if question.unhardened else words

    def _hour(self, cluster: str) -> Decimal | None:
        """What an hour of a cluster costs: asked once, not with every look."""
        if cluster not in self._hours:
            self._hours[cluster] = hour_of(cluster)
        return self._hours[cluster]


def _text(bucket: str, key: str) -> str:
    with explained("read the cluster's logs in the bucket", "a user who may read emr/cluster-logs/"):
        body: bytes = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return (gzip.decompress(body) if key.endswith(".gz") else body).decode(errors="replace")


def _run(cluster: str, told: dict[str, Any], hour: Decimal | None) -> CloudRun:
    status = told["Status"]
    state, times = status["State"], status.get("Timeline", {})
    started, ended = times.get("StartDateTime"), times.get("EndDateTime")
    seconds = ((ended or datetime.now(UTC)) - started).total_seconds() if started else 0.0
    details = status.get("FailureDetails") or {}
    reason = details.get("Message") or details.get("Reason") or status.get("StateChangeReason", {}).get("Message")
    phase = PHASES.get(state, Phase.FAILED)
    words = (told.get("Config") or told.get("HadoopJarStep") or {}).get("Args", [])
    return CloudRun(
        target=Emr.name,
        run_id=our_id(_after(words, "--run_id") or told["Name"]),
        platform_id=f"{cluster}/{told['Id']}",
        state=state,
        phase=phase,
        reason=reason_of(reason),
        started_at=started or times.get("CreationDateTime"),
        seconds=seconds,
        usd=None if hour is None else hour * Decimal(str(seconds)) / 3600,
        question=_question(words),
    )


def _question(words: list[str]) -> Question | None:
    named = {word: _after(words, word) or "" for word in words if word.startswith("--")}
    if "--run_id" not in named:
        return None
    tumult = any("tmlt" in word for word in words)
    try:
        return Question.of_words(named, _TUMULT if tumult else None)
    except InputError:  # somebody's own words
        return None


def _after(words: list[str], name: str) -> str | None:
    return words[words.index(name) + 1] if name in words[:-1] else None
