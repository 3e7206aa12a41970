import pytest

from library.engines.contract import EngineContract

pytestmark = pytest.mark.slow


class TestPipelineDP(EngineContract):
    name = "pipelinedp"
