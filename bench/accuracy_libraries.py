"""What the libraries' own functions answer, with their own noise; and that what is imitated here is what they do.

Tumult Analytics' `average` and `variance` run row by row in Spark for seconds, so their arithmetic (Tumult Core's
create_average_measurement and create_variance_measurement) is done here on totals, with draws of its own noise;
`checked` holds that against real queries of a Session. The others are the libraries' own calls.
"""

import warnings
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpjobs.query import Query

Values = NDArray[np.float64]
Way = Callable[[Values], Values]
KNOWS_ROWS = "(knows n)"


def ways(query: Query, epsilon: float, upper: int, draws: int) -> dict[str, Way]:
    """Every library's own way to the statistic; each is given a table and returns `draws` answers or fewer."""
    mean = query is Query.MEAN
    return {
        "Tumult": tumult_mean(epsilon, upper, draws) if mean else tumult_variance(epsilon, upper, draws),
        "PipelineDP": (pipelinedp_mean if mean else pipelinedp_variance)(epsilon, upper, draws // 5),
        "OpenDP, count and sums": opendp(query, epsilon, upper, draws // 4),
        f"OpenDP {KNOWS_ROWS}": opendp_knowing(query, epsilon, upper, draws // 4),
        f"DiffPrivLib {KNOWS_ROWS}": diffprivlib(query, epsilon, upper, draws // 10),
    }


def geometric(scale: Fraction, draws: int) -> Values:
    """Tumult Core's noise on integers."""
    from tmlt.core.measurements.noise_mechanisms import AddGeometricNoise
    from tmlt.core.utils.exact_number import ExactNumber

    add = AddGeometricNoise(ExactNumber(scale))
    return np.array([float(int(add(0))) for _ in range(draws)])


def tumult_mean(epsilon: float, upper: int, draws: int) -> Way:
    """Sum about the middle and count, a half of epsilon each; never cut."""
    half = Fraction(str(epsilon)) / 2
    count, total = geometric(1 / half, draws), geometric(Fraction(upper // 2) / half, draws)

    def answer(values: Values) -> Values:
        return (float((values - upper // 2).sum()) + total) / np.maximum(1, len(values) + count) + upper // 2

    return answer


def tumult_variance(epsilon: float, upper: int, draws: int) -> Way:
    """Sum about the middle, sum of squares about theirs, count: a third each; no number for a count of at most 1."""
    third = Fraction(str(epsilon)) / 3
    count, total = geometric(1 / third, draws), geometric(Fraction(upper // 2) / third, draws)
    square = geometric(Fraction(upper**2 // 2) / third, draws)

    def answer(values: Values) -> Values:
        n = len(values) + count
        given = n > 1
        n = np.where(given, n, 2)
        first = float((values - upper // 2).sum()) + total
        second = float((values**2 - upper**2 // 2).sum()) + square
        found = second / (n - 1) + upper**2 // 2 * n / (n - 1) - (first / n + upper // 2) ** 2 * n / (n - 1)
        return np.where(given, found, 0.0)  # what is no number counts as 0

    return answer


def pipelinedp_mean(epsilon: float, upper: int, draws: int) -> Way:
    """MeanMechanism, as DPEngine's MeanCombiner makes it: a half of epsilon each for the count and the sum."""
    from pipeline_dp import dp_computations as dp

    make = dp.LaplaceMechanism.create_from_epsilon
    mechanism = dp.MeanMechanism(upper / 2, make(epsilon / 2, 1), make(epsilon / 2, upper / 2))

    def answer(values: Values) -> Values:
        total = float((values - upper / 2).sum())
        return np.array([mechanism.compute_mean(len(values), total)[2] for _ in range(draws)])

    return answer


def pipelinedp_variance(epsilon: float, upper: int, draws: int) -> Way:
    """compute_dp_var; for bounds from 0 its noise is enough, for others not (tests/evidence/test_why_not.py)."""
    import pipeline_dp
    from pipeline_dp import dp_computations as dp

    params = dp.ScalarNoiseParams(
        eps=epsilon, delta=0, min_value=0, max_value=upper, min_sum_per_partition=None, max_sum_per_partition=None,
        max_partitions_contributed=1, max_contributions_per_partition=1, noise_kind=pipeline_dp.NoiseKind.LAPLACE,
    )  # fmt: skip

    def answer(values: Values) -> Values:
        about = values - upper / 2
        first, second = float(about.sum()), float((about**2).sum())
        return np.array([dp.compute_dp_var(len(values), first, second, params)[3] for _ in range(draws)])

    return answer


@cache
def _opendp_laplace(scale: float, draws: int, kind: str) -> Values:
    from opendp.domains import atom_domain
    from opendp.measurements import make_laplace
    from opendp.metrics import absolute_distance
    from opendp.mod import enable_features

    enable_features("contrib")
    domain = atom_domain(T=kind) if kind == "i64" else atom_domain(T=kind, nan=False)
    noise = make_laplace(domain, absolute_distance(T=kind), scale=scale)
    zero = 0 if kind == "i64" else 0.0
    return np.array([float(noise(zero)) for _ in range(draws)])


def opendp(query: Query, epsilon: float, upper: int, draws: int) -> Way:
    """There is no function of it where the rows are not known: its count and bounded sums, with even shares."""
    powers = (0, 1) if query is Query.MEAN else (0, 1, 2)
    parts = [_opendp_laplace(len(powers) * upper**power / epsilon, draws, "i64") for power in powers]

    def answer(values: Values) -> Values:
        n, first, *second = (float((values**p).sum()) + noise for p, noise in zip(powers, parts, strict=True))
        n = np.maximum(n, 1)
        return first / n if not second else second[0] / n - (first / n) ** 2

    return answer


def opendp_knowing(query: Query, epsilon: float, upper: int, draws: int) -> Way:
    """make_mean and make_variance, where the number of rows is public: noise on it, for one changed row."""
    unit = _opendp_laplace(1.0, draws, "f64")

    def answer(values: Values) -> Values:
        n = len(values)
        if query is Query.MEAN:
            return float(values.mean()) + unit * upper / n / epsilon
        return float(values.var()) + unit * upper**2 * (n - 1) / n**2 / epsilon

    return answer


def diffprivlib(query: Query, epsilon: float, upper: int, draws: int) -> Way:
    """The mechanisms of tools.mean and tools.var, which take the number of rows to be public."""
    from diffprivlib.mechanisms import LaplaceBoundedDomain, LaplaceTruncated

    def answer(values: Values) -> Values:
        n = len(values)
        if query is Query.MEAN:
            exact = float(values.mean())
            mechanism = LaplaceTruncated(epsilon=epsilon, delta=0, sensitivity=upper / n, lower=0, upper=upper)
        else:
            exact = float(values.var())
            most = (upper / n) ** 2 * (n - 1)
            mechanism = LaplaceBoundedDomain(epsilon=epsilon, delta=0, sensitivity=most, lower=0, upper=upper**2 / 4)
        return np.array([mechanism.randomise(exact) for _ in range(draws)])

    return answer


class Check(NamedTuple):
    """A library really run, beside what is imitated: the errors' root mean squares, and how many runs there were."""

    what: str
    runs: int
    really: float
    imitated: float


def checked(runs: int = 20, rows: int = 1000, upper: int = 10_000, epsilon: float = 1.0) -> list[Check]:
    """Run Tumult's own `average` and `variance`, and DiffPrivLib's whole functions, on a small table.

    Raises AssertionError where one errs by twice or half of what is imitated: by chance that is rarer than 1e-4.
    """
    from tmlt.analytics import AddOneRow, PureDPBudget, QueryBuilder, Session

    from dpcloud.java import use_java
    from dpjobs.backends.spark.session import apply_settings, local_session

    values = np.rint(np.random.default_rng(5).uniform(0, upper, rows))
    warnings.filterwarnings("ignore")
    found = []

    def add(what: str, query: Query, way: Way, answers: list[float]) -> None:
        truth = float(values.mean()) if query is Query.MEAN else float(values.var())
        really, imitated = (float(np.sqrt(np.mean((np.array(a) - truth) ** 2))) for a in (answers, way(values)))
        if not 0.5 < really / imitated < 2:
            raise AssertionError(f"{what}: errs by {really}, imitated by {imitated}")
        found.append(Check(what, len(answers), really, imitated))

    use_java()
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="dpcloud-bench-") as folder, local_session(Path(folder)) as spark:
        apply_settings(spark)
        frame = spark.createDataFrame([(int(x),) for x in values.tolist()], "x bigint")
        budget = PureDPBudget(epsilon * runs * 2)
        session = Session.from_dataframe(budget, "t", frame, protected_change=AddOneRow())
        for query, ask, way in (
            (Query.MEAN, QueryBuilder("t").average("x", 0, upper, name="y"), tumult_mean),
            (Query.VARIANCE, QueryBuilder("t").variance("x", 0, upper, name="y"), tumult_variance),
        ):
            answers = [float(session.evaluate(ask, PureDPBudget(epsilon)).collect()[0]["y"]) for _ in range(runs)]
            add(f"Tumult's {query.value.lower()}", query, way(epsilon, upper, 5000), answers)
    from diffprivlib import tools

    for query, own in ((Query.MEAN, tools.mean), (Query.VARIANCE, tools.var)):
        answers = [float(own(values, epsilon=epsilon, bounds=(0, upper))) for _ in range(runs * 10)]
        add(f"DiffPrivLib's {query.value.lower()}", query, diffprivlib(query, epsilon, upper, 2000), answers)
    return found
