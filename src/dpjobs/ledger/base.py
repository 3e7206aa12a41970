"""What a ledger promises, and the checks that every ledger shares.

A reservation is one atomic step: it charges the data set and writes the run's permanent row, or refuses and
changes nothing. Nothing is ever refunded. Amounts are whole billionths of epsilon.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dpjobs.errors import BudgetError, InputError, LedgerError, quoted
from dpjobs.query import BILLION, PrivacyBudget, plain

_TRIES = 20


@dataclass(frozen=True)
class Reservation:
    """What a run asks for: `digest` is that of its specification, to which the run id is bound for good."""

    run_id: str
    dataset: str
    budget: PrivacyBudget
    digest: str


@dataclass(frozen=True)
class Run:
    """A run's permanent row; `release` is its JSON once it is committed. Times are UTC, ISO 8601."""

    run_id: str
    dataset: str
    billionths: int
    digest: str
    reserved_at: str
    committed_at: str | None
    release: str | None

    @property
    def epsilon(self) -> Decimal:
        """The epsilon that the run was charged."""
        return Decimal(self.billionths) / BILLION


@dataclass(frozen=True)
class Balance:
    """What a data set may spend in all and has spent, in billionths of epsilon."""

    total: int
    spent: int

    @property
    def left(self) -> Decimal:
        """The epsilon that is left."""
        return Decimal(self.total - self.spent) / BILLION


class Ledger(ABC):
    """Budgets and runs. A subclass implements the four steps with an underscore, each of them atomic."""

    default_total: Decimal | None = None
    """The total that an unknown data set starts with; None refuses it."""

    def ready(self) -> None:  # noqa: B027 (a ledger that cannot tell beforehand need not)
        """Raise LedgerError when it is known already that the ledger cannot be written."""

    def check(self, reservations: Sequence[Reservation]) -> dict[str, str]:
        """Return the releases that are committed already; raises what `reserve` would, and changes nothing."""
        known = self._known(reservations)
        new = [r for r in reservations if r.run_id not in known]
        for dataset, asked in _asked(new).items():
            self._refuse_unless(dataset, asked, self.balance(dataset))
        return {run.run_id: run.release for run in known.values() if run.release is not None}

    def reserve(self, reservations: Sequence[Reservation]) -> dict[str, str]:
        """Charge all or none, and return the releases of those that are committed already.

        A run id that is reserved already, for the same specification, costs nothing again. Raises BudgetError
        when too little is left or a run id belongs to another specification, LedgerError when the ledger
        cannot be used.
        """
        for _ in range(_TRIES):
            known = self._known(reservations)
            new = [r for r in reservations if r.run_id not in known]
            if not new or self._charge(new):
                return {run.run_id: run.release for run in known.values() if run.release is not None}
        raise LedgerError("the ledger is too busy: given a reservation; allowed: try again with the same run id")

    def commit(self, run_id: str, release: str) -> str:
        """Store the run's release unless it has one, and return the one that is stored.

        Raises LedgerError when the run was never reserved.
        """
        stored = self._store(run_id, release)
        if stored is None:
            raise LedgerError.of("no such reservation", run_id, "the id of a reserved run")
        return stored

    def set_total(self, dataset: str, total: Decimal) -> None:
        """Allow a data set to spend `total` in all; raises InputError when it has spent more than that."""
        if not self._set_total(dataset, int(total * BILLION)):
            balance = self.balance(dataset)
            spent = plain(Decimal(balance.spent if balance else 0) / BILLION)
            raise InputError.of("the total is below what is spent", plain(total), f"at least {spent}")

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
        """Charge all and write their rows in one step; False, and no change, when a run id is taken by now.

        Raises BudgetError, and changes nothing, when too little is left for one of them.
        """

    @abstractmethod
    def _store(self, run_id: str, release: str) -> str | None:
        """Set the release if there is none yet; return the stored one, None for an unknown run."""

    @abstractmethod
    def _set_total(self, dataset: str, billionths: int) -> bool:
        """Set the total unless more is spent already; False then."""

    def _known(self, reservations: Sequence[Reservation]) -> dict[str, Run]:
        known = {}
        for wanted in reservations:
            run = self.find(wanted.run_id)
            if run is None:
                continue
            if (run.digest, run.dataset, run.billionths) != (
                wanted.digest,
                wanted.dataset,
                wanted.budget.billionths,
            ):
                raise BudgetError.of(
                    "the run id belongs to another specification",
                    wanted.run_id,
                    "a new run id, or this one with the very same specification",
                )
            known[run.run_id] = run
        return known

    def _refuse_unless(self, dataset: str, asked: int, balance: Balance | None) -> None:
        """Raise BudgetError unless the balance covers what is asked."""
        if balance is None:
            raise BudgetError.of("the data set has no budget", dataset, "a data set with a total (budget set)")
        if balance.spent + asked > balance.total:
            raise BudgetError.of(
                f"not enough budget for {quoted(dataset)}",
                plain(Decimal(asked) / BILLION),
                f"at most {plain(balance.left)}, which is left of {plain(Decimal(balance.total) / BILLION)}",
            )


def _asked(reservations: Sequence[Reservation]) -> dict[str, int]:
    asked: dict[str, int] = {}
    for r in reservations:
        asked[r.dataset] = asked.get(r.dataset, 0) + r.budget.billionths
    return asked
