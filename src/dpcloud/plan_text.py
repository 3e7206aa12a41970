"""What `dpcloud plan` says: numbers in no more digits than anybody plans with, never rounded below what they are."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Context
from typing import NamedTuple

from dpcloud.planning import Expected, Question
from dpjobs.engines import ENGINES
from dpjobs.epsilon import Epsilon, percent, plain
from dpjobs.query import Query
from dpjobs.statistics import STATISTICS

_ALIKE = (Query.COUNT, Query.SUM)  # their noise is the same whatever the values


class Whole(NamedTuple):
    """What percents are of: its size, its name, and what it is."""

    size: float
    name: str
    words: str

    def percent(self, margin: float) -> str:
        """A margin as a percentage of it, empty where it is 0."""
        return f", {rounded(100 * margin / self.size, 3)} % of the {self.name}" if self.size else ""

    def line(self, title: str, question: Question, epsilon: Epsilon, margin: Expected) -> str:
        """What an engine gives for an epsilon, or needs for a margin."""
        spread = "" if question.query in _ALIKE else f"; typically ± {rounded(margin.typical, 3)}"
        return (
            f"{title}: epsilon {epsilon} gives a {_level(question)} noise interval of "
            f"± {rounded(margin.worst, 3)} at most{self.percent(margin.worst)}{spread}"
        )


def rounded(number: float, digits: int) -> str:
    """A number above 0 in so many digits, rounded up: a margin is never said to be smaller than it is."""
    up = Context(prec=digits, rounding=ROUND_CEILING).create_decimal(repr(number))
    return f"{up:,f}" if -6 <= up.adjusted() < 15 else f"{up:.{digits - 1}e}"


def meaning(question: Question, whole: Whole) -> list[str]:
    """Say what the numbers are of, and what the words beside them mean, a sentence each."""
    lines = [f"A percentage is of the {whole.name}, {whole.words} {whole.size:,.15g}."]
    if question.query in _ALIKE:
        lines.append("The noise is the same whatever the values.")
    else:
        lines.append(
            "At most: what 99 of 100 runs keep whatever the values; the worst case is all of them at a bound. "
            "Typically: the values spread evenly between the bounds."
        )
        if question.check_share:
            part = plain(question.check_share * 100)
            clamped = "how many values the bounds clamp (--check-share), as in a run"
            lines.append(f"{part} % of epsilon goes to {clamped}.")
    return lines


def by_group(names: Sequence[str]) -> list[list[str]]:
    """The engines, each once, with those together that have the same noise and so the same plan."""
    groups: dict[object, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault((ENGINES[name].noise, ENGINES[name].recipe), []).append(name)
    return list(groups.values())


def table(titles: Sequence[str], question: Question, margins: Mapping[tuple[Epsilon, int], Expected | None]) -> str:
    """Epsilon downwards, rows to the right, the margin at most and in brackets the typical one."""
    epsilons, rows = (sorted(set(keys)) for keys in zip(*margins, strict=True))
    cells = [["epsilon", *(f"{n:,} rows" for n in rows)]]
    cells += [[str(epsilon), *(_cell(question, margins[epsilon, n]) for n in rows)] for epsilon in epsilons]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    typical = "" if question.query in _ALIKE else " (typically)"
    head = f"{', '.join(titles)}: half of the {_level(question)} noise interval of a {question.query.value}"
    return "\n".join([f"{head}, at most{typical}", *lines, ""])


def _cell(question: Question, margin: Expected | None) -> str:
    if margin is None:
        return "epsilon too small"
    worst, typical = (f"± {rounded(margin.worst, 2)}", f" ({rounded(margin.typical, 2)})")
    if question.query in _ALIKE:
        return worst
    if margin.worst >= STATISTICS[question.query].whole(question.bounds, 0) > 0:  # noise alone decides
        worst = "whole range"
    return worst + typical


def _level(question: Question) -> str:
    return f"{percent(question.level)} %"
