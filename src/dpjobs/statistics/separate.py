"""MEAN and VARIANCE for an engine that accounts by itself: a count and sums, each with its own share of epsilon.

So were all questions answered until releases of format 1, and those of Tumult Analytics still are: its Session
cannot know that cells share tokens. For MEAN, with a = mean − middle, the noisy sum − a·(noisy count) is pure noise
at the true a, so the a for which it is small enough form a confidence set (Fieller 1954, with the engines'
distribution in place of the normal). For VARIANCE, var + (r − c)² is linear in the three noisy numbers for every
fixed c (r: the true mean − middle); c runs through a confidence set for r. This keeps the promise of a joint box over
the noisy parts and is up to two times narrower.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.formula import ONE, Formula, K
from dpjobs.interval import quantile
from dpjobs.plan import SEPARATE, WIDTH, Cell, Grid, Plan, nearest, shares, smallest_step
from dpjobs.query import Bounds, Query
from dpjobs.statistics.base import Estimate, Part, Range, within

COUNT, SUM, SUM_OF_SQUARES = "count", "sum", "sum_of_squares"
_MEAN_PART = 0.1  # of the error probability, for where the mean lies, when the variance is asked
_ROUNDS = 30


def plan(query: Query, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
    """Return a count and a sum about the middle, for VARIANCE a sum of squares, too; even shares of what is live."""
    if bounds is None:
        raise ValueError(f"{query.value} needs bounds")
    grid = centred_grid(bounds)
    step = Fraction(grid.step)
    parts: list[tuple[str, int, int, Fraction, Formula]] = [
        (COUNT, 1, 1, Fraction(1), ONE),
        (SUM, grid.lower, grid.upper, step, K),
    ]
    if query is Query.VARIANCE:
        centre, shift = squares_of(grid)
        low, high = _shifted(0, centre, shift), _shifted(_largest_square(grid), centre, shift)
        parts.append((SUM_OF_SQUARES, low, high, step * step * 2**shift, _square(centre, shift)))
    live = [part for part in parts if part[1] or part[2]]
    share = shares(epsilon, len(live))
    cells = (
        Cell(
            name,
            low,
            high,
            unit,
            sensitivity=max(abs(low), abs(high)),
            epsilon=share if low or high else Epsilon(0),
            formula=formula,
            vector=name,  # each with a share of its own
        )
        for name, low, high, unit, formula in parts
    )
    return Plan(query, column, SEPARATE, tuple(cells), grid)


def centred_grid(bounds: Bounds) -> Grid:
    """The grid about the middle of the bounds, with at most 2²⁴ steps to either side."""
    lower, upper = Fraction(bounds.lower), Fraction(bounds.upper)
    step = smallest_step((upper - lower) / 2, WIDTH)
    while True:
        # A double either has a unit in the last place of at least the step, or rounds to the grid exactly.
        middle = float(nearest((lower + upper) / 2, step) * step)
        low, high = (nearest(bound - Fraction(middle), step) for bound in (lower, upper))
        if max(abs(low), abs(high)) <= WIDTH:
            return Grid(bounds, middle, float(step), low, high)
        step *= 2


def squares_of(grid: Grid) -> tuple[int, int]:
    """How k² becomes a whole number of 24 bits: less a centre, the middle of what it can be, and shifted."""
    largest = _largest_square(grid)
    centre = largest // 2
    for shift in range(64):
        if max(abs(_shifted(0, centre, shift)), abs(_shifted(largest, centre, shift))) <= WIDTH:
            return centre, shift
    raise AssertionError("a square of 48 bits fits 24 bits after 23 shifts")


def _largest_square(grid: Grid) -> int:
    return max(abs(grid.lower), abs(grid.upper)) ** 2


def _shifted(square: int, centre: int, shift: int) -> int:
    return (square - centre + ((1 << shift) >> 1)) >> shift


def _square(centre: int, shift: int) -> Formula:
    """(k² − centre + half) >> shift, with enough added, and taken away again, that nothing negative is divided."""
    whole = (WIDTH + 1) << shift
    return (K * K + (((1 << shift) >> 1) - centre + whole)) // (1 << shift) - (WIDTH + 1)


def mean(plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
    """Return middle + sum / count and its interval."""
    if plan.grid is None:
        raise ValueError("a plan for MEAN has a grid")
    bounds, middle = plan.grid.bounds, plan.grid.origin
    found = _mean(_parts(noisy), Range(bounds.lower - middle, bounds.upper - middle), 1.0 - confidence)
    h = plan.grid.rounding
    low, high = middle + found.low - h, middle + found.high + h
    return within(Range(bounds.lower, bounds.upper), middle + found.value, low, high)


def _parts(noisy: Sequence[Noisy]) -> dict[str, Part]:
    return {n.cell.name: Part.of(n) for n in noisy}


def _mean(parts: dict[str, Part], span: Range, alpha: float) -> Estimate:
    """The mean less the middle: sum / count, within its possible range."""
    count, total = parts[COUNT], parts[SUM]
    value = span.clip(total.value / max(count.value, 1.0))
    if count.value - quantile(count.term(), alpha) <= 0:
        return Estimate(value, *span)  # as far as the noise tells there may be no row at all
    found = span
    for _ in range(_ROUNDS):  # every round's range holds; each makes the next one's noise smaller
        q = quantile([*total.term(), *count.term(found.largest)], alpha)
        last = found
        found = Range(span.clip((total.value - q) / count.value), span.clip((total.value + q) / count.value))
        if found == last or math.isclose(found.largest, last.largest, rel_tol=1e-6):
            break
    return Estimate(value, *found)


def variance(plan: Plan, noisy: Sequence[Noisy], confidence: float) -> Estimate:
    """Return mean square − mean² and its interval."""
    grid = plan.grid
    if grid is None:
        raise ValueError("a plan for VARIANCE has a grid")
    parts, alpha = _parts(noisy), 1.0 - confidence
    span = Range(grid.bounds.lower - grid.origin, grid.bounds.upper - grid.origin)
    count, total, square = parts[COUNT], parts[SUM], parts[SUM_OF_SQUARES]
    centre = squares_of(grid)[0] * grid.step**2
    largest = (grid.bounds.upper - grid.bounds.lower) ** 2 / 4
    n = max(count.value, 1.0)
    r = total.value / n
    raw = square.value / n + centre - r * r
    value = min(max(raw, 0.0), largest)
    mean = _mean(parts, span, alpha * _MEAN_PART)
    if count.value - quantile(count.term(), alpha) <= 0:
        return Estimate(value, 0.0, largest)
    nearest = mean.low if r < mean.low else mean.high if r > mean.high else r
    farthest = max(abs(mean.low - r), abs(mean.high - r))
    about = max(abs(mean.low), abs(mean.high))
    found = Range(0.0, largest)
    for _ in range(_ROUNDS):
        # the count's weight is |centre + c² − v| for a c and a v in their ranges
        weight = max(abs(centre - found.high), abs(centre + about * about - found.low))
        terms = [*square.term(), *total.term(2 * about), *count.term(weight)]
        q = quantile(terms, alpha * (1.0 - _MEAN_PART)) / n
        last = found
        low = raw + (nearest - r) ** 2 - q
        high = raw + farthest**2 + q
        found = Range(min(max(low, 0.0), largest), min(max(high, 0.0), largest))
        if math.isclose(found.low, last.low, rel_tol=1e-6) and math.isclose(found.high, last.high, rel_tol=1e-6):
            break
    # Rounding moves every value by at most h, so the standard deviation, at most R/2, by at most h (Minkowski)
    h = grid.rounding
    width = grid.bounds.upper - grid.bounds.lower
    slack = width * h + h * h + float(square.noisy.cell.step) / 2
    return within(Range(0.0, largest), value, found.low - slack, found.high + slack)
