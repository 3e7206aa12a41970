"""What every engine must do: a new one subclasses EngineContract, names itself, and passes whole."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial

import pytest
from dpjobs.measurement import COUNT, SUM, SUM_OF_SQUARES, WIDTH, Measurement
from pyspark.sql import DataFrame, Row

from dpjobs.engines import ENGINES, load
from dpjobs.engines.base import Engine
from dpjobs.noise import Noise
from library.engines.sampling import FALSE_ALARM, equal_p, oddities, scale_p, together_p

ONE = Fraction(1)
SURE = Decimal(1000)  # an epsilon at which noise of scale sensitivity/1000 is 0 but for e^-500
TINY = Decimal("0.000000001")  # a count's noise of scale 1e9 is 0 with probability 5e-10
CALLS = 300
BINS = 2000

# A scale of its own for each, so that one's noise cannot pass for another's; below 2⁴⁰, where PyDP knows all integers
SAMPLED = [
    Measurement(COUNT, 1, 1, ONE, TINY),
    Measurement(SUM, -WIDTH, WIDTH, ONE, Decimal("0.00003")),
    Measurement(SUM_OF_SQUARES, -5, 2**20, ONE, Decimal("0.00001")),
]


@dataclass(frozen=True)
class Sample:
    """What a measurement's results were over and above the truth, and the noise that the engine claimed for them."""

    measurement: Measurement
    draws: list[int]
    noise: Noise


def count_of(epsilon: Decimal) -> Measurement:
    return Measurement(COUNT, 1, 1, ONE, epsilon)


class EngineContract:
    name: str

    @pytest.fixture(scope="class")
    def engine(self, spark) -> Engine:
        return load(self.name)

    def sample(self, spark, engine: Engine, asked: Sequence[Measurement]) -> list[Sample]:
        """The results of CALLS calls as a run makes them, on a table of five rows.

        Spark, whose sums are exact, computes only the first's: a job for each would take most of a minute. An engine
        that draws within Spark cannot pass so, and has a `sample` of its own.
        """
        frame = spark.range(1, 6, 1, 1).selectExpr("id as sum", "id * id as sum_of_squares")
        truth = {COUNT: 5, SUM: 15, SUM_OF_SQUARES: 55}
        rows: dict[int, list[Row]] = {}
        collect = DataFrame.collect

        def once(self: DataFrame) -> list[Row]:
            key = self.semanticHash()
            if key not in rows:
                rows[key] = collect(self)
            return rows[key]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DataFrame, "collect", once)
            calls = [engine.measure(frame, asked) for _ in range(CALLS)]
        return [
            Sample(m, [call[i].value - truth[m.name] for call in calls], calls[-1][i].noise)
            for i, m in enumerate(asked)
        ]

    @pytest.fixture(scope="class")
    def sampled(self, spark, engine) -> list[Sample]:
        return self.sample(spark, engine, SAMPLED)

    @pytest.mark.parametrize("kind", range(len(SAMPLED)), ids=[m.name for m in SAMPLED])
    def test_results_have_the_noise_that_is_claimed_and_asked(self, sampled: list[Sample], kind: int) -> None:
        measurement, draws, noise = sampled[kind].measurement, sampled[kind].draws, sampled[kind].noise
        assert len(draws) >= CALLS
        assert isinstance(noise, ENGINES[self.name].noise)
        assert noise.b == pytest.approx(measurement.sensitivity / float(measurement.epsilon), rel=1e-9)
        assert oddities(draws, noise) == {}

    def test_all_results_together_have_the_noise_that_is_claimed(self, sampled: list[Sample]) -> None:
        """The strongest look at a scale that is wrong everywhere: 900 draws notice a quarter less."""
        draws = [x for sample in sampled for x in sample.draws]
        assert scale_p(draws, [s.noise for s in sampled for _ in s.draws]) > FALSE_ALARM

    def test_no_draw_serves_two_measurements(self, sampled: list[Sample]) -> None:
        for one, other in itertools.combinations(sampled, 2):
            assert together_p(one.draws, other.draws) > FALSE_ALARM

    def test_each_bin_of_a_histogram_has_the_noise_that_is_claimed_and_asked(self, spark, engine) -> None:
        """The call that finds bounds, with more bins; one row in each of the first half, none in the second."""
        asked = count_of(TINY)
        frame = spark.range(0, BINS // 2, 1, 1).selectExpr("id as bin")
        counts, noise = engine.histogram(frame, "bin", range(BINS), asked)
        assert isinstance(noise, ENGINES[self.name].noise)
        assert noise.b == pytest.approx(10**9, rel=1e-9)
        full, empty = [count - 1 for count in counts[: BINS // 2]], counts[BINS // 2 :]
        assert oddities(full, noise) == {}
        assert oddities(empty, noise) == {}
        assert equal_p(counts, noise) > FALSE_ALARM
        assert together_p(full, empty) > FALSE_ALARM

    def test_noise_is_added_to_an_integer(self, spark, engine) -> None:
        """Beyond 2⁶⁰ doubles are 256 apart: noise that went through one would leave only such numbers.

        By chance all four are such with probability 2⁻³². Nor does so large a sum overflow.
        """
        cell = 3 * 2**37
        frame = spark.range(2**22).selectExpr(*(f"{cell}L as {name}" for name in "abcd"))
        asked = [Measurement(name, 0, cell, ONE, Decimal(1)) for name in "abcd"]
        off = [noisy.value - 2**22 * cell for noisy in engine.measure(frame, asked)]
        assert any(x % 256 for x in off)
        assert all(abs(x) < 60 * cell for x in off)

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
        noisy = engine.measure(frame, [count_of(TINY), Measurement(SUM, -5, 5, ONE, TINY)])
        assert 0 not in [n.value for n in noisy]  # by chance with probability 6e-10
        assert all(abs(n.value) < 40 * n.noise.b for n in noisy)

    def test_a_histogram_answers_for_every_bin(self, spark, engine) -> None:
        frame = spark.range(90).selectExpr("id % 3 - 1 as bin")
        counts, noise = engine.histogram(frame, "bin", range(-5, 6), count_of(SURE))
        assert counts == [0, 0, 0, 0, 30, 30, 30, 0, 0, 0, 0]
        assert noise.b == pytest.approx(0.001)

    def test_every_measure_draws_anew(self, spark, engine) -> None:
        draw = partial(engine.measure, spark.range(1).selectExpr("0L as sum"), SAMPLED[1:2])
        assert len({draw()[0].value for _ in range(2)}) == 2  # scale 2^39: equal with p < 1e-12

    def test_no_temporary_table_is_left(self, spark, engine) -> None:
        engine.measure(spark.range(3).selectExpr("id as sum"), [count_of(SURE)])
        assert [d.name for d in spark.catalog.listDatabases()] == ["default"]
        assert spark.catalog.listTables() == []
