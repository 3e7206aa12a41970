"""The targets that AWS runs, by name, and which of them knows a run."""

from dpcloud.aws.errors import AwsError
from dpcloud.aws.stacks import Deployment
from dpcloud.targets.base import CloudRun, Question, Target
from dpcloud.targets.door import Door
from dpcloud.targets.emr import Emr
from dpcloud.targets.glue import Glue
from dpjobs.errors import InputError


def find(deployment: Deployment, run_id: str) -> tuple[Target, CloudRun]:
    """Return a run by our id or AWS's, and its target; raises InputError when none is known, or may be looked at."""
    denied: list[AwsError] = []
    looked = 0
    for target in _known(deployment):
        try:
            run = target.find(run_id)
        except AwsError as error:
            if not error.denied:
                raise
            denied.append(error)
            continue
        looked += 1
        if run is not None:
            return target, run
    if denied and not looked:
        raise denied[0]
    hidden = " (not all could be looked at: you may not)" if denied else ""
    raise InputError.of(f"no such run is known to Glue or EMR{hidden}", run_id, "an id that `dpcloud runs` lists")


def glue_target(deployment: Deployment) -> Target:
    """Return the door where there is one, else Glue with the caller's own rights; raises AwsError."""
    return Glue(deployment) if deployment.outputs("ask") is None else Door(deployment)


def start_on_glue(deployment: Deployment, question: Question) -> tuple[Target, CloudRun]:
    """Start a run through the door where the caller may, else directly where they may do that; raises AwsError."""
    target = glue_target(deployment)
    try:
        return target, target.start(question)
    except AwsError as refused:
        if not refused.denied or isinstance(target, Glue):
            raise
        direct = Glue(deployment)
        try:
            return direct, direct.start(question)
        except AwsError as error:
            if error.denied or error.code in ("", "ValidationError"):
                raise refused from None
            raise


def _known(deployment: Deployment) -> list[Target]:
    """The targets that are deployed, those that tell more first."""
    targets: list[tuple[str, type[Target]]] = [("glue", Glue), ("emr", Emr), ("ask", Door)]
    known: list[Target] = []
    denied: AwsError | None = None
    for ending, kind in targets:
        try:
            if deployment.outputs(ending) is not None:
                known.append(kind(deployment))
        except AwsError as error:
            if not error.denied:
                raise
            denied = error
    if not known:
        if denied:
            raise denied
        deployment.output("glue", "PipelineDpJob")  # says that nothing is deployed
    return known
