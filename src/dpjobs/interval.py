"""Quantiles of weighted sums of the engines' noise, from which every interval is built.

For independent Laplace variables of different scales b_i, P(|ΣL_i| > t) = Σ w_i·exp(−t/b_i) with
w_i = Π_{j≠i} b_i² / (b_i² − b_j²) (partial fractions of the characteristic function Π 1/(1 + b_i²s²)).
The engines' noise is discrete: |N| <= |L| + excess under a common draw, so a sum of discrete terms is covered
by the Laplace sum's quantile plus Σ weight·excess. Where noise is so small that this is wide, its own exact
quantile at a part of the error probability serves instead; the narrower of the two holds, too.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from dpjobs.noise import Noise

_SPREAD = 1.001  # scales nearer to each other than this are spread apart, upwards, to keep w_i small
_COARSE = 4.0  # below this scale a term's own quantile may be the narrower bound
_PARTS = (0.25, 0.05)
_ROUNDS = 100


class Term(NamedTuple):
    """One noise and the weight (>= 0) with which a single integer of it enters the sum."""

    weight: float
    noise: Noise


def quantile(terms: Sequence[Term], alpha: float) -> float:
    """Return a t with P(|Σ weight·N| > t) <= alpha, the N independent."""
    terms = [term for term in terms if term.weight > 0]
    if not terms:
        return 0.0
    best = _quantile(terms, alpha)
    for i, (weight, noise) in enumerate(terms):
        if len(terms) > 1 and noise.b < _COARSE:
            rest = terms[:i] + terms[i + 1 :]
            for part in _PARTS:
                own = weight * noise.quantile(1.0 - alpha * part)
                best = min(best, own + _quantile(rest, alpha * (1.0 - part)))
    return best


def _quantile(terms: Sequence[Term], alpha: float) -> float:
    if len(terms) == 1:
        return terms[0].weight * terms[0].noise.quantile(1.0 - alpha)
    # Only the coarsest lattice may use `excess`, which needs the rest to be symmetric and unimodal; the rest,
    # taken as continuous, are off by one of their own integers at most.
    coarsest = max(terms, key=lambda term: term.weight)
    slack = coarsest.weight * coarsest.noise.excess + sum(t.weight for t in terms if t is not coarsest)
    return slack + laplace_quantile([term.weight * term.noise.b for term in terms], alpha)


def laplace_quantile(scales: Sequence[float], alpha: float) -> float:
    """Return the t with P(|Σ Laplace(b_i)| > t) = alpha, to a relative 1e-9."""
    largest = max(scales)  # of which all are taken as parts: the squares of the smallest would be 0
    spread: list[float] = []
    for b in sorted(b / largest for b in scales if b > largest * 1e-6):
        spread.append(max(b, spread[-1] * _SPREAD) if spread else b)
    dropped = sum(b / largest for b in scales if b <= largest * 1e-6) * 40.0
    weights = [math.prod(b * b / (b * b - c * c) for c in spread if c != b) for b in spread]
    t = spread[-1] * math.log(1.0 / alpha)
    for _ in range(_ROUNDS):  # Newton's: the tail is convex, so from the left it comes near and never past it
        parts = [(w * math.exp(-t / b), b) for w, b in zip(weights, spread, strict=True)]
        step = (sum([p for p, _ in parts]) - alpha) / sum([p / b for p, b in parts])
        t += max(step, 0.0)
        if step <= 1e-9 * t:
            break
    return (t * (1.0 + 1e-9) + dropped) * largest
