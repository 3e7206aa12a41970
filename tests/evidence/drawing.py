"""Answers from a plan's exact totals and an engine's own draws."""

from collections.abc import Callable, Sequence

from dpjobs.engines import load
from dpjobs.engines.base import NoiseEngine, Noisy
from dpjobs.plan import Cell, Plan
from dpjobs.statistics import STATISTICS
from dpjobs.statistics.base import Estimate

Draw = Callable[[Cell, int], Noisy]


def draws_of(engine: str) -> Draw:
    """The call that adds an engine's noise to a total, as a run makes it; its mechanisms are kept."""
    loaded = load(engine)
    assert isinstance(loaded, NoiseEngine)
    made = {}

    def draw(cell: Cell, total: int) -> Noisy:
        key = cell.sensitivity, cell.epsilon
        if key not in made:
            made[key] = loaded.mechanism(*key)
        return Noisy(cell, made[key].draw(total), made[key].noise)

    return draw


def totals_of(of: Plan, steps: Sequence[int], rows: int | None = None) -> list[int]:
    """The exact totals of a table with these steps; of `rows` rows that have them equally often, where given."""
    sums = [sum(cell.formula.value(k) for k in steps) for cell in of.cells]
    if rows is None or not steps:
        return sums
    return [round(total * rows / len(steps)) for total in sums]


def answer(of: Plan, totals: Sequence[int], draw: Draw, confidence: float = 0.95) -> Estimate:
    """One run: a fresh draw for every live cell, and the estimate."""
    noisy = [
        Noisy(cell, 0, None) if cell.constant else draw(cell, total)
        for cell, total in zip(of.cells, totals, strict=True)
    ]
    return STATISTICS[of.query].estimate(of, noisy, confidence)


def steps_of(of: Plan, values: Sequence[float]) -> list[int]:
    """The steps of numbers, by the definition of the plan."""
    if of.grid is None:
        return [0] * len(values)
    grid, found = of.grid, []
    for x in values:
        clamped = min(max(x, grid.bounds.lower), grid.bounds.upper)
        found.append(min(max(round((clamped - grid.origin) / grid.step), grid.lower), grid.upper))
    return found
