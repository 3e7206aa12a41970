"""Tumult Analytics keeps the engines' contract, on Spark: its Session counts, accounts and draws by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from dpjobs.answers import plan_for
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.backends.spark.rows import BIN, CODES, KIND
from dpjobs.engines.base import Engine, Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.formula import ONE as ONE_A_ROW
from dpjobs.left_out import with_checks
from dpjobs.plan import SEPARATE, Cell, Plan, Rows
from dpjobs.query import Bounds, Query
from library.engines.contract import CALLS, ONE, SURE, TINY, EngineContract, Known, Sample, histogram

pytestmark = pytest.mark.slow
KEYS = CALLS


class Frames(SparkBackend):
    """Hands out a frame that a test has made, as a table's rows with what they give to each cell."""

    def __init__(self, spark: Any, frame: Any) -> None:
        super().__init__(spark)
        self._made = frame

    def frame(self, table: object, plan: Plan) -> Any:
        return self._made

    def kinds(self, table: object, plan: Plan) -> Any:
        return self._made.select(KIND)


def separate(*cells: Cell) -> Plan:
    return Plan(Query.MEAN, "x", SEPARATE, cells)


def count(epsilon: Decimal) -> Cell:
    return Cell("count", 1, 1, ONE, 1, epsilon, ONE_A_ROW)


