"""From rows with a cell to the totals of a plan: one aggregate of Spark over all of them."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dpjobs.backends import added
from dpjobs.backends.added import Added
from dpjobs.backends.spark import rows
from dpjobs.plan import Plan


def counted(table: DataFrame, plan: Plan) -> list[int]:
    """Return the totals of the plan's live cells; `table` is what `rows.read` returned."""
    if plan.bins:
        bins = rows.cells(table, plan).groupBy(rows.BIN).agg(F.count(F.lit(1)))
        by_bin = dict(map(tuple, bins.collect()))
        return [int(by_bin.get(cell.bin, 0)) for cell in plan.live]
    if plan.counts:
        [(count,)] = table.agg(_count_if(rows.is_filled(table))).collect()
        return [int(count) for _ in plan.live]
    found = _added(table, plan)
    return [found.total(cell) for cell in plan.live]


def _added(table: DataFrame, plan: Plan) -> Added:
    conditions = {
        added.ALL: F.lit(True),
        added.FILLED: ~F.col(rows.BROKEN) & F.col(rows.FILLED),
        added.BROKEN: F.col(rows.BROKEN),
        added.BELOW: rows.is_below(plan),
        added.ABOVE: rows.is_above(plan),
    }
    has_lines = rows.BROKEN in table.columns
    sums = [F.sum(F.expr(formula.sql(rows.STEPS, "div"))) for formula in added.formulas(plan)[1:]]
    counts = [_count_if(conditions[name]) for name in added.counts(plan, has_lines)]
    [found] = rows.steps(table, plan).agg(F.count(rows.STEPS), *sums, *counts).collect()
    return Added.of(plan, has_lines, [int(number or 0) for number in found])  # the sum of no number is null


def _count_if(condition: Column) -> Column:
    return F.count(F.when(condition, 1))
