"""`dpcloud plan`: what interval to expect for an epsilon, or what epsilon an interval needs. Reads no data."""

import json
import math
import re
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from typing import NamedTuple

import click

from dpcloud.command import Command
from dpjobs.engines import ENGINES, check_engine
from dpjobs.engines.base import Noisy
from dpjobs.errors import InputError
from dpjobs.estimate import estimate
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, Plan
from dpjobs.measurement import plan as plan_of
from dpjobs.noise import Noise
from dpjobs.query import (
    BILLION,
    MAX_EPSILON,
    MIN_SHARE,
    Bounds,
    Query,
    parse_bound,
    parse_confidence,
    parse_epsilon,
    plain,
)

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


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--query", required=True, help="COUNT, SUM, MEAN or VARIANCE.")
@click.option("--rows", required=True, help="Your own guess of the number of rows.")
@click.option("--epsilon", help="Gives the interval to expect.")
@click.option(
    "--margin", help="Gives the epsilon for this half width: absolute, or like 2% of the range (see above)."
)
@click.option("--lower", help="Needed for SUM, MEAN and VARIANCE.")
@click.option("--upper", help="Needed for SUM, MEAN and VARIANCE.")
@click.option("--engine", default="both", show_default=True, help="tumult, pipelinedp or both.")
@click.option("--confidence", default="0.95", show_default=True, help="Of the interval.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
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
    names = list(ENGINES) if engine.strip().lower() == "both" else [check_engine(engine)]
    found = []
    for name in names:
        noise = ENGINES[name].noise
        given = parse_epsilon(epsilon) if epsilon is not None else None
        needed = given or epsilon_for(_margin(margin or "", asked, bounds, n), asked, bounds, n, noise, level)
        found.append((name, needed, expected(asked, bounds, needed, n, noise, level)))
    if as_json:
        rows_ = [{"engine": e, "epsilon": float(eps), **m._asdict()} for e, eps, m in found]
        click.echo(json.dumps(rows_))
        return
    percent = plain(Decimal(str(level)) * 100)
    for name, needed, half in found:
        spread = "" if asked in (Query.COUNT, Query.SUM) else f" (± {half.even:,.6g} when values spread evenly)"
        click.echo(
            f"{ENGINES[name].title}: epsilon {plain(needed)} gives a {percent} % noise interval of "
            f"± {half.worst:,.6g} at most{spread}"
        )
    click.echo(f"For {n:,} rows, your guess; protects one row; nothing was read and nothing spent.")


def expected(
    query: Query, bounds: Bounds | None, epsilon: Decimal, rows: int, noise: type[Noise], level: float
) -> Expected:
    """Return the half widths that `estimate` gives for a table of that size when no noise strikes.

    Raises InputError when epsilon is too small for the query.
    """
    todo = plan_of(query, bounds, epsilon)
    if any(m.epsilon < MIN_SHARE for m in todo.measurements if not m.constant):
        raise InputError.of(f"epsilon is too small for {query.value}", plain(epsilon), "more")
    if todo.grid is None or bounds is None:
        half = _half(todo, {COUNT: Fraction(rows)}, noise, level)
        return Expected(half, half)
    low, high = (Fraction(bound) - Fraction(todo.grid.middle) for bound in (bounds.lower, bounds.upper))
    width = high - low
    even = _half(todo, _table(todo, rows, low + width / 2, width * width / 12), noise, level)
    # Values at a bound: the mean is as far from the middle as can be, and so the count's noise weighs most. A MEAN
    # and a VARIANCE are divided by the noisy count, so fewer rows than there are widen them.
    fewest = rows
    if query is not Query.SUM:
        fewest = max(rows - noise(todo.measurement(COUNT).scale).quantile(MARGIN_HOLDS), 1)
    worst = (_half(todo, _table(todo, fewest, mean, Fraction(0)), noise, level) for mean in (low, high))
    return Expected(even, max(even, *worst))


def epsilon_for(
    margin: float, query: Query, bounds: Bounds | None, rows: int, noise: type[Noise], level: float
) -> Decimal:
    """Return the least epsilon, to three digits, whose worst half width is within `margin`.

    Raises InputError when no epsilon that is allowed gives it.
    """
    low, high = MIN_SHARE * 3, MAX_EPSILON
    if expected(query, bounds, high, rows, noise, level).worst > margin:
        raise InputError.of("no epsilon gives this margin", f"{margin:g}", "a larger margin, or more rows")
    for _ in range(40):
        middle = Decimal(math.sqrt(float(low * high))).quantize(Decimal(1) / BILLION)
        if expected(query, bounds, middle, rows, noise, level).worst > margin:
            low = middle
        else:
            high = middle
    rounded = Context(prec=3, rounding=ROUND_CEILING).create_decimal(high)
    return rounded.quantize(Decimal(1) / BILLION, rounding=ROUND_CEILING) if rounded < 1 else rounded


def _half(todo: Plan, exact: dict[str, Fraction], noise: type[Noise], level: float) -> float:
    noisy = [
        Noisy(m, round(exact[m.name] / m.step), None if m.constant else noise(m.scale)) for m in todo.measurements
    ]
    found = estimate(todo, noisy, level)
    return max(found.high - found.value, found.value - found.low)


def _table(todo: Plan, rows: int, mean: Fraction, variance: Fraction) -> dict[str, Fraction]:
    """The exact measurements of a table with this mean (less the middle) and variance."""
    exact = {COUNT: Fraction(rows), SUM: rows * mean}
    if todo.grid is not None and todo.squares is not None:
        centre = todo.squares.centre * Fraction(todo.grid.step) ** 2
        exact[SUM_OF_SQUARES] = rows * (variance + mean * mean - centre)
    return exact


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
    if query is Query.COUNT or bounds is None:
        whole = float(rows)
    elif query is Query.SUM:
        whole = rows * max(abs(bounds.lower), abs(bounds.upper))
    elif query is Query.MEAN:
        whole = bounds.upper - bounds.lower
    else:
        whole = (bounds.upper - bounds.lower) ** 2 / 4
    return margin / 100 * whole
