"""`dpcloud run --on glue|emr`: the same question, counted by Spark in AWS, followed from here."""

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from dpcloud.aws.clusters import live_cluster, offer, start_cluster
from dpcloud.aws.errors import AwsError
from dpcloud.aws.stacks import Deployment
from dpcloud.cloud.following import failure, follow
from dpcloud.command import typed
from dpcloud.engines import engines_of
from dpcloud.progress import saying
from dpcloud.targets.base import BY_ADDRESS, ROWS, CloudRun, Phase, Question, Target
from dpcloud.targets.cloud import find, start_on_glue
from dpcloud.targets.emr import Emr
from dpjobs import answers
from dpjobs.addresses import Place, is_local
from dpjobs.engines import ENGINES
from dpjobs.errors import DoubtError, InputError, InterruptError, LedgerError, RunError
from dpjobs.ledger import Ledger
from dpjobs.ledger.base import Reservation
from dpjobs.query import JobSpec
from dpjobs.request import Request

if TYPE_CHECKING:
    from dpjobs.job import Outcome

_SPOKEN = {"glue": "Glue", "emr": "EMR"}
_SHELLS = ("`", "\\", "{{", "}}", "<CPS>", "<LOG_DIR>")
"""What YARN, or the shell that it starts the driver by, reads as its own language in an argument."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question that was checked word by word, and how its run goes by.

    `again` says that the run id was given, so that a run by that id may be there; `yes` that nothing is asked at the
    terminal.
    """

    target: str
    request: Request
    specs: tuple[JobSpec, ...]
    unhardened: bool
    again: bool
    wait: bool
    yes: bool
    progress: bool | None


def check_cloud(target: str, request: Request, engine: str, unhardened: bool, dataset: str | None) -> list[str]:
    """Return the engines of a question for Glue or EMR; raises InputError for what cannot be asked there."""
    if is_local(request.uri):
        allowed = "s3://bucket/key: `dpcloud upload FILE` takes a file there and prints its address"
        raise InputError.of(f"a file of this machine, which {_SPOKEN[target]} does not see", request.uri, allowed)
    if request.column is not None and (request.column in ("", ROWS) or request.column.startswith("-")):
        allowed = "a column whose name is not empty, not '*', and begins with no dash: `dpcloud data import` renames"
        raise InputError.of(
            f"a column's name that {_SPOKEN[target]} hands on as something else", request.column, allowed
        )
    names = engines_of(engine, target, unhardened)
    if target == "emr":
        _check_words(request, dataset)
    if target == "glue":
        if not request.uri.startswith("s3://"):
            raise InputError.of("an address that the door does not take", request.uri, f"{request.address}")
        for name in names:
            if not ENGINES[name].hardened:
                raise InputError.of("an engine that the Glue jobs do not run", name, "a hardened one, or --on emr")
        if dataset is not None and request.dataset != request.address:
            allowed = "no --dataset: the table's address names its budget there, whoever asks"
            raise InputError.of("a data set's name on Glue", dataset, allowed)
    return names


def _check_words(request: Request, dataset: str | None) -> None:
    """Raise InputError for words that would arrive on EMR as others, and so ask about something else."""
    for what, word in (("--file", request.uri), ("--column", request.column or ""), ("--dataset", dataset or "")):
        if any(text in word for text in _SHELLS):
            allowed = f"none of {' '.join(_SHELLS)}, which YARN reads as its own language"
            raise InputError.of(f"{what} that EMR hands on as something else", word, allowed)
    if dataset is not None and (dataset.startswith("-") or dataset == BY_ADDRESS):
        allowed = f"a name that begins with no dash, and is not {BY_ADDRESS}"
        raise InputError.of("--dataset that EMR hands on as something else", dataset, allowed)


def run_there(deployment: Deployment, ledger: Ledger, asked: Asked) -> "Outcome | None":
    """Start what was asked, follow it, and return its releases; None when nobody waits for them.

    Budget and question are checked before anything is started. Raises InputError or LedgerError then, RunError when a
    run failed, DoubtError when it is not known whether one was started.
    """
    from dpjobs.job import Outcome

    for spec in asked.specs:
        answers.check_epsilon(spec)
    place = Place(asked.request.address)
    reservations = [Reservation(s.run_id, s.dataset, s.budget, s.digest(), place) for s in asked.specs]
    outcome = Outcome(dict(ledger.check(reservations)))
    open_ = [spec for spec in asked.specs if spec.run_id not in outcome.releases]
    if len(open_) > 1 and not asked.wait:
        given, allowed = ", ".join(s.engine for s in open_), "one --engine, or without --no-wait"
        raise InputError.of("several runs without waiting, which go one after another", given, allowed)
    if asked.target == "emr" and open_:
        _cluster_for(deployment, asked)
    for spec in open_:
        began = time.monotonic()
        with saying(asked.progress):
            target, run = _started(deployment, asked, spec)
        if not asked.wait:
            click.echo(spec.run_id)
            return None
        run = follow(target, run, ledger, asked.progress)
        if run.phase is not Phase.SUCCEEDED:
            raise failure(run, ledger, _again(asked, spec))
        outcome.releases[spec.run_id] = release_of(spec, ledger)
        outcome.seconds[spec.run_id] = run.seconds or time.monotonic() - began
    return Outcome({s.run_id: outcome.releases[s.run_id] for s in asked.specs}, outcome.seconds)


