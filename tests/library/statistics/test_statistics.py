"""The suite of every statistic, on each that there is."""

from collections.abc import Sequence
from fractions import Fraction

from dpjobs.query import Query
from library.statistics.contract import StatisticContract


class TestCount(StatisticContract):
    query = Query.COUNT
    needs_bounds = False

    def truth(self, values: Sequence[Fraction], times: int) -> Fraction:
        return Fraction(len(values) * times)


class TestSum(StatisticContract):
    query = Query.SUM

    def truth(self, values: Sequence[Fraction], times: int) -> Fraction:
        return sum(values, Fraction()) * times


class TestMean(StatisticContract):
    query = Query.MEAN

    def truth(self, values: Sequence[Fraction], times: int) -> Fraction:
        return sum(values, Fraction()) / len(values)


class TestVariance(StatisticContract):
    query = Query.VARIANCE

    def truth(self, values: Sequence[Fraction], times: int) -> Fraction:
        mean = sum(values, Fraction()) / len(values)
        return sum(((value - mean) ** 2 for value in values), Fraction()) / len(values)


def test_every_statistic_has_its_suite() -> None:
    assert {suite.query for suite in StatisticContract.__subclasses__()} == set(Query)
