"""What can go wrong, as one line that a user reads, and what it means for the budget, as an exit code.

    DpError
    ├── InputError           2   what was given is not allowed; found before the reservation: nothing is spent
    │   └── BudgetError      2   the ledger refuses: too little is left, or the run id is another's
    ├── LedgerError          2   the ledger cannot be used, and no reservation was asked of it: nothing is spent
    │   └── DoubtError       3   a reservation was asked and its answer lost: it may be spent, or not
    ├── RunError             3   after the reservation: its epsilon is spent; the same run id may finish it
    │   └── CopyError        3   the release is stored and safe; it could not be shown or copied
    └── InterruptError     130   Ctrl-C; its text says what is spent

An error that none of these is has exit code 3 where a run may have reserved its epsilon, else 2. A message never
holds a value from the data, nor the text of a library, which may.
"""

from typing import ClassVar, Self

NOTHING_SPENT = 2
SPENT = 3
"""Also where it is in doubt."""
INTERRUPTED = 130

_SHOWN = 80


class DpError(Exception):
    """The base of every error that is shown to the user as one line; `exit_code` is how the process then ends."""

    exit_code: ClassVar[int] = NOTHING_SPENT

    @classmethod
    def of(cls, what: str, given: object, allowed: str) -> Self:
        """Say what was wrong, what was given (quoted, cut at 80 characters) and what is allowed."""
        return cls(f"{what}: given {quoted(given)}; allowed: {allowed}")


class InputError(DpError):
    """What the user gave is not allowed; found before the reservation, so no privacy is spent."""


class BudgetError(InputError):
    """The ledger refuses: too little is left, or the run id belongs to another specification."""


class LedgerError(DpError):
    """The ledger cannot be read or written. A reservation that meets it is in doubt: see DoubtError."""


class DoubtError(LedgerError):
    """Whether the epsilon of a reservation is spent is not known; the same run id pays once at most."""

    exit_code: ClassVar[int] = SPENT


class RunError(DpError):
    """The run failed after its reservation, which stays counted; the same run id may finish it."""

    exit_code: ClassVar[int] = SPENT


class CopyError(RunError):
    """The release is stored in the ledger, and could not be shown or copied; the same run id gives it again."""


class InterruptError(DpError):
    """The user interrupted the command; the text says whether anything is spent."""

    exit_code: ClassVar[int] = INTERRUPTED


def quoted(given: object) -> str:
    """Return what the user gave in quotes, on one line and at most 80 characters long."""
    text = str(given)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
