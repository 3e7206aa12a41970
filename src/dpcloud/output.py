"""Tables for people: releases, budgets, plans."""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from dpjobs.bounds import PRIVATE
from dpjobs.engines import ENGINES
from dpjobs.epsilon import percent, plain
from dpjobs.job import Outcome
from dpjobs.ledger import Balance
from dpjobs.left_out import plus_minus
from dpjobs.query import Query
from dpjobs.release import NOT_HARDENED, interval_title

_WIDTH = 120  # of a table that goes to a file


class _Console(Console):
    """A console that tells when nobody reads it any more; rich's own ends the process."""

    def on_broken_pipe(self) -> None:
        """Raise the error again."""
        raise BrokenPipeError


def show_releases(outcome: Outcome, balance: Balance | None) -> None:
    """Print a table of the releases with what they spent, and below it what every number means.

    `balance` is that of their data set. Raises BrokenPipeError.
    """
    console = _Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    releases = [json.loads(text, parse_float=Decimal) for text in outcome.releases.values()]
    first = releases[0]
    what = first["query"] + (f" of {first['column']}" if first["column"] else " of rows")
    interval = interval_title(Query(first["query"]), float(first["confidence"])).replace(", ", ",\n")
    columns = ("engine", what, interval, "epsilon spent", "epsilon left", "seconds")
    table = Table(*columns)
    left = str(balance.left) if balance else ""
    for r in releases:
        value, low, high = (float(x) for x in (r["value"], *r["interval"]))
        width, whole = high - low, r["query"] == "COUNT"
        seconds = outcome.seconds.get(r["run_id"])
        table.add_row(
            ENGINES[r["engine"]].title,
            number(value, width, whole),
            f"{number(low, width, whole)} to {number(high, width, whole)}",
            plain(Decimal(r["epsilon"])) if seconds is not None else "0 (stored before)",
            left,
            "" if seconds is None else f"{seconds:.1f}",
        )
    console.print(table, soft_wrap=False)
    if len(releases) > 1:
        spent = [Decimal(r["epsilon"]) for r in releases if r["run_id"] in outcome.seconds]
        in_all = plain(sum(spent, Decimal(0)))
        console.print(f"{len(releases)} engines: epsilon is spent once for each, {in_all} in all.")
    _show_warnings(console, releases)
    _show_checks(console, releases)
    console.print(_meaning(first))
    console.print(f"Protects {first['protects']}.")
    for r in releases:
        title = ENGINES[r["engine"]].title
        if r.get("sampler") == NOT_HARDENED:
            console.print(f"{title}: NOT HARDENED, for comparison: its noise is not made for an adversary.")
        console.print(f"{title}: {_bounds(r)}run id {r['run_id']}.")


def _show_warnings(console: Console, releases: Sequence[dict[str, Any]]) -> None:
    """Print every warning, loudly; those of several engines that differ by their numbers alone once."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for release in releases:
        for warning in release.get("warnings", []):  # of the first versions none has any
            alike.setdefault(_NUMBER.sub("0", warning), []).append((ENGINES[release["engine"]].title, warning))
    for warnings in alike.values():
        first = warnings[0][1]
        whose = ", ".join(title for title, warning in warnings if warning == first)
        others = ", ".join(title for title, warning in warnings if warning != first)
        by = f", by {whose}" if len(releases) > 1 else ""
        by += f", and in numbers of their own by {others}" if others else ""
        console.print(f"WARNING{by}: {first}.", style="bold yellow")


_NUMBER = re.compile(r"\d[\d,.]*")


def _show_checks(console: Console, releases: Sequence[dict[str, Any]]) -> None:
    """Print what the answer leaves out and clamps, as the first release tells."""
    told = next((r for r in releases if r.get("checks")), None)
    if told is None:
        return
    by = f", by {ENGINES[told['engine']].title}" if len(releases) > 1 else ""
    found = {kind: told["checks"][kind] for kind in _KINDS if kind in told["checks"]}
    parts = [f"{plus_minus(float(f['rows']), float(f['half_width']))} {_KINDS[kind]}" for kind, f in found.items()]
    if parts:
        console.print(f"Left out or clamped, with noise{by}: {', '.join(parts)}.")
    if "below" not in told["checks"]:
        console.print("How many numbers lie beyond the bounds was not asked (--check-share 0).")


_KINDS = {
    "no_number": "are no numbers",
    "empty": "are empty",
    "broken_line": "on lines of another width",
    "below": "below the bounds",
    "above": "above",
}


def _meaning(release: dict[str, Any]) -> str:
    """What the interval is, in a sentence."""
    often = f"{percent(release['confidence'])} of 100 runs"
    if release["query"] == "COUNT":
        what = "of filled cells (whatever stands in them)" if release["column"] else "of rows"
        return f"The noise interval holds the count {what} in {often}."
    return (
        f"The noise interval holds the {release['query']} of the values as clamped (the numbers that were read, cut "
        f"to the bounds) in {often}. It covers the noise only: not cells left out, not values beyond "
        "the bounds, not sampling."
    )


def _bounds(release: dict[str, Any]) -> str:
    bounds = release["bounds"]
    if bounds is None:
        return ""
    span = f"{float(bounds['lower']):,.15g} to {float(bounds['upper']):,.15g}"
    if bounds["source"] == "given":
        return f"values clamped to {span}, as given; "
    cost = plain(Decimal(bounds["epsilon"]))
    if bounds["source"] == PRIVATE:
        part = "part of what was spent"
        return f"values clamped to {span}, found privately for epsilon {cost} ({part}){_may_lie(release)}; "
    return (
        f"NO BOUNDS FOUND for epsilon {cost} (too few numbers in the column): clamped to {span}, a fixed range "
        "that has nothing to do with the data; give --lower and --upper; "
    )


def _may_lie(release: dict[str, Any]) -> str:
    """How many numbers may lie beyond bounds that were found privately, and what that means."""
    checks = release.get("checks") or {}
    most = [max(float(c["rows"]) + float(c["half_width"]), 1.0) for c in map(checks.get, ("below", "above")) if c]
    if len(most) < 2:
        return ""
    below, above = (f"{rows:,.0f}" for rows in most)
    return (
        f"; up to {above} rows may lie above and {below} below, however far, which the interval does not include: if "
        "you know the range, give --lower and --upper"
    )


def number(x: float, width: float, whole: bool = False) -> str:
    """Write a number to about three digits of the width of its interval; all of it when there is no width.

    `whole`: it has no fraction.
    """
    if width <= 0 or not math.isfinite(width):
        return f"{x:,.0f}" if x.is_integer() else f"{x:,.6g}"
    digits = min(2 - math.floor(math.log10(width)), 0 if whole else 12)
    return f"{round(x, digits):,.{max(digits, 0)}f}"
