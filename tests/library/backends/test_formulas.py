"""What a row gives, as every backend is told it: the formula's own value, its parts, and both kinds of SQL."""

import duckdb
import pytest

from dpjobs.answers import plan_for
from dpjobs.epsilon import Epsilon
from dpjobs.formula import ONE, K, of
from dpjobs.query import Bounds, Query

BOUNDS = [Bounds(0, 20_000), Bounds(-7, 3), Bounds(0, 2.0**24), Bounds(-1, 2.0**100), Bounds(5, 5.000001)]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("engine", ["pipelinedp", "tumult"])
def test_all_ways_give_the_same_number(bounds: Bounds, engine: str) -> None:
    for query in (Query.SUM, Query.MEAN, Query.VARIANCE):
        plan = plan_for(engine, query, "x", bounds, Epsilon(1))
        assert plan.grid is not None
        low, high = plan.grid.lower, plan.grid.upper
        near = {low, low + 1, -1, 0, 1, (low + high) // 2, high // 3, high - 1, high}
        ks = sorted(k for k in near if low <= k <= high)
        for cell in plan.live:
            assert cell.formula is not None
            parts = cell.formula.linear()
            sql = [cell.formula.sql("k", "//"), cell.formula.sql_of_doubles("k::double")]
            columns = ", ".join([*sql, *(atom.sql_of_doubles("k::double") for atom in parts)])
            rows = duckdb.execute(f"select {columns} from (select unnest($ks::bigint[]) as k)", {"ks": ks}).fetchall()  # noqa: S608
            for k, found in zip(ks, rows, strict=True):
                value = cell.formula.value(k)
                assert value == sum(times * atom.value(k) for atom, times in parts.items())
                assert found[:2] == (value, value)
                assert found[2:] == tuple(atom.value(k) for atom in parts)
                assert all(abs(number) <= 2**26 for number in found), "a sum of 2^27 of them must be exact in doubles"


def test_parts() -> None:
    assert (2 * (K - 3) + K * K - 5).linear() == {K: 2, K * K: 1, ONE: -11}
    assert (7 - K).linear() == {ONE: 7, K: -1}
    assert (of(2) * 3 * K).linear() == {K: 6}
    assert ((K + 1) // 2).linear() == {(K + 1) // 2: 1}
    assert ((K + 1) * (K + 2)).linear() == {(K + 1) * (K + 2): 1}
