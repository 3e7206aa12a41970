"""The contract's statistics can fail: the noise of a real mechanism, damaged in the ways that would hurt."""

import itertools
from decimal import Decimal
from random import Random

import pytest

from dpjobs.engines.pipelinedp import PyDPLaplace
from library.engines.contract import CALLS
from library.engines.sampling import FALSE_ALARM, oddities, scale_p, together_p

DAMAGES = {
    "none": (lambda draws: [0 for _ in draws], "scale"),
    "all the same": (lambda draws: [draws[0] for _ in draws], "equal"),
    "always up": (lambda draws: [abs(x) for x in draws], "signs"),
    "half": (lambda draws: [x // 2 for x in draws], "scale"),
    "double": (lambda draws: [2 * x for x in draws], "scale"),
    "each twice": (lambda draws: [x for x in draws[::2] for _ in range(2)], "one after the other"),
    "turned about": (lambda draws: [y for x in draws[::2] for y in (x, -x)], "one after the other"),
}


@pytest.fixture(scope="module")
def mechanism() -> PyDPLaplace:
    return PyDPLaplace(1, Decimal("0.000000001"))


def test_draws_as_they_should_be_are_not_odd(mechanism: PyDPLaplace) -> None:
    for count in (CALLS, 10 * CALLS):
        assert oddities([mechanism.draw(0) for _ in range(count)], mechanism.noise) == {}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_noise_is_noticed(name: str, mechanism: PyDPLaplace) -> None:
    damage, by = DAMAGES[name]
    draws = damage([mechanism.draw(0) for _ in range(CALLS)])
    assert by in oddities(draws, mechanism.noise)


def test_a_uniform_of_the_right_mean_is_noticed_by_its_shape(mechanism: PyDPLaplace) -> None:
    count = 2 * CALLS
    even = [int(mechanism.noise.b * 2 * (i + 0.5) / count) * (-1) ** i for i in range(count)]
    Random(1).shuffle(even)
    assert list(oddities(even, mechanism.noise)) == ["shape"]


def test_noise_that_serves_two_measurements_is_noticed(mechanism: PyDPLaplace) -> None:
    one, other, larger = ([mechanism.draw(0) for _ in range(CALLS)] for _ in range(3))
    assert together_p(one, [7 * x for x in one]) < FALSE_ALARM
    assert together_p(one, [-x for x in one]) < FALSE_ALARM
    assert min(itertools.starmap(together_p, itertools.combinations((one, other, larger), 2))) > FALSE_ALARM


def test_half_the_noise_on_everything_is_noticed_by_all_of_it(mechanism: PyDPLaplace) -> None:
    draws = [mechanism.draw(0) // 2 for _ in range(3 * CALLS)]
    assert scale_p(draws, [mechanism.noise] * len(draws)) < FALSE_ALARM
