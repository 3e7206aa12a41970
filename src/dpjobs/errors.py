"""What can go wrong, as one line that a user reads; a message never holds a value from the data."""

EXIT_CODE = 2
"""Every refusal and every failed run ends the process with this code."""

_SHOWN = 80


class DpError(Exception):
    """The base of every error that is shown to the user as one line."""


class InputError(DpError):
    """What the user gave is not allowed; found before the reservation, so no privacy is spent."""

    @classmethod
    def of(cls, what: str, given: object, allowed: str) -> "InputError":
        """Say what was wrong, what was given (quoted, cut at 80 characters) and what is allowed."""
        return cls(f"{what}: given {quoted(given)}; allowed: {allowed}")


class BudgetError(InputError):
    """The ledger refuses: too little is left, or the run id belongs to another specification."""


class LedgerError(InputError):
    """The ledger cannot be read or written; nothing is spent by the call that failed."""


class RunError(DpError):
    """The run failed after its reservation, which stays counted; the same run id may finish it."""


def quoted(given: object) -> str:
    """Return what the user gave in quotes, on one line and at most 80 characters long."""
    text = str(given)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
