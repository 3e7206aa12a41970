"""Tumult Analytics keeps the engines' contract."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, Measurement
from pyspark.sql import DataFrame

from dpjobs.engines.base import Engine
from library.engines.contract import EngineContract, Sample, count_of

pytestmark = pytest.mark.slow
KEYS = 2000


class TestTumult(EngineContract):
    name = "tumult"

    def sample(self, spark, engine: Engine, asked: Sequence[Measurement]) -> list[Sample]:
        """One call as a run makes it, in which Tumult answers for each of KEYS keys instead of for all rows at once.

        A query takes a second, so CALLS of them are too many. The engine asks its own queries, and the group is
        put in where they reach the library; the engine is handed the first key's answer, and must return just that.
        """
        frame = spark.range(KEYS).selectExpr("id as key", "7L as sum", "49L as sum_of_squares")
        truth = {COUNT: 1, SUM: 7, SUM_OF_SQUARES: 49}
        answers: list[list[int]] = []
        with pytest.MonkeyPatch.context() as patch:
            group_queries(patch, spark, answers)
            results = engine.measure(frame, asked)
        assert [noisy.value for noisy in results] == [first for first, *_ in answers]
        return [
            Sample(m, [value - truth[m.name] for value in values], noisy.noise)
            for m, values, noisy in zip(asked, answers, results, strict=True)
        ]

    def test_a_mechanism_that_is_not_known_is_refused(self, spark, engine) -> None:
        """Over doubles Tumult would draw other noise than what a release would say.

        What it had written until then is taken away, too: its temporary tables count as raw data.
        """
        frame = spark.range(3).selectExpr("cast(id as double) as sum")
        with pytest.raises(AssertionError, match="does not know"):
            engine.measure(frame, [Measurement(SUM, 0, 2, Fraction(1), Decimal(1))])
        assert [d.name for d in spark.catalog.listDatabases()] == ["default"]


def group_queries(patch: pytest.MonkeyPatch, spark: Any, answers: list[list[int]]) -> None:
    """Make Tumult group its counts and sums by `key`, note all answers, and hand out the first key's alone."""
    from tmlt.analytics import KeySet, QueryBuilder, Session

    keys = KeySet.from_dict({"key": list(range(KEYS))})
    evaluate = Session.evaluate

    def noting(session: Session, *arguments: Any, **named: Any) -> DataFrame:
        answered = evaluate(session, *arguments, **named)
        only = [name for name in answered.columns if name != "key"]
        rows = answered.orderBy("key").select(*only).collect()
        assert len(rows) == KEYS
        answers.append([row[0] for row in rows])
        return spark.createDataFrame(rows[:1], answered.select(*only).schema)

    patch.setattr(QueryBuilder, "count", lambda self, **given: self.groupby(keys).count(**given))
    patch.setattr(QueryBuilder, "sum", lambda self, column, **given: self.groupby(keys).sum(column, **given))
    patch.setattr(Session, "evaluate", noting)


@pytest.mark.parametrize("rows", [0, 2])
def test_a_result_of_another_size_is_no_result(rows: int) -> None:
    """Where a cluster's nodes do not share the folder of Tumult's tables, rows are missing without a word."""
    from types import SimpleNamespace

    from dpjobs.engines import tumult

    info = {"noise_mechanism": SimpleNamespace(name="GEOMETRIC"), "noise_parameter": 1}
    fake = SimpleNamespace(_compile_and_get_info=lambda *_: ([info],))

    def evaluate(*_: object) -> SimpleNamespace:
        fake._compile_and_get_info()
        return SimpleNamespace(collect=lambda: [{tumult._NOISY: 7}] * rows)

    fake.evaluate = evaluate
    session = tumult._RecordingSession(fake)
    with pytest.raises(AssertionError, match=f"Tumult's result has {rows} rows, not 1$"):
        tumult._evaluate(session, count_of(Decimal(1)))
    with pytest.raises(AssertionError, match=f"Tumult's result has {rows} rows, not 193$"):
        session.evaluate(None, Decimal(1), 193)
