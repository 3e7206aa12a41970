"""What every engine must do: a new one subclasses EngineContract, names itself, and passes whole.

All is asked of the call that a run makes, `engine.measure(backend, table, plan)`, with the plans that the statistics
make, and a backend that returns totals which are known.
"""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest

from dpjobs.answers import plan_for
from dpjobs.backends.base import Backend
from dpjobs.engines import ENGINES, load
from dpjobs.engines.base import Engine, Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.formula import K
from dpjobs.left_out import with_checks
from dpjobs.noise import Noise
from dpjobs.plan import ANSWER, CHECK, LARGEST_SCALE, SEPARATE, TOKENS, WIDTH, Cell, Plan, Rows
from dpjobs.query import Bounds, Query
from library.engines.sampling import FALSE_ALARM, equal_p, oddities, scale_p, together_p

ONE = Fraction(1)
SURE = Epsilon(1000)  # an epsilon at which noise of scale 1/1000 is 0 but for e^-1000
TINY = Epsilon("0.000001")
CALLS = 400
BINS = 2000
LARGEST_TOTAL = 2**62

# An epsilon of its own for each, so that the noise of one cannot pass for another's; every scale is 10⁴ or more
ASKED = {
    Query.COUNT: "0.000001",
    Query.SUM: "0.00003",
    Query.MEAN: "0.0001",
    Query.VARIANCE: "0.0002",
}
CHECKED = {Query.COUNT: "0", Query.SUM: "0.000002", Query.MEAN: "0.000004", Query.VARIANCE: "0.000007"}
"""What is spent beside it on what is clamped."""


class Known(Backend):
    """Returns totals that are known, and notes that it was asked."""

    name = "known"
    version = "0"

    def __init__(self, totals: Sequence[int]) -> None:
        self.known = totals
        self.asked = 0

    def _totals(self, table: object, plan: Plan) -> Sequence[int]:
        self.asked += 1
        return self.known

    def files(self, uri: str) -> None:
        raise NotImplementedError

    def check(self, table: object, column: str | None) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Sample:
    """What a cell's results were over and above the truth, and the noise that the engine claimed for them."""

    cell: Cell
    draws: list[int]
    noise: Noise


def one_cell(sensitivity: int, epsilon: Decimal) -> Plan:
    """The plan of a sum with bounds of so many steps."""
    return Plan(Query.SUM, "x", TOKENS, (Cell("sum", -sensitivity, sensitivity, ONE, sensitivity, epsilon, K),))


def histogram(bins: int, epsilon: Decimal) -> Plan:
    """The plan of the call that finds bounds, with another number of bins."""
    return Plan(None, "x", TOKENS, tuple(Cell(f"bin {b}", 0, 1, ONE, 1, epsilon, bin=b) for b in range(bins)))


