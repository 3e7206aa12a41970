"""From rows with a cell to the totals of a plan, in DuckDB's SQL."""

import contextlib
from typing import Any, NamedTuple

import duckdb

from dpjobs.backends import added
from dpjobs.backends.added import Added
from dpjobs.backends.duckdb import sql
from dpjobs.plan import Plan

TEXT, NUMBER = "text", "number"

EXACT_ROWS = 1 << 27
"""So many whole numbers of 26 bits have a sum that is exact in doubles, in whatever order they are added."""


class Query(NamedTuple):
    """A query of all rows, each with a text in the column `cell`, or with a number in the column `x`: see `kind`.

    `most`: no more rows than so many are there. `weight`: the column that tells for how many rows of the table each
    one stands. `has_lines`: the column `broken` tells whether the row's line has another number of cells than the
    header.
    """

    text: str
    kind: str
    most: int | None = None
    weight: str | None = None
    has_lines: bool = False

    def count_if(self, condition: str) -> str:
        """The number of rows for which a condition holds; of all for `true`."""
        if self.weight:
            return f"coalesce(sum({self.weight}) filter ({condition}), 0)"
        return "count(*)" if condition == "true" else f"coalesce(count_if({condition}), 0)"


def counted(connection: Any, rows: Query, plan: Plan) -> list[int]:
    """Return the totals of the plan's live cells over the rows."""
    if plan.bins:
        query = f"select b, {rows.count_if('true')} from ({_bins(rows)}) group by b"
        by_bin = dict(connection.execute(query).fetchall())
        return [int(by_bin.get(cell.bin, 0)) for cell in plan.live]
    if plan.counts:
        filled = sql.filled("cell") if rows.kind == TEXT else "x is not null"
        [(count,)] = connection.execute(f"select {rows.count_if(filled)} from ({rows.text})").fetchall()
        return [int(count) for _ in plan.live]
    found = _fast(connection, rows, plan)
    if found is None:
        found = _exactly(connection, rows, plan)
    return [found.total(cell) for cell in plan.live]


def _counts(rows: Query, plan: Plan, has_number: str, filled: str) -> dict[str, str]:
    """What has to be counted for the plan's kinds of rows, in SQL."""
    bounds = plan.number_grid.bounds
    conditions = {
        added.ALL: "true",
        added.FILLED: filled,
        added.BROKEN: "broken",
        added.BELOW: f"x < {sql.double(bounds.lower)}",
        added.ABOVE: f"x > {sql.double(bounds.upper)}{has_number}",
    }
    return {name: rows.count_if(conditions[name]) for name in added.counts(plan, rows.has_lines)}


def _exactly(connection: Any, rows: Query, plan: Plan) -> Added:
    """Add up in whole numbers."""
    weight = f" * {rows.weight}::hugeint" if rows.weight else ""
    counts = _counts(rows, plan, " and k is not null", "filled")
    wanted = [
        rows.count_if("k is not null"),
        *(f"coalesce(sum(s{i}{weight}), 0)" for i in range(1, len(added.formulas(plan)))),
        *counts.values(),
    ]
    [found] = connection.execute(f"select {', '.join(wanted)} from ({_per_row(rows, plan)})").fetchall()
    return Added.of(plan, rows.has_lines, [int(number) for number in found])


def _fast(connection: Any, rows: Query, plan: Plan) -> Added | None:
    """Add up in doubles, three times as fast, for a table in which no number lies so far off that one is rounded.

    None where one does, or is NaN: what was added up is of no use then. Nothing but time shows which way was taken.
    """
    if rows.kind == TEXT or rows.most is None or plan.grid is None or not sql.is_fast(plan.grid):
        return None
    ends = plan.grid.lower + plan.grid.upper
    k = f"((twice + {sql.double(float(ends))}) * 0.5::double)"
    sums = ["twice", *(s.sql_of_doubles(k) for s in added.formulas(plan)[2:])]
    if rows.most > EXACT_ROWS:
        sums = [f"cast({s} as bigint)" for s in sums]
    counts = _counts(rows, plan, "", "x is not null")
    if added.FILLED in counts:
        counts[added.FILLED] = "count(x)"  # which is asked for anyway, and so is counted once
    wanted = ", ".join([*(f"coalesce(sum({s}), 0)" for s in sums), *counts.values()])
    steps = f"select x, {sql.twice_nearby('x', plan.grid)} as twice from (select x::double as x from ({rows.text}))"
    query = f"select count(x), count_if({sql.near('x', plan.grid)}), {wanted} from ({steps})"
    with contextlib.suppress(duckdb.ConversionException, duckdb.OutOfRangeException):
        [(numbers, near, *found)] = connection.execute(query).fetchall()
        if numbers == near:
            twice, *others = map(int, found)
            return Added.of(plan, rows.has_lines, [numbers, (twice + numbers * ends) // 2, *others])
    return None


def _numbers(rows: Query) -> str:
    """A query with each row's number as a double, `x`, and why it has none: `filled`, `broken`; and its weight."""
    keep = f", {rows.weight}" if rows.weight else ""
    if rows.kind == NUMBER:
        return f"select x::double as x, x is not null as filled{keep} from ({rows.text})"
    x, filled = sql.number("cell"), f"coalesce({sql.filled('cell')}, false)"
    if rows.has_lines:
        x, filled, keep = f"case when not broken then {x} end", f"not broken and {filled}", f", broken{keep}"
    return f"select {x} as x, {filled} as filled{keep} from ({rows.text})"


def _bins(rows: Query) -> str:
    """A query with the number `b` of each row's bin."""
    keep = f", {rows.weight}" if rows.weight else ""
    return f"select {sql.bin_of('x')} as b{keep} from ({_numbers(rows)})"


def _per_row(rows: Query, plan: Plan) -> str:
    """A query with what each row gives: its steps `k` (null where it has no number), `s1` and so on.

    Nothing is filtered by what is computed: DuckDB would compute it twice.
    """
    sums = ", ".join(f"{s.sql('k', '//')} as s{i}" for i, s in enumerate(added.formulas(plan)) if i)
    steps = f"select *, {sql.steps('x', plan.number_grid)} as k from ({_numbers(rows)})"
    return f"select *, {sums} from ({steps})"
