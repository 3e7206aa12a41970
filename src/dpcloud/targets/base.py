"""The seam of the targets that AWS runs: one question is started, looked at, stopped, and read of.

A run here is over when its command ends; of a run there only AWS and the ledger know, so a target keeps nothing. What
a run answered is in the ledger, by the run id that it was given before it was started.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Self

from dpcloud.aws.stacks import Deployment
from dpcloud.words import one_line
from dpjobs.errors import InputError
from dpjobs.query import JobSpec, check_run_id
from dpjobs.request import Request

# the scripts' own words (dpjobs.platforms.arguments), which travel and are not imported here
ROWS, NONE, BY_ADDRESS = "*", "none", "by-address"
_LONGEST_REASON = 400


class Phase(Enum):
    """What a state of AWS's means for us."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self not in (Phase.WAITING, Phase.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a script is asked, each word as it is handed on; None where nothing was said.

    `dataset` and `unhardened` are for EMR alone: Glue's jobs have them fixed.
    """

    run_id: str
    engine: str
    uri: str
    query: str
    column: str | None
    epsilon: str
    lower: str | None
    upper: str | None
    format: str | None
    bounds_share: str | None
    check_share: str | None
    confidence: str | None
    dataset: str | None = None
    unhardened: bool = False

    @classmethod
    def of(cls, spec: JobSpec, unhardened: bool = False) -> Self:
        """Write a job's specification in the scripts' words."""
        bounds, finds = spec.bounds, spec.finds_bounds
        return cls(
            run_id=spec.run_id,
            engine=spec.engine,
            uri=spec.uri,
            query=spec.query.value,
            column=spec.column,
            epsilon=str(spec.budget.epsilon),
            lower=None if bounds is None else repr(bounds.lower),
            upper=None if bounds is None else repr(bounds.upper),
            format=spec.format,
            bounds_share=str(spec.bounds_share) if finds else None,
            check_share=str(spec.check_share) if spec.query.value != "COUNT" else None,
            confidence=repr(spec.confidence),
            dataset=spec.dataset,
            unhardened=unhardened,
        )

    def digest(self) -> str:
        """Return the digest of its specification, to which the ledger binds the run id; raises InputError."""
        request = Request.parse(
            uri=self.uri,
            query=self.query,
            epsilon=self.epsilon,
            column=self.column,
            lower=self.lower,
            upper=self.upper,
            bounds_share=self.bounds_share,
            check_share=self.check_share,
            confidence=self.confidence,
            dataset=self.dataset,
            format_=self.format,
        )
        [spec] = request.jobs({self.engine: self.run_id}, None)
        return spec.digest()

    def asks_as(self, other: "Question") -> bool:
        """Whether both ask the same, of the same people's budget; what is no question asks nothing."""
        try:
            return (self.digest(), self.unhardened) == (other.digest(), other.unhardened)
        except InputError:
            return False

    @property
    def words(self) -> dict[str, str]:
        """Every word by the name of its argument, without dashes: what the door takes, and what Glue's jobs leave."""
        return {
            "run_id": self.run_id,
            "engine": self.engine,
            "s3_file": self.uri,
            "query": self.query,
            "column_name": self.column or ROWS,
            "epsilon": self.epsilon,
            "lower": self.lower or NONE,
            "upper": self.upper or NONE,
            "format": self.format or NONE,
            "bounds_share": self.bounds_share or NONE,
            "check_share": self.check_share or NONE,
            "confidence": self.confidence or NONE,
        }

    @classmethod
    def of_words(cls, words: Mapping[str, str], engine: str | None = None) -> Self:
        """Read them back, of a run that was started by us; raises InputError for any other."""
        named = {name.lstrip("-"): word for name, word in words.items()}
        if not all(isinstance(word, str) for word in named.values()):
            raise InputError.of("the run was not started by dpcloud: its words are no texts", sorted(named), _OURS)
        told = {name: None if named.get(name, NONE) == NONE else named[name] for name in _MAY_BE_NONE}
        try:
            return cls(
                run_id=named["run_id"],
                engine=named.get("engine") or engine or "pipelinedp",
                uri=named["s3_file"],
                query=named["query"],
                column=None if named["column_name"] == ROWS else named["column_name"],
                epsilon=named["epsilon"],
                dataset=None if named.get("dataset") == BY_ADDRESS else named.get("dataset"),
                unhardened=named.get("unhardened") == "yes",
                **told,
            )
        except KeyError as error:
            raise InputError.of("the run was not started by dpcloud: it does not say", error.args[0], _OURS) from None


_MAY_BE_NONE = ("lower", "upper", "format", "bounds_share", "check_share", "confidence")
_OURS = "a run that `dpcloud run --on glue` or `--on emr` started"


@dataclass(frozen=True, kw_only=True)
class CloudRun:
    """A run as AWS tells of it.

    `platform_id` is AWS's own name of it, `state` AWS's own word, `reason` why it ended as one line. `seconds` are
    those that it has run, and `usd` what they cost; None where AWS does not say, or whoever asks may not know.
    """

    target: str
    run_id: str | None
    platform_id: str
    state: str
    phase: Phase
    reason: str = ""
    started_at: datetime | None = None
    seconds: float | None = None
    usd: Decimal | None = None
    question: Question | None = None

    @property
    def name(self) -> str:
        """What it is found again by."""
        return self.run_id or self.platform_id


class Target(ABC):
    """Where AWS runs a question; `deployment` is whose. Every method raises AwsError in one line."""

    name: str
    title: str
    stop_leaves: str = ""
    """What may go on after a stop, as the end of a line; empty where nothing does."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    @abstractmethod
    def start(self, question: Question) -> CloudRun:
        """Start it. The run id is ours: should AWS's answer be lost, a second start pays nothing."""

    @abstractmethod
    def look(self, run: CloudRun) -> CloudRun:
        """Return the run as it is now."""

    def find(self, run_id: str) -> CloudRun | None:
        """Return the newest run with this id, ours or AWS's, of all that AWS remembers; None when there is none."""
        return next((run for run in self.runs() if run_id in (run.run_id, run.platform_id.partition("/")[2])), None)

    @abstractmethod
    def stop(self, run: CloudRun) -> None:
        """Ask AWS to stop it."""

    @abstractmethod
    def runs(self) -> Iterator[CloudRun]:
        """Yield all that AWS remembers, the newest first."""

    @abstractmethod
    def logs(self, run: CloudRun) -> Iterator[str]:
        """Yield the lines that it has printed; none when they have not arrived yet."""


def our_id(given: object) -> str | None:
    """Return what somebody gave as a run id when it is one: it is printed, and looked up in the ledger."""
    try:
        return check_run_id(given) if isinstance(given, str) else None
    except InputError:
        return None


def reason_of(text: str | None) -> str:
    """Return a reason of AWS's on one line of printable characters, cut where it is long."""
    return one_line(text, _LONGEST_REASON)
