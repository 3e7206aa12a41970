"""Why three parts of PipelineDP and PyDP are not used: each test shows the defect in the library as it is pinned."""

import statistics

import pipeline_dp
import pytest
from pipeline_dp import dp_computations
from pydp.algorithms import numerical_mechanisms


def test_its_variance_adds_half_the_noise_that_its_epsilon_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds (−10, 10): the squared deviations from the middle reach 100; the noise is made for 50."""
    asked = []
    real = dp_computations._add_random_noise

    def spy(value, eps, delta, l0, linf, kind):
        asked.append((eps, linf))
        return real(value, eps, delta, l0, linf, kind)

    monkeypatch.setattr(dp_computations, "_add_random_noise", spy)
    params = dp_computations.ScalarNoiseParams(
        eps=3, delta=0, min_value=-10, max_value=10, min_sum_per_partition=None, max_sum_per_partition=None,
        max_partitions_contributed=1, max_contributions_per_partition=1, noise_kind=pipeline_dp.NoiseKind.LAPLACE,
    )  # fmt: skip
    dp_computations.compute_dp_var(100, 0.0, 1000.0, params)
    assert len(asked) == 3
    largest_square = 10**2
    assert asked[2][1] < largest_square


def test_its_add_noise_loses_integers_beyond_2_53() -> None:
    """`LaplaceMechanism.add_noise` multiplies by 1.0; PyDP's own, which we call, is exact."""
    theirs = dp_computations.LaplaceMechanism.create_from_epsilon(1.0, 1.0)
    ours = numerical_mechanisms.LaplaceMechanism(1.0, 1.0)
    at = 2**60
    assert {theirs.add_noise(at) - at for _ in range(200)} == {0}  # no noise to be seen at all
    assert statistics.pstdev([ours.add_noise(at) - at for _ in range(200)]) > 0.5


def test_its_noise_would_have_halves_to_round() -> None:
    """Of a scale of 2³⁹ PyDP draws multiples of ½, which it rounds away from 0 for an integer.

    So 0 has the probability of one multiple, and each other integer that of two: a ratio of 2, whatever epsilon is.
    Our mechanism makes its grid 1 (`test_pipelinedp.py`); 60 draws are all whole numbers with probability 2⁻⁶⁰.
    """
    theirs = numerical_mechanisms.LaplaceMechanism(2.0**-39, 1.0)
    doubled = [2 * theirs.add_noise(0.0) for _ in range(60)]
    assert all(x == int(x) for x in doubled)
    assert any(x % 2 for x in doubled)