class EngineContract:
    name: str

    @pytest.fixture(scope="class")
    def engine(self) -> Engine:
        return load(self.name)

    def plan(self, query: Query) -> Plan:
        plan = plan_for(self.name, query, "x", Bounds(-100.0, 900.0), Epsilon(ASKED[query]))
        if plan.recipe == SEPARATE:
            return plan  # what its Session tells of left-out rows it counts as it counts the bins of a histogram
        return with_checks(plan, plan.epsilon, Epsilon(CHECKED[query]), has_lines=True)

    def sample(self, engine: Engine, plan: Plan) -> list[Sample]:
        """The results of CALLS calls for the plan of a statistic; for an engine that draws within Spark its own."""
        totals = [7 * cell.sensitivity if i == 0 else 0 for i, cell in enumerate(plan.live)]
        totals = [7 if cell.rows is Rows.WITHIN else t for t, cell in zip(totals, plan.live, strict=True)]
        calls = [engine.measure(Known(totals), None, plan) for _ in range(CALLS)]
        return samples(calls, totals)

    def measured(self, engine: Engine, plan: Plan, totals: Sequence[int]) -> list[Noisy]:
        return engine.measure(Known(totals), None, plan)

    @pytest.fixture(scope="class")
    def sampled(self, engine) -> dict[Query, list[Sample]]:
        return {query: self.sample(engine, self.plan(query)) for query in ASKED}

    @pytest.mark.parametrize("query", ASKED, ids=[query.value for query in ASKED])
    def test_each_cell_has_the_noise_that_is_claimed_and_asked(self, sampled, query: Query) -> None:
        assert [sample.cell for sample in sampled[query]] == list(self.plan(query).live)
        for cell, draws, noise in ((s.cell, s.draws, s.noise) for s in sampled[query]):
            assert len(draws) >= CALLS
            assert type(noise) is ENGINES[self.name].noise
            assert noise.b == pytest.approx(float(cell.scale), rel=1e-9)
            assert oddities(draws, noise) == {}

    def test_what_a_plan_costs_is_epsilon(self) -> None:
        """The cells of a vector have all of it, at the sensitivity of all; separate ones have shares."""
        for query, epsilon in ASKED.items():
            plan = self.plan(query)
            assert plan.recipe == ENGINES[self.name].recipe or len(plan.live) == 1
            if plan.recipe == SEPARATE:
                assert Decimal(epsilon) - Decimal("0.00000001") <= plan.epsilon <= Decimal(epsilon)
                assert sum(cell.epsilon for cell in plan.live) == plan.epsilon
            else:
                assert plan.epsilon == Decimal(epsilon) + Decimal(CHECKED[query])
                spent = {cell.vector: cell.epsilon for cell in plan.live}
                assert spent == {ANSWER: Decimal(epsilon)} | ({} if plan.counts else {CHECK: Decimal(CHECKED[query])})

    def test_all_results_together_have_the_noise_that_is_claimed(self, sampled) -> None:
        """The strongest look at a scale that is wrong everywhere: 2,800 draws notice an eighth less."""
        all_ = [sample for samples in sampled.values() for sample in samples]
        draws = [x for sample in all_ for x in sample.draws]
        assert scale_p(draws, [s.noise for s in all_ for _ in s.draws]) > FALSE_ALARM

    def test_no_draw_serves_two_cells(self, sampled) -> None:
        """Two cells that share a draw tell their difference exactly, and two that mirror it their sum: the rows."""
        for query in (Query.MEAN, Query.VARIANCE):
            assert len(sampled[query]) > 1
            for one, other in itertools.combinations(sampled[query], 2):
                assert together_p(one.draws, other.draws) > FALSE_ALARM

    def test_each_bin_of_a_histogram_has_the_noise_that_is_claimed_and_asked(self, engine) -> None:
        """One row in each of the first half, none in the second."""
        plan = histogram(BINS, TINY)
        noisy = self.measured(engine, plan, [1] * (BINS // 2) + [0] * (BINS // 2))
        [noise] = {n.noise for n in noisy}
        assert type(noise) is ENGINES[self.name].noise
        assert noise.b == pytest.approx(10**6, rel=1e-9)
        counts = [n.value for n in noisy]
        full, empty = [count - 1 for count in counts[: BINS // 2]], counts[BINS // 2 :]
        assert oddities(full, noise) == {}
        assert oddities(empty, noise) == {}
        assert equal_p(counts, noise) > FALSE_ALARM
        assert together_p(full, empty) > FALSE_ALARM

    def test_every_measure_draws_anew(self, engine) -> None:
        plan = one_cell(WIDTH, TINY)  # scale 2^44: equal by chance with p < 1e-12
        assert len({self.measured(engine, plan, [0])[0].value for _ in range(2)}) == 2

    def test_a_constant_is_not_drawn(self, engine) -> None:
        plan = plan_for(self.name, Query.SUM, "x", Bounds(0.0, 0.0), SURE)
        assert [(n.value, n.noise) for n in engine.measure(Known([]), None, plan)] == [(0, None)]
        mean = plan_for(self.name, Query.MEAN, "x", Bounds(5.0, 5.0), Epsilon(1))
        assert mean.cells
        if not mean.live:
            assert {n.noise for n in engine.measure(Known([]), None, mean)} == {None}

    def test_the_version_is_that_of_what_draws(self, engine) -> None:
        assert any(character.isdigit() for character in engine.version)
        assert engine.name == self.name


class NoiseContract(EngineContract):
    """Of engines that add noise to totals which a backend has counted.

    `without` are libraries that a command with this engine must not have to wait for.
    """

    without: tuple[str, ...] = ("pyspark", "pandas")

    @pytest.mark.parametrize("total", [LARGEST_TOTAL, LARGEST_TOTAL - 1, -LARGEST_TOTAL, 2**53 + 1, -(2**53) - 1])
    def test_a_total_is_exact_but_for_the_noise(self, engine, total: int) -> None:
        [noisy] = self.measured(engine, one_cell(1, SURE), [total])
        assert noisy.value == total

    def test_noise_is_added_to_an_integer(self, engine) -> None:
        """Beyond 2⁶⁰ doubles are 256 apart: noise that went through one would leave only such numbers.

        By chance all are such with probability 2⁻³²⁰.
        """
        for scale in (2**30, LARGEST_SCALE, 2**44):
            for total in (LARGEST_TOTAL, -LARGEST_TOTAL):
                plan = one_cell(scale // 2**30, Decimal(1) / 2**30)
                off = [self.measured(engine, plan, [total])[0].value - total for _ in range(40)]
                assert any(x % 256 for x in off) or scale > LARGEST_SCALE
                assert all(abs(x) < 60 * scale for x in off)
                assert len(set(off)) > 35

    @pytest.mark.parametrize("sensitivity", [1, 3, WIDTH])
    @pytest.mark.parametrize("epsilon", ["0.000001", "0.1", "0.300000001", "1000"])
    def test_all_epsilons_and_sensitivities_that_can_be_asked_fit(
        self, engine, sensitivity: int, epsilon: str
    ) -> None:
        plan = one_cell(sensitivity, Decimal(epsilon))
        engine.check(plan)
        [noisy] = self.measured(engine, plan, [0])
        assert abs(noisy.value) <= 60 * max(noisy.noise.b, 1)
        assert noisy.noise.scale >= plan.cells[0].scale or self.name == "pipelinedp"  # whose scale is a double

    @pytest.mark.parametrize("bounds", [(0.0, 1e-300), (-1e30, 1e30), (0.0, 1.0), (-7.0, 1e9)])
    @pytest.mark.parametrize("epsilon", ["0.000001", "0.1", "1000"])
    def test_every_vector_that_can_be_asked_fits(self, engine, bounds: tuple[float, float], epsilon: str) -> None:
        """Beyond a scale of 2⁴⁰ some engine would have to refuse it: `plan.tokens_grid` makes coarser steps."""
        for query in (Query.MEAN, Query.VARIANCE):
            plan = plan_for(self.name, query, "x", Bounds(*bounds), Epsilon(epsilon))
            assert all(cell.scale <= LARGEST_SCALE for cell in plan.live)
            engine.check(plan)

    def test_what_does_not_fit_is_refused_in_one_line_before_anything_is_counted(self, engine) -> None:
        plan = one_cell(WIDTH * 10**4, TINY)
        backend = Known([0])
        for ask in (lambda: engine.check(plan), lambda: engine.measure(backend, None, plan)):
            with pytest.raises(
                InputError, match=r"^too much noise for .*scale of 1.678e\+17.*allowed: at most"
            ) as told:
                ask()
            assert "\n" not in str(told.value)
        assert backend.asked == 0

    def test_a_process_that_is_forked_later_draws_nothing_and_no_library_is_loaded_in_vain(self) -> None:
        """A generator holds numbers that it has drawn ahead: two processes would draw the same noise."""
        done = subprocess.run([sys.executable, "-c", FORK, self.name], capture_output=True, text=True, check=True)
        loaded, *told = done.stdout.splitlines()
        assert told == ["parent", "RuntimeError", "RuntimeError"], done.stderr
        assert not set(self.without) & set(loaded.split())


FORK = """
import os, sys
from decimal import Decimal
from dpjobs.engines import load
load(sys.argv[1])
loaded = list(sys.modules)
sys.path.insert(0, "tests")
from library.engines.contract import Known, one_cell

engine = load(sys.argv[1])
engine.measure(Known([0]), None, one_cell(1, Decimal(1)))
print(*loaded)
print("parent", flush=True)
if os.fork() == 0:
    for ask in (lambda: engine.measure(Known([0]), None, one_cell(1, Decimal(1))), lambda: load(sys.argv[1])):
        try:
            ask()
        except RuntimeError as error:
            print(type(error).__name__, flush=True)
    os._exit(0)
os.wait()
"""


def samples(calls: Sequence[Sequence[Noisy]], totals: Sequence[int]) -> list[Sample]:
    """One sample a cell, of calls for the same plan."""
    return [
        Sample(cells[0].cell, [noisy.value - total for noisy in cells], cells[-1].noise)
        for cells, total in zip(zip(*calls, strict=True), totals, strict=True)
    ]
