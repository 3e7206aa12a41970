"""`dpcloud plan`: what interval to expect for an epsilon, or what epsilon an interval needs. Reads no data."""

import json
import math
import re
from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal
from typing import NamedTuple

import click

from dpcloud.command import Command, one_of
from dpcloud.engines import engines_of
from dpjobs.answers import plan_for
from dpjobs.engines import ENGINES
from dpjobs.engines.base import Noisy
from dpjobs.epsilon import LEAST, MOST, Epsilon, plain
from dpjobs.errors import InputError
from dpjobs.interval import Term, quantile
from dpjobs.noise import Noise
from dpjobs.plan import TOKENS, Plan
from dpjobs.query import DEFAULT_CHECK_SHARE, Bounds, Query, parse_bound, parse_confidence
from dpjobs.statistics import STATISTICS

_EPILOG = """\b
Examples:
  dpcloud plan --query MEAN --lower 0 --upper 20000 --rows 74000 --epsilon 1
  dpcloud plan --query COUNT --rows 74000 --margin 1%
  dpcloud plan --query MEAN --lower 0 --upper 20000 --rows 74000 --margin 50
"""


MARGIN_HOLDS = 0.99
"""In how many of all runs, at least, the interval is no wider than the worst case that is planned with."""


class Expected(NamedTuple):
    """Half the width of the interval: when values spread evenly and no noise strikes, and the worst.

    `worst` is not exceeded in 99 of 100 runs, whatever the values of a table of that many rows: it is that of
    values that crowd at one bound, where the count's own noise takes away more than it does in 199 of 200 runs.
    """

    even: float
    worst: float


@click.command(name="plan", cls=Command, epilog=_EPILOG)
@click.option("--query", required=True, help=f"{one_of(q.value for q in Query)}.")
@click.option("--rows", required=True, help="Your own guess of the number of rows.")
@click.option("--epsilon", help="Gives the interval to expect.")
@click.option(
    "--margin", help="Gives the epsilon for this half width: absolute, or like 2% of the range (see above)."
)
@click.option("--lower", help="Needed for all but COUNT.")
@click.option("--upper", help="Needed for all but COUNT.")
@click.option("--engine", default="all", show_default=True, help="As for `dpcloud run`.")
@click.option("--confidence", default="0.95", show_default=True, help="Of the interval.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan_command(
    query: str,
    rows: str,
    epsilon: str | None,
    margin: str | None,
    lower: str | None,
    upper: str | None,
    engine: str,
    confidence: str,
    as_json: bool,
) -> None:
    """Tell what a query would give before anything is spent.

    A margin in percent is of the range, not of the answer: for MEAN of upper − lower, for VARIANCE of the largest
    that the bounds allow, for SUM of rows × the larger bound, for COUNT of the rows. It holds in 99 of 100 runs,
    whatever the values, when the table has at least that many rows.
    """
    asked = Query.parse(query)
    bounds = _bounds(asked, lower, upper)
    n = _rows(rows)
    level = parse_confidence(confidence)
    if (epsilon is None) == (margin is None):
        raise InputError("plan needs --epsilon or --margin, one of both; allowed: --epsilon 1, or --margin 1%")
    given = Epsilon.parse(epsilon) if epsilon is not None else None
    planned: list[tuple[str, Epsilon, Expected]] = []
    by_noise: dict[tuple[type[Noise], str], tuple[Epsilon, Expected]] = {}  # the same for engines with the same noise
    for name in engines_of(engine, None, unhardened=True):
        question = Question(name, asked, bounds, n, level)
        noise = ENGINES[name].noise, ENGINES[name].recipe
        if noise not in by_noise:
            needed = given or epsilon_for(_margin(margin or "", asked, bounds, n), question)
            by_noise[noise] = needed, expected(question, needed)
        planned.append((name, *by_noise[noise]))
    if as_json:
        rows_ = [{"engine": e, "epsilon": float(eps), **m._asdict()} for e, eps, m in planned]
        click.echo(json.dumps(rows_))
        return
    percent = plain(Decimal(str(level)) * 100)
    for name, needed, half in planned:
        spread = "" if asked in (Query.COUNT, Query.SUM) else f" (± {half.even:,.6g} when values spread evenly)"
        click.echo(
            f"{ENGINES[name].title}: epsilon {needed} gives a {percent} % noise interval of "
            f"± {half.worst:,.6g} at most{spread}"
        )
    click.echo(f"For {n:,} rows, your guess; protects one row; nothing was read and nothing spent.")


class Question(NamedTuple):
    """What is planned: an engine's answer about a table of `rows` rows, with an interval of confidence `level`."""

    engine: str
    query: Query
    bounds: Bounds | None
    rows: int
    level: float


def expected(question: Question, epsilon: Epsilon) -> Expected:
    """Return the half widths that the statistic gives for a table of that size when no noise strikes.

    `epsilon` is what the run is given, of which the answer gets what the check leaves (`--check-share` as it is by
    default). Raises InputError when epsilon is too small for the query.
    """
    checks = 0 if question.query is Query.COUNT else epsilon.share(DEFAULT_CHECK_SHARE)
    plan = plan_for(question.engine, question.query, None, question.bounds, epsilon - checks)
    if any(cell.epsilon < LEAST for cell in plan.live):
        raise InputError.of(f"epsilon is too small for {question.query.value}", epsilon, "more")
    if plan.grid is None:
        half = _half(question, plan, [0], question.rows)
        return Expected(half, half)
    low, high = plan.grid.lower, plan.grid.upper
    even = _half(question, plan, [low + (high - low) * i // _STEPS for i in range(_STEPS + 1)], question.rows)
    # Values that crowd at the bounds, or are all alike: noise weighs most where the mean is far from the middle, but
    # for what is cut off as impossible. A MEAN and a VARIANCE are divided by the noisy number of rows, so fewer than
    # there are widen them.
    fewest = question.rows if question.query is Query.SUM else _fewest(question, plan)
    crowds = [[low] * (10 - upper) + [high] * upper for upper in _AT_UPPER]
    alike = [[low + (high - low) * tenth // 10] for tenth in _ALIKE] if question.query is Query.VARIANCE else []
    return Expected(even, max(even, *(_half(question, plan, steps, fewest) for steps in (*crowds, *alike))))


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
    low, high = Epsilon(LEAST * 3), MOST
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


def _bounds(query: Query, lower: str | None, upper: str | None) -> Bounds | None:
    bounds = Bounds.parse(query, lower, upper)
    if query is not Query.COUNT and bounds is None:
        raise InputError(f"no bounds: planning {query.value} needs them; allowed: --lower and --upper")
    return bounds


def _rows(text: str) -> int:
    digits = text.strip().replace(",", "")
    if not re.fullmatch(r"\d{1,13}", digits, re.ASCII) or not 1 <= int(digits) <= 10**12:
        raise InputError.of("rows", text, "a whole number from 1 to 10^12")
    return int(digits)


def _margin(text: str, query: Query, bounds: Bounds | None, rows: int) -> float:
    percent = text.strip().endswith("%")
    margin = parse_bound(text.strip().removesuffix("%"), "margin")
    if margin <= 0:
        raise InputError.of("margin", text, "a number above 0, or a percentage such as 1%")
    if not percent:
        return margin
    return margin / 100 * STATISTICS[query].whole(bounds, rows)
