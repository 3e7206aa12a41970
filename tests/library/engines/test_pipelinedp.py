"""PipelineDP keeps the engines' contract, is never asked for more than its epsilon, and never rounds a vector."""

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from pipeline_dp import dp_computations
from pydp.algorithms import numerical_mechanisms

from dpjobs.engines import load
from dpjobs.engines.pipelinedp import PyDPLaplace
from dpjobs.errors import InputError
from dpjobs.plan import LARGEST_SCALE, WIDTH
from library.engines.contract import Known, NoiseContract, one_cell


class TestPipelineDP(NoiseContract):
    name = "pipelinedp"
    without = ("pyspark", "pandas", "scipy.stats._stats_py")


@pytest.mark.parametrize("epsilon", ["0.1", "0.3", "0.7", "1", "0.000001", "0.100000001", "999.999999999"])
def test_its_libraries_get_no_double_above_epsilon(epsilon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double 0.1 is more than 0.1; what is claimed and what is drawn must be of one that is not."""
    asked: list[float] = []
    drawn, claimed = numerical_mechanisms.LaplaceMechanism, dp_computations.LaplaceMechanism.create_from_epsilon

    def drawing(epsilon: float, sensitivity: float) -> object:
        asked.append(epsilon)
        return drawn(epsilon, sensitivity)

    def claiming(epsilon: float, sensitivity: float) -> object:
        asked.append(epsilon)
        return claimed(epsilon, sensitivity)

    monkeypatch.setattr(numerical_mechanisms, "LaplaceMechanism", drawing)
    monkeypatch.setattr(dp_computations.LaplaceMechanism, "create_from_epsilon", claiming)
    PyDPLaplace(5, Decimal(epsilon))
    exact = Fraction(epsilon)
    assert len(asked) >= 2
    assert all(exact * (1 - Fraction(1, 2**52)) < Fraction(double) <= exact for double in asked)


# sensitivity and epsilon of a scale of 2^-10, of small and of large ones, at powers of two and just beside them
SMALL = [
    (1, Decimal(1000)),
    (1, Decimal("0.5")),
    (3, Decimal("0.7")),
    (WIDTH, Decimal("0.0003")),
    (WIDTH - 1, Decimal(2) ** -15),
    (WIDTH, Decimal(2) ** -15),
    (WIDTH, Decimal(2) ** -16),
]


@pytest.mark.parametrize(("sensitivity", "epsilon"), SMALL)
def test_up_to_a_scale_of_2_to_the_40_it_draws_whole_numbers_and_rounds_none(
    sensitivity: int, epsilon: Decimal
) -> None:
    """PyDP's grid is 1 and is that of its noise. Of a finer one it would round its noise, of a coarser one totals.

    Its noise on doubles shows the grid: 200 draws are all on a coarser one with probability 2⁻²⁰⁰.
    """
    mechanism = PyDPLaplace(sensitivity, epsilon)
    draws = [mechanism._laplace.add_noise(0.0) for _ in range(200)]
    assert all(x == int(x) for x in draws)
    assert math.gcd(*map(int, draws)) == 1
    assert mechanism.grid == 1
    parts = mechanism._parts
    assert parts & (parts - 1) == 0
    assert LARGEST_SCALE / 2 < mechanism.noise.scale * parts <= LARGEST_SCALE
    # as many parts as steps, and PyDP was told so
    assert dp_computations.LaplaceMechanism(mechanism._laplace).sensitivity == sensitivity * parts


@pytest.mark.parametrize(("sensitivity", "epsilon", "grid"), [
    (WIDTH + 1, Decimal(2) ** -16, 2),
    (WIDTH, Decimal("0.000001"), 16),
    (WIDTH, Decimal(2) ** -20, 16),
    (WIDTH, Decimal(2) ** -31, 2**15),
])  # fmt: skip
def test_beyond_it_rounds_a_total_and_accounts_for_that(sensitivity: int, epsilon: Decimal, grid: int) -> None:
    mechanism = PyDPLaplace(sensitivity, epsilon)
    assert mechanism.grid == grid
    draws = [mechanism.draw(10**15 + 7) for _ in range(200)]
    assert math.gcd(*draws) == grid


def test_a_vector_beyond_is_refused() -> None:
    """Each of its totals would be rounded, and the noise accounts for the rounding of one."""
    engine = load("pipelinedp")
    [cell] = one_cell(WIDTH + 1, Decimal(2) ** -16).cells
    for scale, cells in ((1, 1), (0, 2)):
        wide = replace(cell, sensitivity=WIDTH + scale)
        plan = replace(one_cell(1, Decimal(1)), cells=tuple(replace(wide, name=f"c{i}") for i in range(cells)))
        engine.check(plan)
    plan = replace(plan, cells=(cell, replace(cell, name="another")))
    backend = Known([0, 0])
    for ask in (lambda: engine.check(plan), lambda: engine.measure(backend, None, plan)):
        with pytest.raises(InputError, match=r"^too much noise for several totals of pipelinedp"):
            ask()
    assert backend.asked == 0


def test_a_noisy_total_in_parts_is_rounded_to_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the noisy total alone: parts of the total and of the noise are never rounded apart."""
    mechanism = PyDPLaplace(1, Decimal(2) ** -38)  # four parts
    assert mechanism._parts == 4
    for noise, rounded in ((0, 0), (1, 0), (2, 1), (3, 1), (-1, 0), (-2, 0), (-3, -1), (-4, -1), (-6, -1), (-7, -2)):
        rigged = type("Rigged", (), {"add_noise": lambda _, value, noise=noise: value + noise})()
        monkeypatch.setattr(mechanism, "_laplace", rigged)
        for total in (0, -5, 2**62, -(2**62)):
            assert mechanism.draw(total) == total + rounded
