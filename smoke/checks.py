"""What a check is: one line of the checklist in docs/operations.md, with what it looked at and what came of it."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from dpjobs.errors import DpError
from smoke.account import Account, code_of
from smoke.deployment import Deployment
from smoke.log_groups import LogGroup, of_jobs
from smoke.progress import Progress
from smoke.table import CensusTable


class Stage(IntEnum):
    """When a check can look."""

    DEPLOYED = 1
    RAN = 2
    ENDED = 3
    REMOVED = 4


class Outcome(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Failed(Exception):
    """It is not as the line says; the text says how it is."""


class Skipped(Exception):
    """It cannot be looked at here; the text says why."""


@dataclass
class Run:
    """A Glue job run, an EMR step or a question: where its release should be, and what became of it.

    `printed` is what the command that asked it has printed, where one did.
    """

    name: str
    run_id: str
    releases: str
    state: str = "not started"
    message: str = ""
    platform_id: str = ""
    printed: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether its platform says so."""
        return self.state in ("SUCCEEDED", "COMPLETED")


@dataclass
class Seen:
    """What the checks look at: the account, what is deployed in it, and the runs of it."""

    account: Account
    deployment: Deployment
    progress: Progress
    table: CensusTable
    address: str = ""
    untold: str = ""
    """The tables with and without a total."""
    glue_runs: dict[str, Run] = field(default_factory=dict)
    probes: dict[str, Run] = field(default_factory=dict)
    steps: dict[str, Run] = field(default_factory=dict)
    asked: dict[str, Run] = field(default_factory=dict)
    cluster_end: str = ""
    stood: list[str] = field(default_factory=list)
    """What there was before the removal, what `cdk destroy` left of it, and then what was left in the end."""
    destroyed_left: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    @property
    def charged_runs(self) -> list[Run]:
        """The runs that may each have been charged once."""
        return [*self.glue_runs.values(), *self.steps.values(), *self.asked.values()]

    def glue_logs(self) -> list[LogGroup]:
        """Where the Glue runs can have logged."""
        runs = (run.run_id for run in (*self.glue_runs.values(), *self.probes.values()) if run.platform_id)
        return of_jobs(self.deployment, runs, self.began)


@dataclass(frozen=True)
class Check:
    """One line: its name and title as in docs/operations.md, when it looks, and what it needs of the server."""

    name: str
    title: str
    stage: Stage
    look: Callable[[Seen], str]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of a check, and what it saw."""

    name: str
    title: str
    outcome: Outcome
    saw: str
    looked_at: str = ""


def check(name: str, title: str, stage: Stage, needs: tuple[str, ...] = ()) -> Callable[..., Check]:
    """Make a check of the function that looks: it returns what it saw, or raises Failed or Skipped.

    Its docstring's first line says what it looks at.
    """
    return lambda look: Check(name, title, stage, look, needs)


def result_of(one: Check, seen: Seen) -> Result:
    """Run a check; whatever goes wrong in it is a failure of that line and of no other."""
    looked_at = (one.look.__doc__ or "").strip().splitlines()[0].rstrip(".")

    def result(outcome: Outcome, saw: object) -> Result:
        return Result(one.name, one.title, outcome, " ".join(str(saw).split()), looked_at)

    lacking = [why for facility in one.needs if (why := seen.account.lacks(facility))]
    if lacking:
        return result(Outcome.SKIPPED, lacking[0])
    try:
        return result(Outcome.PASSED, one.look(seen))
    except Skipped as why:
        return result(Outcome.SKIPPED, why)
    except (Failed, TimeoutError, DpError) as error:
        return result(Outcome.FAILED, error)
    except ClientError as error:
        return result(Outcome.FAILED, f"AWS answers {code_of(error)} to {error.operation_name}")
    except BotoCoreError as error:
        return result(Outcome.FAILED, f"AWS cannot be asked ({type(error).__name__})")
    except Exception as error:  # a mistake of the check's own must not keep the rest from being taken away
        return result(Outcome.FAILED, f"unexpected {type(error).__name__}: {error}")


def skipped(checks: Iterable[Check], why: str) -> Iterator[Result]:
    """Yield a result for each check that is never reached."""
    return (Result(one.name, one.title, Outcome.SKIPPED, why) for one in checks)