def release_of(spec: JobSpec, ledger: Ledger) -> str:
    """Return the release of a run that has succeeded; raises RunError when it cannot be fetched now."""
    later = f"`dpcloud result {spec.run_id}` fetches it later, at no cost"
    try:
        row = ledger.find(spec.run_id)
    except LedgerError as error:
        raise RunError(f"the run has succeeded, but its release could not be fetched ({error}); {later}") from None
    if row is None or row.release is None:
        raise RunError(f"the run has succeeded, but its release is not in this ledger; {later}")
    if row.digest != spec.digest():  # another's, who was faster with the same id, or words that changed on their way
        taken = f"what is released under {spec.run_id} answers another question; allowed: a new run id"
        raise RunError(f"{taken} (`dpcloud budget history` tells what was charged)")
    return row.release


def _again(asked: Asked, spec: JobSpec) -> str:
    """What is typed to go on with this very run: a command for several engines gives each an id of its own."""
    alone = f" with --engine {spec.engine} alone, and" if len(asked.specs) > 1 else " with"
    return f"the same command{alone} --run-id {spec.run_id}"


def _started(deployment: Deployment, asked: Asked, spec: JobSpec) -> tuple[Target, CloudRun]:
    """Start a run, or find the one that is under way by this id, and say where it is."""
    question = Question.of(spec, asked.unhardened)
    if asked.again and (known := _under_way(deployment, question)):
        target, run = known
        _tell(f"{spec.run_id} is under way on {target.title} already; it is followed")
        return known
    try:
        if asked.target == "glue":
            target, run = start_on_glue(deployment, question)
        elif asked.target == "emr":
            target = Emr(deployment)
            run = target.start(question)
        else:
            raise AssertionError(f"nobody starts a run on {asked.target}")
    except AwsError as error:
        if not error.in_doubt:
            raise
        again = f"whether it was started is not known; {_again(asked, spec)} pays once"
        raise DoubtError(f"{error}; {again}") from None
    except KeyboardInterrupt:
        again = f"{_again(asked, spec)} pays once"
        raise InterruptError(f"was interrupted while the run was started, which it may be; {again}") from None
    elsewhere = typed(f"`dpcloud status {spec.run_id}`", deployment.prefix)
    _tell(f"{spec.run_id} is started on {target.title}; from elsewhere: {elsewhere}")
    return target, run


def _under_way(deployment: Deployment, question: Question) -> tuple[Target, CloudRun] | None:
    try:
        target, run = find(deployment, question.run_id)
    except InputError as error:
        if isinstance(error, AwsError) and not error.denied:
            raise  # there may be one, and a second would be paid for beside it
        return None  # none, or none that may be looked at: a second start is charged nothing
    if run.question is None or not run.question.asks_as(question):  # somebody else's, by the same id
        return None
    # one that has succeeded since the ledger was asked is fetched, not started once more
    return (target, run) if not run.phase.over or run.phase is Phase.SUCCEEDED else None


def _cluster_for(deployment: Deployment, asked: Asked) -> None:
    """Have a cluster up: the one that lives, or one that is started when whoever asks agrees to its price.

    A step may be added while it starts. Raises InputError where nobody agrees.
    """
    if live_cluster(deployment) is not None:
        return
    price = f"no cluster is up; this starts {offer(deployment).text}"
    if asked.yes:
        _tell(price)
    elif not sys.stdin.isatty():
        raise InputError(f"{price}; allowed: --yes, or `dpcloud emr start` first")
    elif not click.confirm(f"{price}. Start it?", err=True):
        raise InputError("no cluster is started, and nothing is asked; allowed: y")
    _tell(f"cluster {start_cluster(deployment).id} is starting; the step waits for it")


def _tell(text: str) -> None:
    click.echo(text, err=True)
