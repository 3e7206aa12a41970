import pytest

from library.engines.contract import EngineContract

pytestmark = pytest.mark.slow


class TestTumult(EngineContract):
    name = "tumult"
