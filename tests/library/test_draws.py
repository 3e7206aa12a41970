"""The record of what was drawn: read as it was written, and refused in one line when it is anything else."""

import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from dpjobs.measurement import Plan, plan
from hypothesis import given
from hypothesis import strategies as st

from dpjobs.bounds import BINS, asked
from dpjobs.draws import Histogram, Totals
from dpjobs.engines.base import Noisy
from dpjobs.errors import LedgerError
from dpjobs.noise import NOISES, RoundedLaplace, TwoSidedGeometric
from dpjobs.query import Bounds, Query

VERSION = "tmlt.analytics 0.21.0, tmlt.core 0.19.1"
PLAN = plan(Query.VARIANCE, Bounds(-3, 10), Decimal("0.9"))
MEASUREMENT = asked(Decimal("0.1"))


def totals(todo: Plan, values: list[int], kind=TwoSidedGeometric) -> Totals:
    live = iter(values)
    return Totals(
        tuple(Noisy(m, 0, None) if m.constant else Noisy(m, next(live), kind(m.scale)) for m in todo.measurements),
        VERSION,
    )


HISTOGRAM = Histogram(tuple(range(-96, 97)), RoundedLaplace(Fraction(10)), VERSION)
TEXT = totals(PLAN, [3, -2, 10**18]).to_json(PLAN)
HISTOGRAM_TEXT = HISTOGRAM.to_json(MEASUREMENT, BINS)


@given(
    st.sampled_from([Query.SUM, Query.MEAN, Query.VARIANCE]),
    st.lists(st.floats(-(2.0**100), 2.0**100), min_size=2, max_size=2).map(sorted),
    st.lists(st.integers(-(2**100), 2**100), min_size=3, max_size=3),
    st.sampled_from(list(NOISES.values())),
    st.text(),
)
def test_what_is_read_is_what_was_written(
    query: Query, bounds: list[float], values: list[int], kind: type, version: str
) -> None:
    todo = plan(query, Bounds(*bounds), Decimal("0.123456789"))
    written = Totals(totals(todo, values, kind).noisy, version)
    assert Totals.from_json(written.to_json(todo), todo) == written


def test_a_histogram_and_a_count_are_read_as_they_were_written() -> None:
    assert Histogram.from_json(HISTOGRAM_TEXT, MEASUREMENT, BINS) == HISTOGRAM
    count = plan(Query.COUNT, None, Decimal(1))
    assert Totals.from_json(totals(count, [7]).to_json(count), count) == totals(count, [7])
    constant = plan(Query.MEAN, Bounds(0, 0), Decimal(1))
    assert Totals.from_json(totals(constant, [7]).to_json(constant), constant).noisy[1].noise is None


def test_all_is_in_it_that_a_reader_needs() -> None:
    record = json.loads(TEXT)
    assert record["engine_version"] == VERSION
    assert [t["name"] for t in record["totals"]] == ["count", "sum", "sum_of_squares"]
    assert [t["value"] for t in record["totals"]] == [3, -2, 10**18]
    assert [t["epsilon"] for t in record["totals"]] == ["0.3"] * 3
    assert {t["noise"] for t in record["totals"]} == {"two-sided geometric"}
    assert [Fraction(t["scale"]) for t in record["totals"]] == [m.scale for m in PLAN.measurements]


def put(*path: Any) -> Callable[[Any], None]:
    """A change of a record: the last is the value, the others lead to its place."""
    *way, last, value = path

    def change(record: Any) -> None:
        for step in way:
            record = record[step]
        record[last] = value

    return change


def drop(*path: Any) -> Callable[[Any], None]:
    *way, last = path

    def change(record: Any) -> None:
        for step in way:
            record = record[step]
        del record[last]

    return change


SECRET = 7654321
CHANGES = {
    "another format": put("format", 2),
    "no format": drop("format"),
    "a version that is no text": put("engine_version", 1),
    "another query": put("query", "MEAN"),
    "other bounds": put("bounds", [(-3.0).hex(), (11.0).hex()]),
    "another middle": put("middle", (4.0).hex()),
    "other squares": put("squares", [1, 1]),
    "a total too few": drop("totals", 2),
    "a total's name": put("totals", 0, "name", "sum"),
    "its sensitivity": put("totals", 1, "upper", 2**23),
    "its step": put("totals", 1, "step", "1/2"),
    "its epsilon": put("totals", 1, "epsilon", "0.6"),
    "less noise than epsilon asks": put("totals", 1, "scale", "1/2"),
    "no noise": put("totals", 1, "noise", None),
    "unknown noise": put("totals", 1, "noise", "gaussian"),
    "noise that is no text": put("totals", 1, "noise", ["rounded Laplace"]),
    "a scale that is no fraction": put("totals", 1, "scale", 1e9),
    "a scale in another spelling": put("totals", 1, "scale", "1e9"),
    "a scale without an end": put("totals", 1, "scale", "1e999999999"),
    "a scale over zero": put("totals", 1, "scale", "1/0"),
    "a value that is no integer": put("totals", 0, "value", SECRET + 0.5),
    "a text": put("totals", 0, "value", str(SECRET)),
    "a truth": put("totals", 0, "value", True),
    "nothing": put("totals", 0, "value", None),
    "a value that no engine draws": put("totals", 0, "value", SECRET * 2**200),
    "something more": put("more", SECRET),
    "totals that are no list": put("totals", SECRET),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_other_record_is_refused_without_showing_it(change: Callable[[Any], None]) -> None:
    record = json.loads(TEXT)
    change(record)
    refused(lambda: Totals.from_json(json.dumps(record), PLAN), "totals")


@pytest.mark.parametrize(
    "change",
    [
        put("counts", 0, float(SECRET)),
        put("counts", list(range(192))),
        put("counts", SECRET),
        put("bins", [-95, 97]),
        put("epsilon", "0.2"),
        put("scale", "5"),
        put("noise", "two-sided"),
        drop("counts"),
        put("more", 1),
    ],
)
def test_any_other_histogram_is_refused(change: Callable[[Any], None]) -> None:
    record = json.loads(HISTOGRAM_TEXT)
    change(record)
    refused(lambda: Histogram.from_json(json.dumps(record), MEASUREMENT, BINS), "histogram")


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "7654321", "{", "{}", "[" * 100_000, TEXT + " ", TEXT[:-1], "9" * 5000, '{"totals": [{}]}'],
    ids=lambda text: text[:12],
)
def test_what_is_no_record_is_refused(text: str) -> None:
    refused(lambda: Totals.from_json(text, PLAN), "totals")
    refused(lambda: Histogram.from_json(text, MEASUREMENT, BINS), "histogram")


def test_a_record_of_another_plan_is_refused() -> None:
    for other in (
        plan(Query.VARIANCE, Bounds(-3, 10), Decimal("0.9000001")),
        plan(Query.VARIANCE, Bounds(-4, 10), Decimal("0.9")),
        plan(Query.MEAN, Bounds(-3, 10), Decimal("0.9")),
        plan(Query.COUNT, None, Decimal("0.9")),
    ):
        refused(lambda other=other: Totals.from_json(TEXT, other), "totals")
    refused(lambda: Totals.from_json(HISTOGRAM_TEXT, PLAN), "totals")
    refused(lambda: Histogram.from_json(TEXT, MEASUREMENT, BINS), "histogram")
    refused(lambda: Histogram.from_json(HISTOGRAM_TEXT, asked(Decimal("0.2")), BINS), "histogram")
    # bounds that give the very same integers, around another middle
    near, far = (plan(Query.SUM, Bounds(*b), Decimal(1)) for b in ((4, 8), (-8, 8)))
    refused(lambda: Totals.from_json(totals(near, [5]).to_json(near), far), "totals")


def refused(read: Callable[[], object], stage: str) -> None:
    with pytest.raises(LedgerError, match=f"^the stored {stage} of the run cannot be read: .*; allowed: ") as told:
        read()
    assert str(SECRET) not in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.__suppress_context__
