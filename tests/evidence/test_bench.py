"""`make bench`: what it times is what its labels say."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.plan import LEFT_OUT, SIDES, Plan
from dpjobs.source import Source

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("share", "told"), [(Decimal("0.05"), SIDES), (Decimal(0), ())])
def test_a_way_without_a_check_share_counts_nothing_of_what_is_clamped(
    share: Decimal, told: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On DuckDB, since a Session takes seconds; `on_spark` hands the share on to the same function."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    import ways

    asked: list[Plan] = []

    class Noting(DuckDBBackend):
        def totals(self, table: Source, plan: Plan) -> list[int]:
            asked.append(plan)
            return super().totals(table, plan)

    pq.write_table(pa.table({"TotalPop": [1.0, 2.0]}), tmp_path / "t.parquet")
    with Noting.open() as backend:
        monkeypatch.setattr("dpjobs.backends.spark.backend.SparkBackend", lambda _: backend)
        ways.on_spark(None, "pipelinedp", share)(tmp_path / "t.parquet", ways.STATISTICS["MEAN"])
    assert [plan.kinds - set(LEFT_OUT) for plan in asked] == [set(told)]
