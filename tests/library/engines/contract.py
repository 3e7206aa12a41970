"""What every engine must do: a new one subclasses EngineContract, names itself, and passes whole."""

from decimal import Decimal
from fractions import Fraction

import pytest
from pyspark.sql import functions as F

from dpjobs.engines import ENGINES, load
from dpjobs.engines.base import Engine
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, WIDTH, Measurement, plan
from dpjobs.query import Bounds, Query

ONE = Fraction(1)
SURE = Decimal(1000)  # an epsilon at which noise of scale sensitivity/1000 is 0 but for e^-500


def count_of(epsilon: Decimal) -> Measurement:
    return Measurement(COUNT, 1, 1, ONE, epsilon)


class EngineContract:
    name: str

    @pytest.fixture(scope="class")
    def engine(self, spark) -> Engine:
        return load(self.name)

    def test_counts_and_sums_are_exact_but_for_the_noise(self, spark, engine) -> None:
        frame = spark.range(-50, 151).selectExpr("id as sum", "id * id as sum_of_squares")
        asked = [
            count_of(SURE),
            Measurement(SUM, -50, 150, ONE, SURE),
            Measurement(SUM_OF_SQUARES, 0, 22500, ONE, SURE),
        ]
        count, total, squares = engine.measure(frame, asked)
        assert [n.measurement for n in (count, total, squares)] == asked
        assert count.value == 201
        assert abs(total.value - sum(range(-50, 151))) <= 40  # scale 0.15
        assert abs(squares.value - sum(i * i for i in range(-50, 151))) <= 6000  # scale 22.5

    def test_the_noise_has_the_scale_that_the_share_of_epsilon_asks_for(self, spark, engine) -> None:
        asked = plan(Query.VARIANCE, Bounds(0, 20000), Decimal("0.3")).measurements
        frame = spark.range(10).selectExpr("id as sum", "id as sum_of_squares")
        for noisy in engine.measure(frame, asked):
            assert isinstance(noisy.noise, ENGINES[self.name].noise)
            assert noisy.noise.b == pytest.approx(noisy.measurement.sensitivity / 0.1, rel=1e-9)

    def test_a_measurement_can_be_constant_or_have_equal_bounds(self, spark, engine) -> None:
        frame = spark.range(100).selectExpr("5L as sum")
        for bound in (5, -5):
            moved = frame.selectExpr(f"{bound}L as sum")
            noisy = engine.measure(moved, [Measurement(SUM, bound, bound, ONE, SURE)])[0]
            assert abs(noisy.value - 100 * bound) <= 3
        constant = engine.measure(frame, [Measurement(SUM, 0, 0, ONE, Decimal(0)), count_of(SURE)])
        assert (constant[0].value, constant[0].noise) == (0, None)
        assert constant[1].value == 100

    def test_an_empty_table_is_answered_with_noise(self, spark, engine) -> None:
        frame = spark.range(0).selectExpr("id as sum")
        noisy = engine.measure(frame, [count_of(SURE), Measurement(SUM, -5, 5, ONE, SURE)])
        assert [n.value for n in noisy] == [0, 0]

    def test_a_million_rows_at_the_largest_integer_do_not_overflow(self, spark, engine) -> None:
        frame = spark.range(1_000_000).select(F.lit(WIDTH).cast("bigint").alias(SUM))
        noisy = engine.measure(frame, [Measurement(SUM, -WIDTH, WIDTH, ONE, SURE)])[0]
        assert abs(noisy.value - 10**6 * WIDTH) < 60 * WIDTH / 1000

    def test_a_histogram_answers_for_every_bin(self, spark, engine) -> None:
        frame = spark.range(90).selectExpr("id % 3 - 1 as bin")
        counts, noise = engine.histogram(frame, "bin", range(-5, 6), count_of(SURE))
        assert counts == [0, 0, 0, 0, 30, 30, 30, 0, 0, 0, 0]
        assert noise.b == pytest.approx(0.001)

    def test_empty_bins_are_noised_too(self, spark, engine) -> None:
        counts, _ = engine.histogram(
            spark.range(0).selectExpr("id as bin"), "bin", range(400), count_of(Decimal("0.05"))
        )
        assert len(set(counts)) > 20  # 400 draws of scale 20: fewer than 20 distinct values has p < 1e-60

    def test_every_measure_draws_anew(self, spark, engine) -> None:
        asked = [Measurement(SUM, -WIDTH, WIDTH, ONE, Decimal("0.001"))]
        frame = spark.range(1).selectExpr("0L as sum")
        drawn = [engine.measure(frame, asked)[0].value for _ in range(3)]
        assert len(set(drawn)) == 3  # scale 2^34: two equal draws have p < 1e-9

    def test_no_temporary_table_is_left(self, spark, engine) -> None:
        engine.measure(spark.range(3).selectExpr("id as sum"), [count_of(SURE)])
        assert [d.name for d in spark.catalog.listDatabases()] == ["default"]
        assert spark.catalog.listTables() == []
