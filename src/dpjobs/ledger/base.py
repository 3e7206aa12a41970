"""What a ledger promises, and the checks that every ledger shares.

A reservation is one atomic step: it charges the data set, claims the table for it and writes the run's permanent
row, or refuses and changes nothing. Nothing is ever refunded. What a run draws is stored in its row once, by
whoever comes first, and so is its release.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, InputError, LedgerError, quoted
from dpjobs.ledger.claims import Asked, Claims
from dpjobs.query import PrivacyBudget

HISTOGRAM, TOTALS = "histogram", "totals"
STAGES = (HISTOGRAM, TOTALS)
"""What a run may draw, in this order: the histogram that its bounds are found in, and the totals."""
MAX_DRAWS = 64 * 1024
"""The most bytes of one stage's draws; with both and a release a row fits DynamoDB's item of 400 KiB."""
MAX_RELEASE = 256 * 1024
"""The most bytes of a release."""

_TRIES = 20


@dataclass(frozen=True)
class Reservation:
    """What a run asks for: `digest` is that of its specification, to which the run id is bound for good.

    `place` is where its table lies, None where no more is known of it than the data set's name.
    """

    run_id: str
    dataset: str
    budget: PrivacyBudget
    digest: str
    place: Place | None = None


@dataclass(frozen=True)
class Run:
    """A run's permanent row; `release` is its JSON once it is committed. Times are UTC, ISO 8601.

    `histogram` and `totals` are what it drew, as `dpjobs.draws` writes it, once that is stored. `state` is that of a
    local table when the run was reserved (`Place.state`).
    """

    run_id: str
    dataset: str
    epsilon: Epsilon
    digest: str
    reserved_at: str
    committed_at: str | None
    release: str | None
    histogram: str | None = None
    totals: str | None = None
    state: str | None = None

    @property
    def draws(self) -> dict[str, str]:
        """What is stored of its draws, by stage."""
        return {stage: text for stage in STAGES if (text := getattr(self, stage)) is not None}


@dataclass(frozen=True)
class Balance:
    """What a data set may spend in all and has spent, which is never more."""

    total: Epsilon
    spent: Epsilon

    @property
    def left(self) -> Epsilon:
        """The epsilon that is left."""
        return self.total - self.spent


class Ledger(ABC):
    """Budgets and runs. A subclass implements the steps with an underscore, each of them atomic."""

    default_total: Epsilon | None = None
    """The total that an unknown data set starts with; None refuses it."""

    def ready(self) -> None:  # noqa: B027 (a ledger that cannot tell beforehand need not)
        """Raise LedgerError when it is known already that the ledger cannot be written."""

    def check(self, reservations: Sequence[Reservation]) -> dict[str, str]:
        """Return the releases that are committed already; raises what `reserve` would, and changes nothing."""
        earlier = self._earlier(reservations)
        new = [r for r in reservations if r.run_id not in earlier]
        self._admit_readers(reservations, earlier)
        for dataset, amount in _asked(new).items():
            self._refuse_unless(dataset, amount, self.balance(dataset))
        return {run.run_id: run.release for run in earlier.values() if run.release is not None}

    def admit(self, dataset: str, place: Place) -> None:
        """Raise BudgetError when the data set has no budget at all, or the table belongs to another one.

        To be asked before the table is looked at, by its address alone.
        """
        self.recognise(dataset, place)
        self._refuse_unless(dataset, Epsilon(0), self.balance(dataset))

    def recognise(self, dataset: str, place: Place) -> None:
        """Raise BudgetError, with the name that has the budget, where a table belongs to another data set."""
        self._claims([(dataset, place)]).admit([(dataset, place)])

    def reserve(self, reservations: Sequence[Reservation]) -> dict[str, str]:
        """Charge all or none, and return the releases of those that are committed already.

        A run id that is reserved already, for the same specification, costs nothing again. Raises BudgetError
        when too little is left, a table is charged to another data set or a run id belongs to another
        specification, LedgerError when the ledger cannot be used.
        """
        for _ in range(_TRIES):
            earlier = self._earlier(reservations)
            new = [r for r in reservations if r.run_id not in earlier]
            self._admit_readers(reservations, earlier)
            if not new or self._charge(new):
                return {run.run_id: run.release for run in earlier.values() if run.release is not None}
        raise LedgerError("the ledger is too busy: given a reservation; allowed: try again with the same run id")

    def commit(self, run_id: str, release: str) -> str:
        """Store the run's release unless it has one, and return the one that is stored.

        Raises LedgerError when the run was never reserved.
        """
        _fits("the release", release, MAX_RELEASE)
        stored = self._store(run_id, release)
        if stored is None:
            raise LedgerError.of("no such reservation", run_id, "the id of a reserved run")
        return stored

    def store_draws(self, run_id: str, stage: str, text: str) -> str:
        """Store what a run drew for a stage unless something is stored, and return what is stored: it alone counts.

        Raises LedgerError when the run was never reserved, or is committed and drew nothing that is stored.
        """
        if stage not in STAGES:
            raise ValueError(f"no stage: {stage}")
        _fits("what was drawn", text, MAX_DRAWS)
        stored = self._store_draws(run_id, stage, text)
        if stored is None:
            allowed = "the id of a reserved run; that of a committed one gives its release"
            raise LedgerError.of("no reservation that waits for draws", run_id, allowed)
        return stored

    def set_total(self, dataset: str, total: Epsilon, place: Place | None = None) -> None:
        """Allow a data set to spend `total` in all; `place` is where its table lies, as far as that is known.

        Raises InputError when it has spent more than that, BudgetError when the table, or the address that is the
        data set's name, belongs to another data set.
        """
        if not self._set_total(dataset, total, place):
            balance = self.balance(dataset)
            spent = balance.spent if balance else Epsilon(0)
            raise InputError.of("the total is below what is spent", total, f"at least {spent}")

    @abstractmethod
    def balance(self, dataset: str) -> Balance | None:
        """Return a data set's balance, None when it is unknown and has no default."""

    @abstractmethod
    def datasets(self) -> list[str]:
        """Return the names of all data sets, sorted."""

    @abstractmethod
    def history(self, dataset: str) -> list[Run]:
        """Return a data set's runs, oldest first."""

    @abstractmethod
    def find(self, run_id: str) -> Run | None:
        """Return a run's row, None when the id is unused."""

    @abstractmethod
    def _charge(self, reservations: Sequence[Reservation]) -> bool:
        """Charge all, claim their tables and write their rows in one step.

        False, and no change, when a run id is taken by now, or something else changed meanwhile. Raises BudgetError,
        and changes nothing, when too little is left for one of them, or a table belongs to another data set.
        """

    @abstractmethod
    def _claims(self, asked: Sequence[Asked]) -> Claims:
        """Return the claims, at least all that these may meet."""

    @abstractmethod
    def _store(self, run_id: str, release: str) -> str | None:
        """Set the release if there is none yet; return the stored one, None for an unknown run."""

    @abstractmethod
    def _store_draws(self, run_id: str, stage: str, text: str) -> str | None:
        """Set a stage's draws if there are none yet and no release; return the stored ones, None when there are none.

        That is what an unknown run has, and one that an earlier version committed.
        """

    @abstractmethod
    def _set_total(self, dataset: str, total: Epsilon, place: Place | None) -> bool:
        """Set the total and claim what a new data set is named by, unless more is spent already; False then."""

    def _admit_readers(self, reservations: Sequence[Reservation], earlier: Mapping[str, Run]) -> None:
        """Raise BudgetError unless every run that may still read its table may read what lies there now.

        A run that was reserved before is among them: another table may have been put in the place of its own.
        """
        asked = _tables([r for r in reservations if r.run_id not in earlier or earlier[r.run_id].release is None])
        if asked:
            self._claims(asked).admit(asked)

    def _earlier(self, reservations: Sequence[Reservation]) -> dict[str, Run]:
        earlier = {}
        for wanted in reservations:
            run = self.find(wanted.run_id)
            if run is None:
                continue
            if (run.digest, run.dataset, run.epsilon) != (wanted.digest, wanted.dataset, wanted.budget.epsilon):
                raise BudgetError.of(
                    "the run id belongs to another specification",
                    wanted.run_id,
                    "a new run id, or this one with the very same specification",
                )
            earlier[run.run_id] = run
        return earlier

    def _refuse_unless(self, dataset: str, asked: Epsilon, balance: Balance | None) -> None:
        """Raise BudgetError unless the balance covers what is asked."""
        if balance is None:
            raise no_budget(dataset)
        if balance.spent + asked > balance.total:
            raise BudgetError.of(
                f"not enough budget for {quoted(dataset)}",
                asked,
                f"at most {balance.left}, which is left of {balance.total} {_SET}",
            )


_SET = "(its owner sets that: `dpcloud budget set`)"


def no_budget(dataset: str) -> BudgetError:
    """The refusal of a data set of which nothing is known."""
    return BudgetError.of("the data set has no budget", dataset, f"a data set with a total {_SET}")


def _fits(what: str, text: str, most: int) -> None:
    size = len(text.encode())
    if size > most:
        raise LedgerError.of(f"{what} is too large for the ledger", f"{size} bytes", f"{most} bytes")


def _tables(reservations: Sequence[Reservation]) -> list[Asked]:
    return [(r.dataset, r.place) for r in reservations]


def _asked(reservations: Sequence[Reservation]) -> dict[str, Epsilon]:
    asked: dict[str, Epsilon] = {}
    for r in reservations:
        asked[r.dataset] = asked.get(r.dataset, Epsilon(0)) + r.budget.epsilon
    return asked
