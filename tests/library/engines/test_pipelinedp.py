"""PipelineDP keeps the engines' contract, and is never asked for more than its epsilon."""

from decimal import Decimal
from fractions import Fraction

import pytest
from pipeline_dp import dp_computations
from pydp.algorithms import numerical_mechanisms

from dpjobs.engines.pipelinedp import Mechanism
from library.engines.contract import EngineContract

pytestmark = pytest.mark.slow


class TestPipelineDP(EngineContract):
    name = "pipelinedp"


@pytest.mark.parametrize("epsilon", ["0.1", "0.3", "0.7", "1", "0.000001", "0.100000001", "999.999999999"])
def test_its_libraries_get_no_double_above_epsilon(epsilon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double 0.1 is more than 0.1; what is claimed and what is drawn must be of one that is not."""
    asked: list[float] = []
    drawn, claimed = numerical_mechanisms.LaplaceMechanism, dp_computations.LaplaceMechanism.create_from_epsilon

    def drawing(epsilon: float, sensitivity: float) -> object:
        asked.append(epsilon)
        return drawn(epsilon, sensitivity)

    def claiming(epsilon: float, sensitivity: float) -> object:
        asked.append(epsilon)
        return claimed(epsilon, sensitivity)

    monkeypatch.setattr(numerical_mechanisms, "LaplaceMechanism", drawing)
    monkeypatch.setattr(dp_computations.LaplaceMechanism, "create_from_epsilon", claiming)
    Mechanism(5, Decimal(epsilon))
    exact = Fraction(epsilon)
    assert len(asked) >= 2
    assert all(exact * (1 - Fraction(1, 2**52)) < Fraction(double) <= exact for double in asked)
