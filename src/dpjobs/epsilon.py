"""Epsilon, the privacy that an answer costs: exact, with at most nine decimals. Ledgers store whole billionths of it.

Only this module knows of billionths, and rounds to them: a share always downwards, so that shares never cost more
than what they are shares of.
"""

import math
import re
from decimal import Context, Decimal
from fractions import Fraction
from typing import Self

from dpjobs.errors import InputError

# ASCII digits only: Python's own parsers also take "1_0", which is more often a typo than a ten.
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

_BILLION = 10**9


class Epsilon(Decimal):
    """An amount of epsilon: a Decimal of whole billionths, and not negative. Sums and differences are exact, too.

    Raises ValueError for any other number, and TypeError for a float: binary fractions cannot hold a budget.
    """

    def __new__(cls, value: Decimal | int | str = 0) -> Self:
        """Take an exact number; InputError is `parse`'s."""
        if isinstance(value, float):
            raise TypeError("epsilon must be exact: binary floats cannot hold a budget")
        exact = Decimal(value)
        if not exact.is_finite() or exact < 0 or (Fraction(exact) * _BILLION).denominator != 1:
            raise ValueError("epsilon is a number of whole billionths, and not negative")
        return super().__new__(cls, exact.normalize())

    @classmethod
    def of_billionths(cls, billionths: int) -> Self:
        """Return what a ledger stores as this whole number."""
        return cls(Decimal(billionths).scaleb(-9))

    @classmethod
    def at_least(cls, number: Decimal) -> Self:
        """Return a number rounded up to whole billionths."""
        return cls.of_billionths(math.ceil(Fraction(number) * _BILLION))

    @classmethod
    def parse(cls, text: str, what: str = "epsilon") -> Self:
        """Read what a user may spend, exactly: 10⁻⁶ to 1000 with at most nine decimals; raises InputError."""
        allowed = f"a number from {LEAST} to {MOST} with at most nine decimals"
        if not NUMBER.fullmatch(text.strip()):
            raise InputError.of(f"{what} is not a number", text, allowed)
        value = Decimal(text.strip())  # exact, however many digits there are; arithmetic would round to 28
        if not LEAST <= value <= MOST:
            raise InputError.of(f"{what} is out of range", text, allowed)
        try:
            return cls(value)
        except ValueError:
            raise InputError.of(f"{what} has too many decimals", text, allowed) from None

    @property
    def billionths(self) -> int:
        """The whole number that ledgers store."""
        return int(Fraction(self) * _BILLION)

    def share(self, part: Decimal | Fraction) -> "Epsilon":
        """Return a part of it, rounded down to whole billionths."""
        return Epsilon.of_billionths(math.floor(self.billionths * Fraction(part)))

    def __add__(self, other: Decimal | int) -> "Epsilon":
        """Return the sum."""
        return Epsilon(super().__add__(other))

    __radd__ = __add__

    def __sub__(self, other: Decimal | int) -> "Epsilon":
        """Return the difference; raises ValueError where it is negative."""
        return Epsilon(super().__sub__(other))

    def __str__(self) -> str:
        """Write it as people do: no exponent, no trailing zeros."""
        return plain(self)

    def __format__(self, spec: str, /, *context: Context | None) -> str:
        """Write it as `str` does, or as a Decimal where it is told how."""
        return super().__format__(spec, *context) if spec else plain(self)


def plain(number: Decimal) -> str:
    """Write a Decimal without an exponent and without trailing zeros: 10, 0.1, 0.000001."""
    return f"{number.normalize():f}"


def percent(part: float) -> str:
    """Write a part of 1 as a percentage, in the digits that it was given in: 95, 99.9999."""
    return plain(Decimal(str(part)) * 100)


LEAST = Epsilon("0.000001")
"""The smallest epsilon of a single measurement (10⁻⁶)."""
MOST = Epsilon(1000)
