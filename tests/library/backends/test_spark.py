"""The suites of every backend, on Spark."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from dpjobs.answers import plan_for
from dpjobs.backends.base import Backend
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.backends.spark.rows import BIN, CODES, KIND
from dpjobs.bounds import histogram_plan
from dpjobs.epsilon import Epsilon
from dpjobs.left_out import with_checks
from dpjobs.plan import LEFT_OUT, SIDES
from dpjobs.query import Bounds, Query
from library.backends.contract import (
    CSVContract,
    ParquetContract,
    PartitionsContract,
    TypesContract,
    check_lines,
    hostile_lines,
    limits,
)
from library.tables import HOSTILE_CELLS, HOSTILE_LINES, source_of, write_csv


@pytest.fixture(scope="module")
def backend(spark) -> Backend:
    return SparkBackend(spark)


class TestCSV(CSVContract):
    pass


class TestPartitions(PartitionsContract):
    pass


class TestParquet(ParquetContract):
    pass


@pytest.mark.slow
class TestTypes(TypesContract):
    pass


def test_a_session_is_given_the_kind_of_every_row(backend: SparkBackend, tmp_path: Path) -> None:
    """Those without a number, too: a Session counts nothing else of what is left out."""
    lines = {b"r,banana,z": 1, b"r,,z": 2, b"r,5": 2, b"r,": 1, b"r,-11,z": 4, b"r,-10,z": 2, b"r,10,z": 3}
    lines |= {b"r,11,z": 6}
    source = source_of(write_csv(tmp_path / "t.csv", [line for line, times in lines.items() for _ in range(times)]))
    plan = plan_for("tumult", Query.MEAN, "x", Bounds(-10, 10), Epsilon(1))
    rows = backend.kinds(source, with_checks(plan, Epsilon(1), Epsilon(1), has_lines=True)).collect()
    found = Counter(row[KIND] for row in rows)
    assert [found[CODES[kind]] for kind in (*LEFT_OUT, *SIDES)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "bounds", [Bounds(-10, 10), Bounds(0, 3), Bounds(float.fromhex("-0x1.b2cffffffffffp-13"), 1)]
)
def test_a_session_is_given_what_the_totals_are_of(backend: SparkBackend, tmp_path: Path, bounds: Bounds) -> None:
    """By rows that it can count and add up, each once; it looks for nulls in every row where one may be."""
    lines = [f"r,{cell},z".encode() for cell in [*HOSTILE_CELLS, "2.5", str(bounds.lower)]]
    source = source_of(write_csv(tmp_path / "t.csv", [*lines, *HOSTILE_LINES]))
    for query in (Query.COUNT, Query.VARIANCE):  # whose cells are those of the others, too
        plan = plan_for("tumult", query, "x", None if query is Query.COUNT else bounds, Epsilon(1))
        frame = backend.frame(source, plan)
        assert not any(field.nullable for field in frame.schema)
        found = [frame.count() if plan.counts else frame.agg({cell.name: "sum"}).first()[0] for cell in plan.live]
        assert found == backend.totals(source, plan), query
    histogram = histogram_plan("x", Epsilon(1))
    bins = Counter(row[BIN] for row in backend.frame(source, histogram).collect())
    assert [bins[cell.bin] for cell in histogram.live] == backend.totals(source, histogram)


def test_files_of_a_laptop_are_listed_without_a_job(spark, backend: SparkBackend, tmp_path: Path) -> None:
    """However many: beyond 32 Spark would start one, which takes longer than to count a small table."""
    for i in range(33):
        write_csv(tmp_path / f"{i}.csv", [b"r,5,z"])
    source = source_of(tmp_path)
    spark.sparkContext.setJobGroup(tmp_path.name, "listing")
    try:
        backend.check(source, "x")
        assert list(spark.sparkContext.statusTracker().getJobIdsForGroup(tmp_path.name)) == []
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)


@settings(max_examples=3, derandomize=True, suppress_health_check=list(HealthCheck))
@given(hostile_lines, limits)
def test_hostile_lines_give_what_the_reference_says(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], bounds: Bounds
) -> None:
    check_lines(backend, tmp_path_factory.mktemp("t") / "t.csv", lines, bounds)
