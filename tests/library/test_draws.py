"""The record of what was drawn: read as it was written, and refused in one line when it is anything else."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpjobs import bounds
from dpjobs.answers import plan_for
from dpjobs.draws import Draws, digest
from dpjobs.engines.base import Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.errors import LedgerError
from dpjobs.ledger.base import MAX_DRAWS
from dpjobs.noise import NOISES, RoundedLaplace, TwoSidedGeometric
from dpjobs.plan import CHECK, Plan, Rows
from dpjobs.query import Bounds, Query
from library.plans import plan, separate

VERSION = "tmlt.analytics 0.21.0, tmlt.core 0.19.1"
PLAN = plan(Query.VARIANCE, Bounds(-3, 10), Decimal("0.9"))
OWN = separate(Query.VARIANCE, Bounds(-3, 10), Decimal("0.9"))
HISTOGRAM = bounds.histogram_plan("x", Decimal("0.1"))


def draws(of: Plan, values: list[int], kind=TwoSidedGeometric) -> Draws:
    live = iter(values)
    noisy = (Noisy(c, 0, None) if c.constant else Noisy(c, next(live), kind(c.scale)) for c in of.cells)
    return Draws(tuple(noisy), VERSION, "duckdb", "DuckDB 2.0.1")


TEXT = draws(PLAN, [3, -2, 10**18]).to_json(PLAN)
OWN_TEXT = draws(OWN, [3, -2, 10**18]).to_json(OWN)


@given(
    st.sampled_from([plan, separate]),
    st.sampled_from([Query.SUM, Query.MEAN, Query.VARIANCE]),
    st.lists(st.floats(-(2.0**100), 2.0**100), min_size=2, max_size=2).map(sorted),
    st.lists(st.integers(-(2**100), 2**100), min_size=3, max_size=3),
    st.sampled_from(list(NOISES.values())),
    st.text(),
)
def test_what_is_read_is_what_was_written(
    make: Callable[..., Plan], query: Query, limits: list[float], values: list[int], kind: type, version: str
) -> None:
    of = make(query, Bounds(*limits), Decimal("0.123456789"))
    written = replace(draws(of, values, kind), engine_version=version)
    assert Draws.from_json(written.to_json(of), of) == written


def test_a_histogram_and_a_count_and_a_constant_are_read_as_they_were_written() -> None:
    written = draws(HISTOGRAM, list(range(-96, 97)), RoundedLaplace)
    text = written.to_json(HISTOGRAM)
    assert Draws.from_json(text, HISTOGRAM) == written
    assert len(text) < MAX_DRAWS / 10
    count = plan(Query.COUNT, None, Decimal(1))
    assert Draws.from_json(draws(count, [7]).to_json(count), count) == draws(count, [7])
    constant = separate(Query.MEAN, Bounds(0, 0), Decimal(1))
    assert Draws.from_json(draws(constant, [7]).to_json(constant), constant).noisy[1].noise is None


def test_all_is_in_it_that_a_reader_needs() -> None:
    record = json.loads(TEXT)
    assert (record["engine_version"], record["backend"]) == (VERSION, "duckdb")
    assert record["backend_version"] == "DuckDB 2.0.1"
    assert record["values"] == [3, -2, 10**18]
    [[name, scale]] = record["noise"]  # of all cells: they share tokens
    assert (name, Fraction(scale)) == ("two-sided geometric", PLAN.cells[0].scale)
    assert [Fraction(scale) for _, scale in json.loads(OWN_TEXT)["noise"]] == [c.scale for c in OWN.cells]


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
    "another format": put("format", 1),
    "no format": drop("format"),
    "a version that is no text": put("engine_version", 1),
    "a backend that is no text": put("backend", 1),
    "no backend": drop("backend_version"),
    "another plan": put("plan", "0" * 64),
    "a total too few": drop("values", 2),
    "less noise than epsilon asks": put("noise", 0, 1, "1/2"),
    "no noise": put("noise", 0, None),
    "no noise at all": put("noise", []),
    "noise of two": put("noise", 0, ["rounded Laplace"]),
    "unknown noise": put("noise", 0, 0, "gaussian"),
    "noise that is no text": put("noise", 0, 0, ["rounded Laplace"]),
    "a scale that is no fraction": put("noise", 0, 1, 1e9),
    "a scale in another spelling": put("noise", 0, 1, "1e9"),
    "a scale without an end": put("noise", 0, 1, "1e999999999"),
    "a scale over zero": put("noise", 0, 1, "1/0"),
    "a value that is no integer": put("values", 0, SECRET + 0.5),
    "a text": put("values", 0, str(SECRET)),
    "a truth": put("values", 0, True),
    "nothing": put("values", 0, None),
    "a value that no engine draws": put("values", 0, SECRET * 2**200),
    "something more": put("more", SECRET),
    "values that are no list": put("values", SECRET),
}


@pytest.mark.parametrize("of", [TEXT, OWN_TEXT], ids=["tokens", "separate"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_other_record_is_refused_without_showing_it(change: Callable[[Any], None], of: str) -> None:
    record = json.loads(of)
    change(record)
    refused(lambda: Draws.from_json(json.dumps(record), PLAN if of is TEXT else OWN))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "7654321", "{", "{}", "[" * 100_000, TEXT + " ", TEXT[:-1], "9" * 5000, '{"values": [{}]}'],
    ids=lambda text: text[:12],
)
def test_what_is_no_record_is_refused(text: str) -> None:
    for of in (PLAN, OWN, HISTOGRAM):
        refused(lambda of=of: Draws.from_json(text, of))


def test_a_record_of_another_plan_is_refused() -> None:
    for other in (
        plan(Query.VARIANCE, Bounds(-3, 10), Decimal("0.9000001")),
        plan(Query.VARIANCE, Bounds(-4, 10), Decimal("0.9")),
        plan(Query.VARIANCE, Bounds(-3, 10), Decimal("0.9"), column="y"),
        plan(Query.MEAN, Bounds(-3, 10), Decimal("0.9")),
        plan(Query.COUNT, None, Decimal("0.9")),
        OWN,
        HISTOGRAM,
    ):
        refused(lambda other=other: Draws.from_json(TEXT, other))
    text = draws(HISTOGRAM, list(range(193))).to_json(HISTOGRAM)
    refused(lambda: Draws.from_json(text, bounds.histogram_plan("x", Decimal("0.2"))))


def test_the_digest_covers_all_that_gives_the_integers_their_meaning() -> None:
    cell, grid = PLAN.cells[1], PLAN.grid
    others = [
        replace(PLAN, query=Query.MEAN),
        replace(PLAN, column="y"),
        replace(PLAN, recipe="separate"),
        replace(PLAN, grid=None),
        replace(PLAN, cells=PLAN.cells[:2]),
        *(replace(PLAN, grid=replace(grid, **{name: value})) for name, value in {
            "bounds": Bounds(-3, 11), "origin": -2.0, "step": 0.5, "lower": 1, "upper": 7,
        }.items()),
        *(replace(PLAN, cells=(cell, replace(cell, **{name: value}))) for name, value in {
            "name": "b", "lower": 1, "upper": 7, "step": Fraction(1, 3), "sensitivity": 7, "epsilon": Decimal(3),
            "formula": PLAN.cells[0].formula, "rows": Rows.EMPTY, "vector": CHECK,
        }.items()),
    ]  # fmt: skip
    assert len({digest(one) for one in [PLAN, replace(PLAN, cells=(cell, cell)), *others]}) == 2 + len(others)


def refused(read: Callable[[], object]) -> None:
    with pytest.raises(LedgerError, match=r"^the stored draws of the run cannot be read: .*; allowed: ") as told:
        read()
    assert str(SECRET) not in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.__suppress_context__


def test_draws_of_before_there_were_checks_are_read() -> None:
    """A COUNT's plan, and a histogram's, is what it was: so is its digest, and a run of then can be finished."""
    of_then = plan_for("opendp", Query.COUNT, "x", None, Epsilon(1))
    assert digest(of_then) == "80f544d92c6c32c1ff6ce003a6a588f99dbae916f1bedb902b4a5c22b6f4c480"
