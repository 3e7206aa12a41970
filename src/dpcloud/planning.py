"""What interval to expect of a question, and what epsilon an interval needs: from public guesses, no data."""

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal
from typing import NamedTuple

from dpjobs.answers import check_epsilon, plan_for, smallest_epsilon
from dpjobs.engines import ENGINES
from dpjobs.engines.base import Noisy
from dpjobs.epsilon import MOST, Epsilon
from dpjobs.errors import InputError
from dpjobs.interval import Term, quantile
from dpjobs.plan import TOKENS, Plan
from dpjobs.query import DEFAULT_CHECK_SHARE, Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.statistics import STATISTICS

MARGIN_HOLDS = 0.99
"""In how many of all runs, at least, the interval is no wider than the worst case that is planned with."""


class Expected(NamedTuple):
    """Half the width of the interval: `typical`, when values spread evenly and no noise strikes, and the worst.

    `worst` is not exceeded in 99 of 100 runs, whatever the values of a table of that many rows: it is that of
    values that crowd at one bound, where the count's own noise takes away more than it does in 199 of 200 runs.
    """

    typical: float
    worst: float


class Question(NamedTuple):
    """What is planned: an engine's answer about a table of `rows` rows, with an interval of confidence `level`.

    `check_share` of epsilon is spent beside the answer, on how many numbers lie beyond the bounds.
    """

    engine: str
    query: Query
    bounds: Bounds | None
    rows: int
    level: float
    check_share: Decimal = DEFAULT_CHECK_SHARE

    def spec(self, epsilon: Epsilon) -> JobSpec:
        """The specification of a run that asks this: what its epsilon is spent on is the run's to say."""
        column = None if self.query is Query.COUNT else "x"
        return JobSpec(
            "plan", "plan", self.engine, self.query, column, PrivacyBudget(epsilon), "/plan.csv", "csv", self.bounds,
            confidence=self.level, check_share=self.check_share,
        )  # fmt: skip


def expected(question: Question, epsilon: Epsilon) -> Expected:
    """Return the half widths that the statistic gives for a table of that size when no noise strikes.

    Raises InputError when epsilon is too small for the query.
    """
    spec = question.spec(epsilon)
    check_epsilon(spec)
    plan = plan_for(question.engine, question.query, None, question.bounds, spec.answer_budget())
    if plan.grid is None:
        half = _half(question, plan, [0], question.rows)
        return Expected(half, half)
    low, high = plan.grid.lower, plan.grid.upper
    typical = _half(question, plan, [low + (high - low) * i // _STEPS for i in range(_STEPS + 1)], question.rows)
    # Values that crowd at the bounds, or are all alike: noise weighs most where the mean is far from the middle, but
    # for what is cut off as impossible. A MEAN and a VARIANCE are divided by the noisy number of rows, so fewer than
    # there are widen them.
    fewest = question.rows if question.query is Query.SUM else _fewest(question, plan)
    crowds = [[low] * (10 - upper) + [high] * upper for upper in _AT_UPPER]
    alike = [[low + (high - low) * tenth // 10] for tenth in _ALIKE] if question.query is Query.VARIANCE else []
    return Expected(typical, max(typical, *(_half(question, plan, steps, fewest) for steps in (*crowds, *alike))))


_STEPS = 256  # of values that spread evenly
_AT_UPPER = (0, 1, 2, 3, 5, 10)  # of ten values at the bounds, these many at the upper one
_ALIKE = (1, 2, 3)  # tenths of the range, at which all values lie


def _fewest(question: Question, plan: Plan) -> int:
    """The rows that the noise leaves in 199 of 200 runs."""
    cell = plan.live[0] if plan.live else None
    if cell is None:
        return question.rows
    noises = [
        ENGINES[question.engine].noise(c.scale) for c in (plan.live if plan.recipe == TOKENS else plan.live[:1])
    ]
    missing = quantile([Term(1.0, noise) for noise in noises], 1.0 - MARGIN_HOLDS) / cell.sensitivity
    return max(question.rows - math.ceil(missing), 1)


_NEAR = Decimal("1.0002")


def epsilon_for(margin: float, question: Question) -> Epsilon:
    """Return the least epsilon, to three digits, whose worst half width is within `margin`.

    Raises InputError when no epsilon that is allowed gives it.
    """
    low, high = smallest_epsilon(question.spec(MOST)), MOST
    if expected(question, high).worst > margin:
        raise InputError.of("no epsilon gives this margin", f"{margin:g}", "a larger margin, or more rows")
    while high > low * _NEAR:
        middle = Epsilon.at_least(Decimal(math.sqrt(float(low * high))))
        if expected(question, middle).worst > margin:
            low = middle
        else:
            high = middle
    return Epsilon.at_least(Context(prec=3, rounding=ROUND_CEILING).create_decimal(high))


def _half(question: Question, plan: Plan, steps: Sequence[int], rows: int) -> float:
    """Half the interval's width for a table of `rows` rows that have these steps equally often."""
    noise = ENGINES[question.engine].noise
    noisy = []
    for cell in plan.cells:
        given = sum(cell.formula.value(k) for k in steps) if cell.formula else 0
        noisy.append(Noisy(cell, rows * given // len(steps), None if cell.constant else noise(cell.scale)))
    answer = STATISTICS[question.query].estimate(plan, noisy, question.level)
    if answer[1:] == STATISTICS[question.query].possible(plan):
        return answer.high - answer.low  # noise alone decides where in it the value lies
    return max(answer.high - answer.value, answer.value - answer.low)
