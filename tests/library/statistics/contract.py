"""What every statistic must do: a new one subclasses StatisticContract, says its truth plainly, and passes whole.

Nothing is drawn: totals are those of known rows, and noise is only what the plan says of it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric
from dpjobs.plan import TOKENS, WIDTH, Plan
from dpjobs.query import Bounds, Query
from dpjobs.statistics import STATISTICS
from dpjobs.statistics.base import Estimate, Statistic

_bound = st.one_of(
    st.sampled_from([0.0, 1.0, 100.0, -(2.0**100), 2.0**100, 5e-324]),
    st.integers(-1000, 1000).map(float),
    st.floats(-(2.0**100), 2.0**100),
)
_limits = st.builds(lambda a, b: Bounds(min(a, b), max(a, b)), _bound, _bound)
_epsilons = st.integers(3_000, 10**12).map(Epsilon.of_billionths)
_integers = st.one_of(st.sampled_from([0, 2**63 - 1, -(2**63)]), st.integers(-(2**63), 2**63 - 1))
_kinds = st.sampled_from([TwoSidedGeometric, RoundedLaplace])
# every subclass asks the same questions: nothing is remembered of one that another would be asked first
_ALIKE = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.differing_executors])
_LARGE, _SURE = Epsilon(1000), 0.999999


class StatisticContract(ABC):
    """The promises of `dpjobs.statistics.base.Statistic`, and of its plans, on one statistic."""

    query: ClassVar[Query]
    needs_bounds: ClassVar[bool] = True

    @abstractmethod
    def truth(self, values: Sequence[Fraction], times: int) -> Fraction:
        """Return the statistic of rows that have each of the values, all within the bounds, that many times."""

    @property
    def statistic(self) -> Statistic:
        return STATISTICS[self.query]

    @property
    def recipes(self) -> list[Callable[..., Plan]]:
        return [self.statistic.plan, self.statistic.separate]

    def bounds(self, limits: Bounds) -> Bounds | None:
        return limits if self.needs_bounds else None

    def test_it_is_listed(self) -> None:
        assert self.statistic.query is self.query

    @settings(_ALIKE, max_examples=60)
    @given(_limits, _epsilons, st.data())
    def test_no_row_hands_out_more_than_its_tokens(
        self, limits: Bounds, epsilon: Epsilon, data: st.DataObject
    ) -> None:
        plan = self.statistic.plan("x", self.bounds(limits), epsilon)
        assert (plan.recipe, plan.query, plan.column) == (TOKENS, self.query, "x")
        assert plan.epsilon in ((epsilon,) if plan.live else (0,))
        if not plan.live:
            return
        [tokens] = {cell.sensitivity for cell in plan.live}  # each cell has the noise of all of them
        assert 0 < tokens <= WIDTH
        assert {cell.epsilon for cell in plan.live} == {epsilon}
        ends = [plan.grid.lower, plan.grid.upper] if plan.grid else [0]
        moved = []
        for k in [*ends, data.draw(st.integers(min(ends), max(ends)))]:
            gives = [(cell, cell.formula.value(k)) for cell in plan.cells]
            assert all(cell.lower <= given <= cell.upper for cell, given in gives)
            moved.append(sum(abs(given) for _, given in gives))
        assert max(moved) == tokens  # and no noise is wasted

    @settings(_ALIKE, max_examples=60)
    @given(_limits, _epsilons, st.data())
    def test_separate_cells_cost_epsilon_in_all(self, limits: Bounds, epsilon: Epsilon, data: st.DataObject) -> None:
        plan = self.statistic.separate("x", self.bounds(limits), epsilon)
        assert plan.epsilon <= epsilon
        assert len(plan.live) <= self.statistic.separate_parts
        ends = [plan.grid.lower, plan.grid.upper] if plan.grid else [0]
        for k in [*ends, data.draw(st.integers(min(ends), max(ends)))]:
            for cell in plan.cells:
                assert cell.lower <= cell.formula.value(k) <= cell.upper
                assert max(abs(cell.lower), abs(cell.upper)) <= cell.sensitivity

    @settings(_ALIKE, max_examples=60)
    @given(_limits, _epsilons, _kinds, st.floats(0.5, _SURE), st.data())
    def test_no_noise_is_an_error(
        self, limits: Bounds, epsilon: Epsilon, kind: type[Noise], confidence: float, data: st.DataObject
    ) -> None:
        """It would be an output that depends on the noise, and that nobody has paid for."""
        for recipe in self.recipes:
            plan = recipe("x", self.bounds(limits), epsilon)
            noisy = [
                Noisy(c, 0, None) if c.constant else Noisy(c, data.draw(_integers), kind(c.scale)) for c in plan.cells
            ]
            self.check(plan, self.statistic.estimate(plan, noisy, confidence))

    def check(self, plan: Plan, answer: Estimate) -> None:
        possible = self.statistic.possible(plan)
        assert all(map(math.isfinite, answer))
        assert possible.low <= answer.low <= answer.value <= answer.high <= possible.high

    @settings(_ALIKE, max_examples=30)
    @given(
        st.integers(-1000, 1000),
        st.integers(1, 1000),
        st.lists(st.integers(0, 16), min_size=1, max_size=20),
        _kinds,
    )
    def test_where_no_noise_strikes_the_answer_is_the_statistic(
        self, lower: int, width: int, sixteenths: list[int], kind: type[Noise]
    ) -> None:
        bounds, each = Bounds(lower, lower + width), 10**6
        values = [lower + Fraction(width * part, 16) for part in sixteenths]
        for recipe in self.recipes:
            plan = recipe("x", self.bounds(bounds), _LARGE)
            steps = [
                round((value - Fraction(plan.grid.origin)) / Fraction(plan.grid.step)) if plan.grid else 0
                for value in values
            ]
            noisy = [
                Noisy(c, each * sum(map(c.formula.value, steps)), None if c.constant else kind(c.scale))
                for c in plan.cells
            ]
            answer = self.statistic.estimate(plan, noisy, _SURE)
            self.check(plan, answer)
            truth = float(self.truth(values, each))
            near = 1e-3 * self.statistic.whole(self.bounds(bounds), each * len(values))
            assert abs(answer.value - truth) <= near
            assert answer.low - near <= truth <= answer.high + near

    def test_a_margin_in_percent_is_of_something(self) -> None:
        assert self.statistic.whole(self.bounds(Bounds(-3, 5)), 1000) > 0

    def test_bounds_are_asked_for_where_they_are_needed(self) -> None:
        for recipe in self.recipes if self.needs_bounds else []:
            with pytest.raises(ValueError, match="needs bounds"):
                recipe("x", None, Epsilon(1))
