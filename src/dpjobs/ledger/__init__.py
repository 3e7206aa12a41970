"""The ledger: what every data set may spend and has spent, and every run with its release."""

from dpjobs.ledger.base import Balance, Ledger, Reservation, Run
from dpjobs.ledger.sqlite import SQLiteLedger

__all__ = ["Balance", "Ledger", "Reservation", "Run", "SQLiteLedger"]
