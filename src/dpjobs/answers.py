"""From a specification and its stored draws to the release: pure functions, which read no table and draw nothing."""

from collections.abc import Mapping
from decimal import Decimal

from dpjobs import bounds as private_bounds
from dpjobs import left_out
from dpjobs.draws import Draws
from dpjobs.engines import ENGINES
from dpjobs.epsilon import LEAST, Epsilon
from dpjobs.errors import InputError
from dpjobs.ledger.base import HISTOGRAM, TOTALS, Run
from dpjobs.plan import SEPARATE, Plan
from dpjobs.query import Bounds, JobSpec, Query
from dpjobs.release import found_bounds, given_bounds, to_json
from dpjobs.statistics import STATISTICS


def check_epsilon(spec: JobSpec) -> None:
    """Raise InputError unless epsilon leaves every cell and the histogram the smallest share that is allowed."""
    smallest = smallest_epsilon(spec)
    if spec.budget.epsilon < smallest:
        what = f"epsilon is too small for {spec.query.value} by {ENGINES[spec.engine].title}"
        allowed = f"at least {smallest} (each measurement's share must be {LEAST} or more)"
        raise InputError.of(what, spec.budget.epsilon, allowed)


def smallest_epsilon(spec: JobSpec) -> Epsilon:
    """The least epsilon that leaves every cell its smallest share, rounded up to billionths."""
    separate = ENGINES[spec.engine].recipe == SEPARATE
    needed: Decimal = LEAST * (STATISTICS[spec.query].separate_parts if separate else 1)
    if spec.query is Query.COUNT:
        return Epsilon.at_least(needed)
    if spec.finds_bounds:
        needed = max(needed / (1 - spec.bounds_share - spec.check_share), LEAST / spec.bounds_share)
    else:
        needed /= 1 - spec.check_share
    if spec.check_share:  # a single billionth will do: its noise is made for one row, not for a bound
        needed = max(needed, Epsilon.of_billionths(1) / spec.check_share)
    return Epsilon.at_least(needed)


def plan_for(engine: str, query: Query, column: str | None, bounds: Bounds | None, epsilon: Epsilon) -> Plan:
    """Return the cells of a question as an engine answers it."""
    statistic = STATISTICS[query]
    make = statistic.separate if ENGINES[engine].recipe == SEPARATE else statistic.plan
    return make(column, bounds, epsilon)


def histogram_plan(spec: JobSpec) -> Plan:
    """Return the cells of the histogram that bounds are found in."""
    return private_bounds.histogram_plan(spec.column, spec.bounds_budget())


def totals_plan(spec: JobSpec, draws: Mapping[str, str]) -> Plan:
    """Return the cells of the question; where bounds have to be found, the histogram must be drawn by now."""
    found = _found(spec, draws)
    bounds = spec.bounds if found is None else found.bounds
    answer = plan_for(spec.engine, spec.query, spec.column, bounds, spec.answer_budget())
    return left_out.with_checks(answer, spec.answer_budget(), spec.check_budget(), has_lines=spec.format == "csv")


def known_plan(spec: JobSpec) -> Plan:
    """Return what is asked of an engine first, which is known before anything is drawn."""
    return histogram_plan(spec) if spec.finds_bounds else totals_plan(spec, {})


def is_drawn(spec: JobSpec, run: Run) -> bool:
    """Whether all that the answer needs is stored."""
    return TOTALS in run.draws and (HISTOGRAM in run.draws or not spec.finds_bounds)


def release_of(spec: JobSpec, draws: Mapping[str, str]) -> str:
    """Return the release's JSON, which follows from the specification and its stored draws alone.

    Raises LedgerError when these are malformed, or drawn for another plan.
    """
    plan = totals_plan(spec, draws)
    totals = Draws.from_json(draws[TOTALS], plan)
    version, bounds = totals.engine_version, None
    if (found := _found(spec, draws)) is not None:
        bounds = found_bounds(
            found.bounds.lower,
            found.bounds.upper,
            found.source,
            found.epsilon,
            found.beta,
            found.threshold,
            found.noise,
        )
        histogram_version = Draws.from_json(draws[HISTOGRAM], histogram_plan(spec)).engine_version
        if histogram_version != version:  # the library was changed between two attempts
            version = f"{version} (bounds: {histogram_version})"
    elif spec.bounds is not None:
        bounds = given_bounds(spec.bounds.lower, spec.bounds.upper)
    answer = STATISTICS[spec.query].estimate(plan, left_out.of_answer(totals.noisy), spec.confidence)
    return to_json(spec, plan, totals, answer, version, bounds)


def _found(spec: JobSpec, draws: Mapping[str, str]) -> private_bounds.FoundBounds | None:
    """The bounds that the stored histogram shows, None where bounds are given or not needed."""
    if not spec.finds_bounds:
        return None
    noisy = Draws.from_json(draws[HISTOGRAM], histogram_plan(spec)).noisy
    noise = noisy[0].noise
    if noise is None:
        raise ValueError("a histogram has noise")
    counts = [n.value for n in noisy]
    return private_bounds.from_histogram(counts, noise, spec.bounds_budget(), spec.query, spec.answer_budget())
