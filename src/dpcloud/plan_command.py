"""`dpcloud plan`: what interval to expect for an epsilon, or what epsilon an interval needs. Reads no data."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from dpcloud import plan_chart
from dpcloud.command import Command, one_of
from dpcloud.engines import engines_of
from dpcloud.plan_text import Whole, by_group, meaning, table
from dpcloud.planning import Expected, Question, epsilon_for, expected
from dpjobs.engines import ENGINES
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.query import DEFAULT_CHECK_SHARE, Bounds, Query, parse_bound, parse_check_share, parse_confidence
from dpjobs.statistics import STATISTICS

_EPILOG = """\b
Examples:
  dpcloud plan --query MEAN --lower 0 --upper 20000 --rows 74000
  dpcloud plan --query MEAN --lower 0 --upper 20000 --rows 74000 --epsilon 1
  dpcloud plan --query COUNT --rows 74000 --margin 1%
  dpcloud plan --query MEAN --lower 0 --upper 20 --rows 900 --margin 2% --of answer --guess 2.86
  dpcloud plan --query MEAN --lower 0 --upper 20 --rows 900 --chart margins.svg
"""
EPSILONS = tuple(Epsilon.parse(text) for text in ("0.01", "0.03", "0.1", "0.3", "1", "3", "10"))
"""Of the table."""
MOST_ROWS = 10**12
OF = ("range", "answer")


class Planned(NamedTuple):
    """What an engine needs, or gives, for one number of rows."""

    engine: str
    rows: int
    epsilon: Epsilon
    margin: Expected | None
    """None where epsilon is too small for the query."""

    def as_json(self) -> dict[str, object]:
        """The same for a machine; a margin that there is not is null."""
        margin = self.margin._asdict() if self.margin else dict.fromkeys(Expected._fields)
        return {"engine": self.engine, "rows": self.rows, "epsilon": float(self.epsilon), **margin}


@click.command(name="plan", cls=Command, epilog=_EPILOG)
@click.option("--query", required=True, help=f"{one_of(q.value for q in Query)}.")
@click.option("--rows", required=True, help="Your own guess of the number of rows.")
@click.option("--epsilon", help="Gives the interval to expect.")
@click.option("--margin", help="Gives the epsilon for this half width: absolute, or in percent, like 2%.")
@click.option("--of", "of", default="range", show_default=True, help="What percents are of: range or answer.")
@click.option("--guess", help="Your own guess of the answer, for --of answer.")
@click.option(
    "--table", "as_table", is_flag=True, help="Margins by epsilon and rows, as without --epsilon and --margin."
)
@click.option("--chart", help="Draw the margin by epsilon and rows into this new file, .svg or .png.")
@click.option("--lower", help="Needed for all but COUNT.")
@click.option("--upper", help="Needed for all but COUNT.")
@click.option("--check-share", help=f"As for `dpcloud run`; part of epsilon.  [default: {DEFAULT_CHECK_SHARE}]")
@click.option("--engine", default="all", show_default=True, help="As for `dpcloud run`.")
@click.option("--confidence", default="0.95", show_default=True, help="Of the interval.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan_command(
    query: str,
    rows: str,
    epsilon: str | None,
    margin: str | None,
    of: str,
    guess: str | None,
    as_table: bool,
    chart: str | None,
    lower: str | None,
    upper: str | None,
    check_share: str | None,
    engine: str,
    confidence: str,
    as_json: bool,
) -> None:
    """Tell what a query would give before anything is spent.

    A margin in percent is of the range: for MEAN of upper − lower, for VARIANCE of the largest that the bounds allow,
    for SUM of rows × the larger bound, for COUNT of the rows. With --of answer it is of your --guess of the answer.

    A margin is kept in 99 of 100 runs, whatever the values, when the table has at least that many rows. The worst
    case is that all values lie at a bound; a typical margin is that of values that spread evenly between the bounds.
    """
    asked = Query.parse(query)
    bounds = _bounds(asked, lower, upper)
    n = _rows(rows)
    share = DEFAULT_CHECK_SHARE if check_share is None else parse_check_share(check_share)
    question = Question("", asked, bounds, n, parse_confidence(confidence), share)
    whole = _whole(of, guess, question)
    if epsilon is not None and margin is not None:
        raise InputError("plan takes --epsilon or --margin, one of both; allowed: one, or none for a table")
    picture = None if chart is None else plan_chart.check(Path(chart))
    given = Epsilon.parse(epsilon) if epsilon is not None else None
    wanted = _margin(margin, whole) if margin is not None else None
    names = engines_of(engine, None, unhardened=True)
    planned = [] if given is None and wanted is None else list(_planned(names, question, given, wanted))
    tabled = [] if planned and not as_table else list(_tabled(names, question, given))
    if picture is not None:
        plan_chart.draw(picture, question._replace(engine=names[0]), rows_of(n))
    if as_json:
        click.echo(json.dumps([one.as_json() for one in (*planned, *tabled)]))
        return
    for one in planned:
        if one.margin is not None:
            click.echo(whole.line(ENGINES[one.engine].title, question, one.epsilon, one.margin))
    for group in by_group([one.engine for one in tabled]):
        margins = {(one.epsilon, one.rows): one.margin for one in tabled if one.engine == group[0]}
        click.echo(table([ENGINES[name].title for name in group], question, margins))
    for line in meaning(question, whole):
        click.echo(line)
    click.echo(f"For {n:,} rows, your guess; protects one row; nothing was read and nothing spent.")


def rows_of(rows: int) -> list[int]:
    """A tenth, all and ten times of the rows, as far as they are allowed."""
    return sorted({max(rows // 10, 1), rows, min(rows * 10, MOST_ROWS)})


def _planned(names: list[str], question: Question, given: Epsilon | None, margin: float | None) -> Iterator[Planned]:
    by_name: dict[str, tuple[Epsilon, Expected]] = {}
    for group in by_group(names):
        asked = question._replace(engine=group[0])
        needed = given if given is not None else epsilon_for(margin or 0.0, asked)
        by_name |= dict.fromkeys(group, (needed, expected(asked, needed)))
    for name in names:
        yield Planned(name, question.rows, *by_name[name])


def _tabled(names: list[str], question: Question, given: Epsilon | None) -> Iterator[Planned]:
    epsilons = sorted({*EPSILONS, *([] if given is None else [given])})
    for group in by_group(names):
        for epsilon in epsilons:
            for rows in rows_of(question.rows):
                try:
                    margin = expected(question._replace(engine=group[0], rows=rows), epsilon)
                except InputError:  # too small an epsilon: all else has been checked
                    margin = None
                for name in group:
                    yield Planned(name, rows, epsilon, margin)


def _bounds(query: Query, lower: str | None, upper: str | None) -> Bounds | None:
    bounds = Bounds.parse(query, lower, upper)
    if query is not Query.COUNT and bounds is None:
        raise InputError(f"no bounds: planning {query.value} needs them; allowed: --lower and --upper")
    return bounds


def _rows(text: str) -> int:
    digits = text.strip().replace(",", "")
    if not re.fullmatch(r"\d{1,13}", digits, re.ASCII) or not 1 <= int(digits) <= MOST_ROWS:
        raise InputError.of("rows", text, "a whole number from 1 to 10^12")
    return int(digits)


def _whole(of: str, guess: str | None, question: Question) -> Whole:
    """What percents are of."""
    if of.strip().lower() not in OF:
        raise InputError.of("no such --of", of, one_of(OF))
    if of.strip().lower() == "range":
        if guess is not None:
            raise InputError.of("a guess of the answer is for --of answer", guess, "--of answer, or no --guess")
        size = STATISTICS[question.query].whole(question.bounds, question.rows)
        return Whole(size, "range", _RANGES[question.query])
    if guess is None:
        raise InputError(
            "a percentage of the answer needs your own guess of it; allowed: --guess, such as --guess 2.86"
        )
    size = abs(parse_bound(guess, "guess"))
    if size == 0:
        raise InputError.of("guess", guess, "a number other than 0, of which there can be a percentage")
    return Whole(size, "answer", "by your guess")


_RANGES = {
    Query.COUNT: "which is all rows:",
    Query.SUM: "which is rows × the larger bound:",
    Query.MEAN: "which is upper − lower:",
    Query.VARIANCE: "which is the largest variance that the bounds allow:",
}


def _margin(text: str, whole: Whole) -> float:
    margin = parse_bound(text.strip().removesuffix("%"), "margin")
    if margin <= 0:
        raise InputError.of("margin", text, "a number above 0, or a percentage such as 1%")
    return margin / 100 * whole.size if text.strip().endswith("%") else margin
