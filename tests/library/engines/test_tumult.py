from decimal import Decimal

import pytest

from library.engines.contract import EngineContract, count_of

pytestmark = pytest.mark.slow


class TestTumult(EngineContract):
    name = "tumult"


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
    with pytest.raises(AssertionError, match=f"Tumult's result has {rows} rows, not 1$"):
        tumult._evaluate(session, count_of(Decimal(1)))
    with pytest.raises(AssertionError, match=f"Tumult's result has {rows} rows, not 193$"):
        session.evaluate(None, Decimal(1), 193)
