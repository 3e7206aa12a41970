"""Spark is killed at each step of the way: charged at most once, one draw, one release."""

import pytest

from e2e.cloud import Cloud
from e2e.faults import KILLS, Kill
from e2e.trying import kill, on_both

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]


@pytest.mark.parametrize("point", KILLS, ids=lambda point: point.name.replace(" ", "-"))
def test_spark_is_killed(aws: Cloud, table: bytes, point: Kill) -> None:
    on_both(lambda target: kill(aws, table, target, point))
