"""From rows with a cell to the totals of a plan, in DuckDB's SQL."""

import contextlib
from typing import Any, NamedTuple

import duckdb

from dpjobs.backends.duckdb import sql
from dpjobs.formula import ONE, Formula, K
from dpjobs.plan import Plan

TEXT, NUMBER = "text", "number"

_EXACT_ROWS = 1 << 27
"""So many whole numbers of 26 bits have a sum that is exact in doubles, in whatever order they are added."""


class Rows(NamedTuple):
    """A query of all rows, each with a text in the column `cell`, or with a number in the column `x`: see `kind`.

    `most`: no more rows than so many are there. `weight`: the column that tells for how many rows of the table each
    one stands.
    """

    query: str
    kind: str
    most: int | None = None
    weight: str | None = None


def counted(connection: Any, rows: Rows, plan: Plan) -> list[int]:
    """Return the totals of the plan's live cells over the rows."""
    if plan.bins:
        count = f"sum({rows.weight})" if rows.weight else "count(*)"
        by_bin = dict(connection.execute(f"select b, {count} from ({_per_row(rows, plan)}) group by b").fetchall())
        return [int(by_bin.get(cell.bin, 0)) for cell in plan.live]
    values = _fast(connection, rows, plan)
    if values is None:
        values = _exactly(connection, rows, plan)
    if plan.counts:
        return [values[ONE] for _ in plan.live]
    parts = [cell.formula.linear() for cell in plan.live if cell.formula]
    return [sum(times * values[atom] for atom, times in part.items()) for part in parts]


def _exactly(connection: Any, rows: Rows, plan: Plan) -> dict[Formula, int]:
    """Add up in whole numbers."""
    sums, weight = _sums(plan), f" * {rows.weight}::hugeint" if rows.weight else ""
    wanted = ", ".join(f"coalesce(sum(s{i}{weight}), 0)" for i in range(1, len(sums)))
    there = f"coalesce(sum({rows.weight}) filter (s0 is not null), 0)" if rows.weight else "count(s0)"
    query = f"select {there}{', ' * bool(wanted)}{wanted} from ({_per_row(rows, plan)})"
    [found] = connection.execute(query).fetchall()
    return dict(zip(sums, map(int, found), strict=True))


def _fast(connection: Any, rows: Rows, plan: Plan) -> dict[Formula, int] | None:
    """Add up in doubles, three times as fast, for a table in which no number lies so far off that one is rounded.

    None where one does, or is NaN: what was added up is of no use then. Nothing but time shows which way was taken.
    """
    if rows.kind == TEXT or rows.most is None or plan.grid is None or not sql.is_plain(plan.grid):
        return None
    sums = [s.sql_of_doubles("k") for s in _sums(plan)[1:]]
    if rows.most > _EXACT_ROWS:
        sums = [f"cast({s} as bigint)" for s in sums]
    wanted = ", ".join(f"coalesce(sum({s}), 0)" for s in sums)
    steps = f"select x, {sql.steps_nearby('x', plan.grid)} as k from (select x::double as x from ({rows.query}))"
    query = f"select count(x), count_if({sql.near('x', plan.grid)}), {wanted} from ({steps})"
    with contextlib.suppress(duckdb.ConversionException, duckdb.OutOfRangeException):
        [(count, near, *found)] = connection.execute(query).fetchall()
        if count == near:
            return dict(zip(_sums(plan), map(int, [count, *found]), strict=True))
    return None


def _per_row(rows: Rows, plan: Plan) -> str:
    """A query with what each row gives: its bin `b`, or `s0` (not null where the row counts), `s1` and so on.

    Nothing is filtered by what is computed: DuckDB would compute it twice.
    """
    keep = f", {rows.weight}" if rows.weight else ""
    if plan.counts:
        filled = sql.filled("cell") if rows.kind == TEXT else "x is not null"
        return f"select case when {filled} then 1 end as s0{keep} from ({rows.query})"
    x = sql.number("cell") if rows.kind == TEXT else "x::double"
    numbers = f"select {x} as x{keep} from ({rows.query})"
    if plan.bins:
        return f"select {sql.bin_of('x')} as b{keep} from ({numbers})"
    if plan.grid is None:
        raise ValueError("a plan for numbers has a grid")
    return _given(plan, f"select {sql.steps('x', plan.grid)} as k{keep} from ({numbers})", keep)


def _given(plan: Plan, steps: str, keep: str) -> str:
    given = ", ".join(f"{'k' if s == ONE else s.sql('k', '//')} as s{i}" for i, s in enumerate(_sums(plan)))
    return f"select {given}{keep} from ({steps})"


def _sums(plan: Plan) -> list[Formula]:
    """What has to be added up: ONE, which is the number of rows, first."""
    if plan.counts:
        return [ONE]
    formulas = (cell.formula for cell in plan.live if cell.formula)
    return list(dict.fromkeys([ONE, K, *(atom for formula in formulas for atom in formula.linear())]))
