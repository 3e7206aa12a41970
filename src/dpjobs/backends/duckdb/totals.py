"""From rows with a cell to the totals of a plan, in DuckDB's SQL."""

from typing import Any, NamedTuple

from dpjobs.backends.duckdb import sql
from dpjobs.formula import ONE, Formula, K
from dpjobs.plan import Plan


TEXT, DOUBLE, WHOLE = "text", "double", "whole"


class Rows(NamedTuple):
    """A query of all rows, each with a text in the column `cell`, or with a number in the column `x`: see `kind`.

    A whole number has 64 bits and a sign. `weight`: the column that tells how many rows of the table each of them stands for.
    """

    query: str
    kind: str
    weight: str | None = None


def counted(connection: Any, rows: Rows, plan: Plan) -> list[int]:
    """Return the totals of the plan's live cells over the rows."""
    given, weight = _per_row(rows, plan), f" * {rows.weight}::hugeint" if rows.weight else ""
    if plan.bins:
        count = f"sum({rows.weight})" if rows.weight else "count(*)"
        by_bin = dict(connection.execute(f"select b, {count} from ({given}) group by b").fetchall())
        return [int(by_bin.get(cell.bin, 0)) for cell in plan.live]
    sums = _sums(plan)
    wanted = ", ".join(f"coalesce(sum(s{i}{weight}), 0)" for i in range(1, len(sums)))
    rows_there = f"coalesce(sum({rows.weight}) filter (s0 is not null), 0)" if rows.weight else "count(s0)"
    [found] = connection.execute(f"select {rows_there}{', ' * bool(wanted)}{wanted} from ({given})").fetchall()
    values = dict(zip(sums, map(int, found), strict=True))
    if plan.counts:
        return [values[ONE] for _ in plan.live]
    parts = [cell.formula.linear() for cell in plan.live if cell.formula]
    return [sum(times * values[atom] for atom, times in part.items()) for part in parts]


def _per_row(rows: Rows, plan: Plan) -> str:
    """A query with what each row gives: its bin `b`, or `s0` (not null where the row counts), `s1` and so on.

    Nothing is filtered by what is computed: DuckDB would compute it twice.
    """
    keep = f", {rows.weight}" if rows.weight else ""
    if plan.counts:
        filled = sql.filled("cell") if rows.kind == TEXT else "x is not null"
        return f"select case when {filled} then 1 end as s0{keep} from ({rows.query})"
    if plan.grid is not None and rows.kind == WHOLE and (steps := sql.steps_of_whole("x", plan.grid)):
        return _given(plan, f"select {steps} as k{keep} from ({rows.query})", keep)
    x = {TEXT: sql.number("cell"), DOUBLE: "x", WHOLE: "x::double"}[rows.kind]
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
