"""Do draws come from the noise that an engine claims? Exact tests, for samples of some hundred draws and more.

Every p-value here is the probability of something at least as odd under the claimed distribution, never too small:
the scale by the sum of |N|/b, which is Gamma(n) distributed where b is large; the shape by Kolmogorov and Smirnov's
statistic of |N|, which is conservative for discrete noise; the signs by the binomial distribution.

FALSE_ALARM is that of one test. The contract makes about 70 of them an engine: with five engines a run of all tests
has a false alarm with probability 350 · 1e-9 < 1e-6. 400 draws miss half the noise with probability below 1e-9, and
never no noise at all, or a draw that serves twice.
"""

from collections import Counter
from collections.abc import Sequence

from scipy.stats import binomtest, gamma, kstwo, poisson

from dpjobs.noise import Noise

FALSE_ALARM = 1e-9
CONTINUOUS = 10**4
"""The least scale at which the sum of |N|/b is Gamma distributed, to a relative 1e-8."""


def scale_p(draws: Sequence[int], noises: Sequence[Noise]) -> float:
    """Two-sided, for the scales of all draws together; each is measured in its own noise's scale."""
    assert all(noise.b >= CONTINUOUS for noise in noises)
    total = sum(abs(x) / noise.b for x, noise in zip(draws, noises, strict=True))
    return float(2 * min(gamma.cdf(total, len(draws)), gamma.sf(total, len(draws))))


def shape_p(draws: Sequence[int], noise: Noise) -> float:
    """For the distribution of the magnitudes."""
    n = len(draws)
    sizes = Counter(map(abs, draws))
    seen, largest = 0, 0.0
    for size in sorted(sizes):
        below, before = 1 - noise.tail(size), seen / n
        seen += sizes[size]
        largest = max(largest, below - before, seen / n - (1 - noise.tail(size + 1)))
    return float(kstwo.sf(largest, n))


def sign_p(draws: Sequence[int]) -> float:
    """For as many positive draws as negative ones."""
    signs = [x > 0 for x in draws if x]
    return float(binomtest(sum(signs), len(signs)).pvalue) if signs else 0.0


def together_p(one: Sequence[int], other: Sequence[int]) -> float:
    """For independent signs: draws that serve twice agree, or disagree, all the time."""
    return sign_p([x * y for x, y in zip(one, other, strict=True)])


def equal_p(draws: Sequence[int], noise: Noise) -> float:
    """For as few equal draws as the scale allows: P(N = M) is below 1/(4b) + 1/(4b²) for two of the same noise."""
    equal = sum(times - 1 for times in Counter(draws).values())
    pairs = len(draws) * (len(draws) - 1) / 2
    return float(poisson.sf(equal - 1, pairs * (1 / (4 * noise.b) + 1 / (4 * noise.b**2)))) if equal else 1.0


def oddities(draws: Sequence[int], noise: Noise) -> dict[str, float]:
    """The tests that these draws of one noise fail, with their p-values; empty for draws as they should be."""
    found = {
        "scale": scale_p(draws, [noise] * len(draws)),
        "shape": shape_p(draws, noise),
        "signs": sign_p(draws),
        "one after the other": together_p(draws[::2], draws[1::2]),
        "equal": equal_p(draws, noise),
    }
    return {name: p for name, p in found.items() if p < FALSE_ALARM}
