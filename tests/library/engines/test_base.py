"""What the base classes of engines do not let pass: less noise than epsilon asks, a cell too few, too much noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from dpjobs.engines.base import Engine, Mechanism, NoiseEngine, Noisy, at_most
from dpjobs.errors import InputError
from dpjobs.formula import K
from dpjobs.noise import TwoSidedGeometric
from dpjobs.plan import LARGEST_SCALE, SEPARATE, TOKENS, Cell, Plan
from dpjobs.query import Query
from library.engines.contract import Known, one_cell

ONE = Fraction(1)
HIGH = Cell("high", 0, 7, ONE, 7, Decimal("0.1"), K)
LOW = Cell("low", 0, 7, ONE, 7, Decimal("0.1"), 7 - K)
CONSTANT = Cell("constant", 0, 0, ONE, 0, Decimal(0))
PLAN = Plan(Query.MEAN, "x", TOKENS, (CONSTANT, HIGH, LOW))


@dataclass
class Careless(Engine):
    """Answers 5 to everything, with `noise` times the noise that is asked, turned about, or with a cell less."""

    noise: Fraction = ONE
    less: int = 0
    turned: bool = False
    without: bool = False
    name = "careless"
    version = "0"

    def _measure(self, backend: Any, table: Any, plan: Plan) -> Sequence[Noisy]:
        self.asked = plan.live
        cells = plan.live[::-1] if self.turned else plan.live
        noisy = [Noisy(c, 5, None if self.without else TwoSidedGeometric(c.scale * self.noise)) for c in cells]
        return noisy[self.less :] if self.less >= 0 else [*noisy, noisy[0]]


def test_what_is_asked_is_answered_in_order_and_a_constant_is_not_asked() -> None:
    engine = Careless()
    found = engine.measure(None, None, PLAN)
    assert [noisy.cell for noisy in found] == [CONSTANT, HIGH, LOW]
    assert [noisy.value for noisy in found] == [0, 5, 5]
    assert found[0].noise is None
    assert engine.asked == (HIGH, LOW)


@pytest.mark.parametrize(
    "careless",
    [
        *(Careless(Fraction(noise)) for noise in ("0.5", "0.999", "0.000001")),
        Careless(without=True),
        Careless(less=1),
        Careless(less=-1),
        Careless(turned=True),
    ],
    ids=str,
)
def test_an_answer_that_the_plan_did_not_ask_for_is_refused(careless: Careless) -> None:
    with pytest.raises(AssertionError, match="did not answer every cell"):
        careless.measure(None, None, PLAN)


def test_more_noise_and_a_roundings_less_are_taken() -> None:
    for noise in (Fraction(2), 1 - Fraction(1, 10**10)):
        assert [n.value for n in Careless(noise).measure(None, None, PLAN)] == [0, 5, 5]


@dataclass
class Counting(Mechanism):
    """Adds how often it has drawn by now."""

    sensitivity: int
    epsilon: Decimal
    grid: int = 1
    drawn: int = 0

    @property
    def noise(self) -> TwoSidedGeometric:
        return TwoSidedGeometric(Fraction(self.sensitivity) / Fraction(self.epsilon))

    def draw(self, value: int) -> int:
        self.drawn += 1
        return value + self.drawn


@dataclass
class Plain(NoiseEngine):
    """Makes `Counting` mechanisms."""

    grid: int = 1
    made: list[Counting] = field(default_factory=list)
    name = "plain"
    version = "0"

    def _mechanism(self, sensitivity: int, epsilon: Decimal) -> Counting:
        self.made.append(Counting(sensitivity, epsilon, self.grid))
        return self.made[-1]


def test_every_total_is_drawn_on_once_at_the_sensitivity_and_epsilon_of_its_cell() -> None:
    engine, backend = Plain(), Known([10, 4])
    found = engine.measure(backend, None, PLAN)
    assert [(n.cell, n.value) for n in found] == [(CONSTANT, 0), (HIGH, 11), (LOW, 6)]
    assert [(m.sensitivity, m.epsilon, m.drawn) for m in engine.made] == [(7, Decimal("0.1"), 2)]
    assert backend.asked == 1


def test_cells_with_other_epsilons_or_sensitivities_have_noise_of_their_own() -> None:
    cells = HIGH, replace(HIGH, name="b", epsilon=Decimal("0.01")), replace(HIGH, name="c", sensitivity=3)
    engine = Plain()
    found = engine.measure(Known([0, 0, 0]), None, replace(PLAN, recipe=SEPARATE, cells=cells))
    assert [n.noise.scale for n in found] == [70, 700, 30]
    assert len(engine.made) == 3


def test_nothing_is_counted_where_the_noise_does_not_fit() -> None:
    too_much = one_cell(Plain.largest_scale + 1, Decimal(1))
    for engine, plan in ((Plain(), too_much), (Plain(grid=2), PLAN)):
        backend = Known([0])
        for ask in (lambda e=engine, p=plan: e.check(p), lambda e=engine, p=plan, b=backend: e.measure(b, None, p)):
            with pytest.raises(InputError, match=r"^too much noise for .*given 'a scale of .*; allowed: at most"):
                ask()
        assert backend.asked == 0
    Plain().check(one_cell(Plain.largest_scale, Decimal(1)))
    Plain(grid=2).check(one_cell(7, Decimal(1)))
    assert Plain.largest_scale > LARGEST_SCALE


@pytest.mark.parametrize("epsilon", ["0.1", "0.3", "0.7", "1", "0.000001", "0.100000001", "999.999999999"])
def test_the_largest_double_that_is_not_above(epsilon: str) -> None:
    exact = Fraction(epsilon)
    assert exact * (1 - Fraction(1, 2**52)) < Fraction(at_most(Decimal(epsilon))) <= exact


@pytest.mark.parametrize("totals", [[3, 5], [-7, 14], [7], [7, 0, 0]], ids=str)
def test_totals_that_no_table_can_have_are_not_noised(totals: list[int]) -> None:
    """Of a row that counted in one cell only, or a cell that was left out."""
    with pytest.raises(AssertionError, match="known returned totals that no table can have"):
        Plain().measure(Known(totals), None, PLAN)