class TestTumult(EngineContract):
    name = "tumult"

    @pytest.fixture(scope="class", autouse=True)
    def _spark(self, spark, request) -> Iterator[None]:
        request.cls.spark = spark
        yield
        del request.cls.spark

    def sample(self, engine: Engine, plan: Plan) -> list[Sample]:
        """One call as a run makes it, in which Tumult answers for each of KEYS keys instead of for all rows at once.

        A query takes a second, so CALLS of them are too many. The engine asks its own queries, and the group is
        put in where they reach the library; the engine is handed the first key's answer, and must return just that.
        """
        given = {cell.name: cell.upper // 2 or 1 for cell in plan.live}
        frame = self.spark.range(KEYS).selectExpr("id as key", *(f"{v}L as {name}" for name, v in given.items()))
        answers: list[list[int]] = []
        with pytest.MonkeyPatch.context() as patch:
            group_queries(patch, self.spark, answers)
            results = engine.measure(Frames(self.spark, frame), None, plan)
        assert [noisy.value for noisy in results if noisy.noise] == [first for first, *_ in answers]
        return [
            Sample(cell, [value - given[cell.name] for value in values], noisy.noise)
            for cell, values, noisy in zip(plan.live, answers, results, strict=True)
        ]

    def measured(self, engine: Engine, plan: Plan, totals: Sequence[int]) -> list[Noisy]:
        """Of a table with so many rows, or rows with so large a sum."""
        if plan.bins:
            rows = [(cell.bin,) for cell, total in zip(plan.live, totals, strict=True) for _ in range(total)]
            frame = self.spark.createDataFrame(rows, f"{BIN} int")
        else:
            frame = self.spark.createDataFrame([tuple(totals)], ", ".join(f"{c.name} bigint" for c in plan.live))
        return engine.measure(Frames(self.spark, frame), None, plan)

    def test_counts_and_sums_are_exact_but_for_the_noise(self, engine) -> None:
        """At scales of 0.001, 0.15 and 22.5; the middle row's values are as low and as high as they may be."""
        low = Cell("sum", -50, 150, ONE, 150, SURE)
        squares = Cell("sum_of_squares", 0, 22500, ONE, 22500, SURE)
        frame = self.spark.range(-50, 151).selectExpr("id as sum", "id * id as sum_of_squares", "1L as count")
        backend = Frames(self.spark, frame)
        counted, total, squared = engine.measure(backend, None, separate(count(SURE), low, squares))
        assert counted.value == 201
        assert abs(total.value - sum(range(-50, 151))) <= 40
        assert abs(squared.value - sum(i * i for i in range(-50, 151))) <= 6000

    def test_noise_is_added_to_an_integer(self, engine) -> None:
        """Beyond 2⁶⁰ doubles are 256 apart. By chance all four are such with probability 2⁻³². No sum overflows."""
        cell = 3 * 2**37
        frame = self.spark.range(2**22).selectExpr(*(f"{cell}L as {name}" for name in "abcd"))
        plan = separate(*(Cell(name, 0, cell, ONE, cell, Decimal(1)) for name in "abcd"))
        off = [noisy.value - 2**22 * cell for noisy in engine.measure(Frames(self.spark, frame), None, plan)]
        assert any(x % 256 for x in off)
        assert all(abs(x) < 60 * cell for x in off)

    def test_a_cell_can_have_equal_bounds(self, engine) -> None:
        for bound in (5, -5):
            frame = self.spark.range(100).selectExpr(f"{bound}L as sum")
            plan = separate(Cell("sum", bound, bound, ONE, 5, SURE))
            assert abs(engine.measure(Frames(self.spark, frame), None, plan)[0].value - 100 * bound) <= 3

    def test_an_empty_table_is_answered_with_noise(self, engine) -> None:
        tiny = Decimal("0.000000001")
        plan = separate(count(tiny), Cell("sum", -5, 5, ONE, 5, tiny))
        frame = self.spark.range(0).selectExpr("id as sum", "id as count")
        noisy = engine.measure(Frames(self.spark, frame), None, plan)
        assert 0 not in [n.value for n in noisy]  # by chance with probability 6e-10
        assert all(abs(n.value) < 40 * n.noise.b for n in noisy)

    def test_left_out_rows_and_clamped_numbers_are_counted_at_the_price_of_one(self, engine) -> None:
        bare = plan_for("tumult", Query.SUM, "x", Bounds(0.0, 8.0), SURE)
        plan = with_checks(bare, SURE, SURE, has_lines=True)
        assert plan.epsilon == 2 * SURE
        rows = [(5, CODES[kind]) for times, kind in enumerate(Rows) if kind in CODES for _ in range(times)]
        frame = self.spark.createDataFrame(rows, f"sum bigint, {KIND} int")
        noisy = engine.measure(Frames(self.spark, frame), None, plan)
        assert [n.cell for n in noisy] == list(plan.cells)
        told = {n.cell.rows: n.value for n in noisy}
        assert {kind: told[kind] for kind in CODES} == {kind: list(Rows).index(kind) for kind in CODES}
        assert abs(told[Rows.NUMBERS] - 5 * len(rows)) <= 40 * float(noisy[0].noise.scale)

    def test_their_noise_is_that_of_the_share_that_is_spent_on_them(self, engine) -> None:
        """That all six are as far off by chance as 1,000 rows are has probability 1e-18."""
        plan = with_checks(plan_for("tumult", Query.SUM, "x", Bounds(0.0, 8.0), SURE), SURE, TINY, has_lines=True)
        frame = self.spark.createDataFrame([], f"sum bigint, {KIND} int")
        noisy = engine.measure(Frames(self.spark, frame), None, plan)[1:]
        assert all(float(n.noise.scale) == pytest.approx(10**6) for n in noisy)
        assert max(abs(n.value) for n in noisy) > 1000
        assert len({n.value for n in noisy}) == 6

    def test_rows_are_counted_whatever_they_hold(self, engine) -> None:
        plan = plan_for("tumult", Query.COUNT, None, None, SURE)
        frame = self.spark.range(41).selectExpr("1 as one")
        assert [n.value for n in engine.measure(Frames(self.spark, frame), None, plan)] == [41]

    def test_a_histogram_answers_for_every_bin_and_leaves_no_table(self, engine) -> None:
        counts = self.measured(engine, histogram(7, SURE), [0, 0, 30, 20, 10, 0, 0])
        assert [noisy.value for noisy in counts] == [0, 0, 30, 20, 10, 0, 0]
        assert [d.name for d in self.spark.catalog.listDatabases()] == ["default"]
        assert self.spark.catalog.listTables() == []

    def test_a_mechanism_that_is_not_known_is_refused(self, engine) -> None:
        """Over doubles Tumult would draw other noise than what a release would say.

        What it had written until then is taken away, too: its temporary tables count as raw data.
        """
        frame = self.spark.range(3).selectExpr("cast(id as double) as sum")
        with pytest.raises(AssertionError, match="does not know"):
            engine.measure(Frames(self.spark, frame), None, separate(Cell("sum", 0, 2, ONE, 2, Decimal(1))))
        assert [d.name for d in self.spark.catalog.listDatabases()] == ["default"]

    def test_it_needs_spark(self, engine) -> None:
        with pytest.raises(TypeError, match="needs Spark"):
            engine.measure(Known([0]), None, separate(count(SURE)))


def group_queries(patch: pytest.MonkeyPatch, spark: Any, answers: list[list[int]]) -> None:
    """Make Tumult group its counts and sums by `key`, note all answers, and hand out the first key's alone."""
    from tmlt.analytics import KeySet, QueryBuilder, Session

    keys = KeySet.from_dict({"key": list(range(KEYS))})
    evaluate = Session.evaluate

    def noting(session: Session, *arguments: Any, **named: Any) -> Any:
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
    cell = count(Decimal(1))
    with pytest.raises(AssertionError, match=f"Tumult's result has {rows} rows, not 1$"):
        tumult._evaluate(session, cell, separate(cell))
    with pytest.raises(AssertionError, match=f"Tumult's result has {rows} rows, not 193$"):
        session.evaluate(None, Decimal(1), 193)


@pytest.mark.parametrize("times", [0, 2])
def test_noise_of_another_number_of_measurements_is_not_claimed(times: int) -> None:
    """What a release says of its noise is read from the one measurement that was evaluated: with two, which?"""
    from types import SimpleNamespace

    from dpjobs.engines import tumult

    info = {"noise_mechanism": SimpleNamespace(name="GEOMETRIC"), "noise_parameter": 1}
    fake = SimpleNamespace(_compile_and_get_info=lambda *_: ([info] * times,))

    def evaluate(*_: object) -> SimpleNamespace:
        fake._compile_and_get_info()
        return SimpleNamespace(collect=lambda: [{tumult._NOISY: 7}])

    fake.evaluate = evaluate
    with pytest.raises(AssertionError, match="does not know"):
        tumult._RecordingSession(fake).evaluate(None, Decimal(1), 1)


def test_two_recipes_have_the_same_cell_where_there_is_one() -> None:
    for query in (Query.COUNT, Query.SUM):
        bounds = None if query is Query.COUNT else Bounds(0.0, 9.0)
        separate_, tokens = (plan_for(engine, query, "x", bounds, Epsilon(1)) for engine in ("tumult", "opendp"))
        assert separate_ == replace(tokens, recipe=SEPARATE)
