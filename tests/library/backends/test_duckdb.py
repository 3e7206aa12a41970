"""The suites of every backend, on DuckDB."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from dpjobs.backends.base import Backend
from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.query import Bounds
from library.backends.contract import (
    CSVContract,
    ParquetContract,
    PartitionsContract,
    TypesContract,
    check_lines,
    hostile_lines,
    limits,
)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with DuckDBBackend.open() as opened:
        yield opened


class TestCSV(CSVContract):
    pass


class TestPartitions(PartitionsContract):
    pass


class TestParquet(ParquetContract):
    pass


@pytest.mark.slow
class TestTypes(TypesContract):
    pass


@settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
@given(hostile_lines, limits)
def test_hostile_lines_give_what_the_reference_says(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], bounds: Bounds
) -> None:
    check_lines(backend, tmp_path_factory.mktemp("t") / "t.csv", lines, bounds)
