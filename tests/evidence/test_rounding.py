"""Intervals hold what fixed point does to values: tables so large that their noise is far below a step."""

from decimal import Decimal
from fractions import Fraction

import pytest
from dpjobs.estimate import Estimate, estimate
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, Plan, plan

from dpjobs.engines.base import Noisy
from dpjobs.noise import RoundedLaplace
from dpjobs.query import Bounds, Query

ROWS = 10**10  # the noise of a sum, of scale 2^24/333, moves their mean by less than 1e-4 of a step
OFF = Fraction(49, 100)  # of a step: the value is rounded by nearly as much as it can be
LIMITS = [Bounds(0, 3), Bounds(-1000, 20_000), Bounds(-(2.0**40), 2.0**45)]


def answered(of: Plan, integers: list[int]) -> Estimate:
    """The answer for a table of ROWS rows, of which as many are each of these integers, where the noise drew 0."""
    each = ROWS // len(integers)
    s = of.squares
    exact = {COUNT: each * len(integers), SUM: each * sum(integers)}
    if s is not None:
        shifted = [(k * k - s.centre + ((1 << s.shift) >> 1)) >> s.shift for k in integers]
        exact[SUM_OF_SQUARES] = each * sum(shifted)
    noisy = [Noisy(m, exact[m.name], RoundedLaplace(m.scale)) for m in of.measurements]
    return estimate(of, noisy, 0.95)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("off", [OFF, -OFF], ids=["up", "down"])
def test_of_a_mean(limits: Bounds, off: Fraction) -> None:
    of = plan(Query.MEAN, limits, Decimal(1000))
    step, middle = Fraction(of.grid.step), Fraction(of.grid.middle)
    k = of.grid.upper // 2
    found = answered(of, [k])
    truth = middle + (k + off) * step
    assert found.low <= truth <= found.high
    # which only the rounding makes wide enough, and by no more than it
    assert not found.low + step / 4 <= truth <= found.high - step / 4
    assert Fraction(found.high) - Fraction(found.low) <= 3 * Fraction(of.rounding_per_row)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("off", [OFF, -OFF], ids=["apart", "together"])
def test_of_a_variance(limits: Bounds, off: Fraction) -> None:
    """Half of the rows near one bound, half near the other, all rounded towards each other or away."""
    of = plan(Query.VARIANCE, limits, Decimal(1000))
    step = Fraction(of.grid.step)
    low, high = of.grid.lower + 2, of.grid.upper - 2
    found = answered(of, [low, high])
    truth = ((high - low + 2 * off) * step / 2) ** 2
    assert found.low <= truth <= found.high
    moved = abs(truth - ((high - low) * step / 2) ** 2)
    assert not found.low + moved <= truth <= found.high - moved
