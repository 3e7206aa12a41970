"""All engines answer the same question: same truth, same variance, same treatment of nulls; and no true value.

On DuckDB, which counts what Spark counts (backends/contract.py); Tumult's Session, which counts by itself, on Spark.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpjobs.backends.base import Backend
from dpjobs.backends.duckdb.backend import DuckDBBackend
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.engines import ENGINES, load
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from library.answering import answer
from library.tables import HOSTILE_CELLS, source_of, write_csv

pytestmark = pytest.mark.slow
CONFIDENCE = 0.999999  # the largest: an interval that misses by chance would be a false alarm


@pytest.fixture(scope="module")
def backends(spark) -> Iterator[dict[str, Backend]]:
    """The backend that each engine has here."""
    with DuckDBBackend.open() as duckdb:
        yield {name: SparkBackend(spark) if listed.backends else duckdb for name, listed in ENGINES.items()}


def ask(backends, path: Path, engine: str, query: Query, bounds: Bounds | None, epsilon: str = "1000", column="x"):
    spec = JobSpec(
        "run", "data", engine, query, column, PrivacyBudget(Decimal(epsilon)), str(path), "csv", bounds,
        confidence=CONFIDENCE,
    )  # fmt: skip
    return json.loads(answer(backends[engine], load(engine), spec, source_of(path)))


def near_the_truth(release: dict, truth: float, rounding: float) -> bool:
    """Whether the truth is in the interval made twice as wide: missed with the square of 1e-6."""
    low, high = release["interval"]
    half = (high - low) / 2
    return low - half - rounding <= truth <= high + half + rounding


# cells, bounds, what SUM, MEAN and VARIANCE are of the clamped values; at epsilon 1000 noise hardly shows
TABLES = {
    "one row": (["5"], Bounds(0, 10), (5, 5, 0)),
    "negative bounds": (["-5"] * 50 + ["-100"] * 50, Bounds(-10, -1), (-750, -7.5, 6.25)),
    "lower = upper": (["5"] * 100, Bounds(5, 5), (500, 5, 0)),
    "all zero": (["0"] * 100, Bounds(0, 0), (0, 0, 0)),
    "fractions": (["0.25"] * 50 + ["0.75"] * 50, Bounds(0, 1), (50, 0.5, 0.0625)),
    "wide": (["1e12"] * 100 + ["-1e12"] * 100, Bounds(-1e12, 1e12), (0, 0, 1e24)),
    "narrow and far": (
        ["1000000000000"] * 100 + ["1000000000001"] * 100, Bounds(1e12, 1e12 + 1), (200e12, 1e12 + 0.5, 0.25)
    ),
    "hostile": (["3"] * 100 + ["7"] * 100 + ["", "NaN", "x", "12d", "null"] * 20, Bounds(0, 10), (1000, 5, 4)),
}  # fmt: skip


# A query of the Session takes a second, and sums below 0 and halves are in other tables and in test_tumult.py
NOT_OF_THE_SESSION = ("negative bounds", "fractions")
ASKED = [(e, name) for e in ENGINES for name in TABLES if e != "tumult" or name not in NOT_OF_THE_SESSION]


@pytest.mark.parametrize(("engine", "name"), ASKED)
def test_the_answer_is_that_of_the_clamped_values(backends, tmp_path: Path, engine: str, name: str) -> None:
    cells, bounds, expected = TABLES[name]
    path = write_csv(tmp_path / "t.csv", [f"r,{cell},z".encode() for cell in cells])
    width = max(bounds.upper - bounds.lower, 1e-9)
    largest = max(abs(bounds.lower), abs(bounds.upper))
    # by noise: SUM's scale is largest/1000, MEAN's R/(n/1000) and so on; one row has nothing to hide behind
    n = len(cells)
    allowed = (
        0.05 * largest + n * largest * 1e-7 + 1e-9,
        30 * width / 500 / n + 1e-3,
        60 * width**2 / 333 / n + 1e-3,
    )
    for query, right, near in zip((Query.SUM, Query.MEAN, Query.VARIANCE), expected, allowed, strict=True):
        if engine == "tumult" and query is not Query.VARIANCE:
            continue  # a Tumult query takes a second, and VARIANCE has SUM's and MEAN's measurements in it
        release = ask(backends, path, engine, query, bounds)
        assert abs(release["value"] - right) <= near, (query, release)
        # SUM's interval is for the rounded values
        rounding = n * release["rounding_per_row"] if query is Query.SUM else 0.0
        assert near_the_truth(release, right, rounding), (query, release)
        assert release["interval"][1] - release["interval"][0] <= 4 * near


@pytest.mark.parametrize("engine", ENGINES)
def test_no_rows_no_numbers_and_no_cells(backends, tmp_path: Path, engine: str) -> None:
    """A header alone, and a column without a number, are answered like any other table."""
    empty = write_csv(tmp_path / "empty.csv", [])
    words = write_csv(tmp_path / "words.csv", [b"r,word,z"] * 100)
    for path in (empty, words) if engine != "tumult" else (words,):  # to an engine both are a frame without rows
        release = ask(backends, path, engine, Query.MEAN, Bounds(10, 20), "0.5")
        assert release["interval"] == [10, 20]  # the count's noise, of scale 4, leaves 0 with 5e-7
    assert abs(ask(backends, words, engine, Query.COUNT, None)["value"] - 100) <= 1
    assert abs(ask(backends, empty, engine, Query.COUNT, None)["value"]) <= 1


def test_a_million_equal_rows(backends, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [9.5] * 10**6}), tmp_path / "t")
    spec = JobSpec(
        "run", "data", "pipelinedp", Query.VARIANCE, "x", PrivacyBudget(Decimal(1)), str(tmp_path / "t"), "parquet",
        Bounds(0, 10), confidence=CONFIDENCE,
    )  # fmt: skip
    source = source_of(tmp_path / "t", "parquet")
    release = json.loads(answer(backends["pipelinedp"], load("pipelinedp"), spec, source))
    assert 0 <= release["value"] < 0.01
    assert release["interval"][0] == 0  # at 95 % it would be above in one run of 43


def test_hostile_cells_through_all_engines(backends, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [f"r,{cell},z".encode() for cell in HOSTILE_CELLS * 3])
    means = [ask(backends, path, engine, Query.MEAN, Bounds(-10, 10))["value"] for engine in ENGINES]
    assert max(means) - min(means) < 0.5


def test_a_release_holds_no_true_value(backends, tmp_path: Path) -> None:
    """Every number of a release is public, or noisy: none is the sum, mean, minimum or maximum."""
    values = [1000 + 37 * i for i in range(3001)]
    path = write_csv(tmp_path / "t.csv", [f"r,{v},z".encode() for v in values])
    # not the count: its noise is small, and 0 in every fifth draw; the others are hit with less than 1e-6
    true = {sum(values), sum(values) / len(values), min(values), max(values)}
    for query in Query:
        release = ask(backends, path, "pipelinedp", query, None, "0.5")
        assert not {float(t) for t in true} & set(numbers_in(release))
        if query is not Query.COUNT:
            assert release["bounds"]["source"] == "private"
            edges = (release["bounds"]["lower"], release["bounds"]["upper"])
            assert all(edge == 0 or edge.as_integer_ratio()[0].bit_count() == 1 for edge in map(float, edges))


def numbers_in(value: object) -> list[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers_in(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers_in(v)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []
