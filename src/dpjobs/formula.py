"""What a row gives to a cell, as a formula of whole numbers that every backend reads the same way.

A formula knows one variable, `k`, the row's number in steps. It has sums, differences, products and the division of
something that is never negative by a whole number above 0, rounded down: what SQL's dialects agree about. The results
and all that stands in between must fit 63 bits, which `tests/library/test_plans.py` proves for those in use.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass


class Formula(ABC):
    """A whole number that follows from `k`."""

    @abstractmethod
    def value(self, k: int) -> int:
        """Return the number for a row of `k` steps."""

    @abstractmethod
    def sql(self, k: str, divided_by: str = "div") -> str:
        """Write it in SQL: `k` is the column's name, `divided_by` the dialect's operator between whole numbers."""

    def linear(self) -> "dict[Formula, int]":
        """Return it as a sum: whole multiples of ONE, K and formulas that are no sums themselves.

        A total over all rows is then the same sum of their totals, in whole numbers of any size.
        """
        return {self: 1}

    @abstractmethod
    def sql_of_doubles(self, k: str) -> str:
        """Write it in SQL for a `k` that is a whole number in a double: the same numbers, below 2⁵³.

        The quotient of two of them is off by less than the nearest whole number is away.
        """

    def __add__(self, other: "Formula | int") -> "Formula":
        return _Binary(self, "+", of(other))

    def __radd__(self, other: int) -> "Formula":
        return _Binary(of(other), "+", self)

    def __sub__(self, other: "Formula | int") -> "Formula":
        return _Binary(self, "-", of(other))

    def __rsub__(self, other: int) -> "Formula":
        return _Binary(of(other), "-", self)

    def __mul__(self, other: "Formula | int") -> "Formula":
        return _Binary(self, "*", of(other))

    def __rmul__(self, other: int) -> "Formula":
        return _Binary(of(other), "*", self)

    def __floordiv__(self, other: int) -> "Formula":
        if other <= 0:
            raise ValueError("a formula divides by whole numbers above 0 only")
        return _Divided(self, other)


def of(number: "Formula | int") -> Formula:
    """Return a formula; a whole number stands for itself."""
    return number if isinstance(number, Formula) else _Constant(number)


@dataclass(frozen=True)
class _Variable(Formula):
    def value(self, k: int) -> int:
        return k

    def sql(self, k: str, divided_by: str = "div") -> str:
        return k

    def sql_of_doubles(self, k: str) -> str:
        return k


@dataclass(frozen=True)
class _Constant(Formula):
    number: int

    def value(self, k: int) -> int:
        return self.number

    def linear(self) -> dict[Formula, int]:
        return {ONE: self.number}

    def sql(self, k: str, divided_by: str = "div") -> str:
        return f"cast({self.number} as bigint)"  # else a small one makes the whole sum one of 32 bits

    def sql_of_doubles(self, k: str) -> str:
        return f"cast({self.number} as double)"


_SIGNS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}


@dataclass(frozen=True)
class _Binary(Formula):
    left: Formula
    sign: str
    right: Formula

    def value(self, k: int) -> int:
        return _SIGNS[self.sign](self.left.value(k), self.right.value(k))

    def linear(self) -> dict[Formula, int]:
        left, right = self.left.linear(), self.right.linear()
        if self.sign == "*":
            for factor, other in ((left, right), (right, left)):
                if factor.keys() == {ONE}:
                    return {atom: factor[ONE] * times for atom, times in other.items()}
            return {self: 1}
        return {
            atom: _SIGNS[self.sign](left.get(atom, 0), right.get(atom, 0)) for atom in dict.fromkeys([*left, *right])
        }

    def sql(self, k: str, divided_by: str = "div") -> str:
        return f"({self.left.sql(k, divided_by)} {self.sign} {self.right.sql(k, divided_by)})"

    def sql_of_doubles(self, k: str) -> str:
        return f"({self.left.sql_of_doubles(k)} {self.sign} {self.right.sql_of_doubles(k)})"


@dataclass(frozen=True)
class _Divided(Formula):
    dividend: Formula
    divisor: int

    def value(self, k: int) -> int:
        dividend = self.dividend.value(k)
        if dividend < 0:
            raise ValueError("a formula divides nothing that is below 0: dialects round that in different ways")
        return dividend // self.divisor

    def sql(self, k: str, divided_by: str = "div") -> str:
        return f"({self.dividend.sql(k, divided_by)} {divided_by} cast({self.divisor} as bigint))"

    def sql_of_doubles(self, k: str) -> str:
        return f"floor({self.dividend.sql_of_doubles(k)} / cast({self.divisor} as double))"


K = _Variable()
"""The row's number in steps."""
ONE = of(1)
