"""Intervals hold what fixed point does to values: tables so large that their noise is far below a step."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from dpjobs.engines.base import Noisy
from dpjobs.noise import RoundedLaplace
from dpjobs.plan import TOKENS, Plan
from dpjobs.query import Bounds, Query
from dpjobs.statistics import STATISTICS
from dpjobs.statistics.base import Estimate
from library.plans import plan, separate

ROWS = 10**10  # the noise of a sum, of scale 2^24/333, moves their mean by less than 1e-4 of a step
OFF = Fraction(49, 100)  # of a step: the value is rounded by nearly as much as it can be
LIMITS = [Bounds(0, 3), Bounds(-1000, 20_000), Bounds(-(2.0**40), 2.0**45)]
RECIPES = pytest.mark.parametrize("recipe", [plan, separate])


def answered(of: Plan, steps: list[int]) -> Estimate:
    """The answer for a table of ROWS rows, of which as many have each of these steps, where the noise drew 0."""
    each = ROWS // len(steps)
    noisy = [Noisy(c, each * sum(c.formula.value(k) for k in steps), RoundedLaplace(c.scale)) for c in of.cells]
    return STATISTICS[of.query].estimate(of, noisy, 0.95)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@RECIPES
@pytest.mark.parametrize("off", [OFF, -OFF], ids=["up", "down"])
def test_of_a_mean(limits: Bounds, off: Fraction, recipe: Callable[..., Plan]) -> None:
    of = recipe(Query.MEAN, limits, Decimal(1000))
    step, origin = Fraction(of.grid.step), Fraction(of.grid.origin)
    k = of.grid.upper // 2
    found = answered(of, [k])
    truth = origin + (k + off) * step
    assert found.low <= truth <= found.high
    # which only the rounding makes wide enough, and by no more than it
    assert not found.low + step / 4 <= truth <= found.high - step / 4
    assert Fraction(found.high) - Fraction(found.low) <= 3 * Fraction(of.rounding_per_row)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@RECIPES
@pytest.mark.parametrize("off", [OFF, -OFF], ids=["apart", "together"])
def test_of_a_variance(limits: Bounds, off: Fraction, recipe: Callable[..., Plan]) -> None:
    """Half of the rows near one bound, half near the other, all rounded towards each other or away."""
    of = recipe(Query.VARIANCE, limits, Decimal(1000))
    step = Fraction(of.grid.step)
    low, high = of.grid.lower + 2, of.grid.upper - 2
    found = answered(of, [low, high])
    truth = ((high - low + 2 * off) * step / 2) ** 2
    assert found.low <= truth <= found.high
    moved = abs(truth - ((high - low) * step / 2) ** 2)
    if of.recipe == TOKENS:
        moved += of.grid.upper * step**2 / 2  # what rounding the square to a whole token may do, here next to nothing
    assert not found.low + moved <= truth <= found.high - moved
