"""The article's runs, end to end: what is started on the deployment is answered by real Spark, on both targets."""

import uuid
from decimal import Decimal

import pytest

from e2e.cloud import Cloud, Question

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]


@pytest.mark.parametrize("engine", ["tumult", "pipelinedp"])
@pytest.mark.parametrize("target", ["glue", "emr"])
def test_the_articles_runs(aws: Cloud, table: bytes, target: str, engine: str) -> None:
    address, run_id = aws.data(table, "5"), f"run-{uuid.uuid4().hex[:8]}"
    release = aws.release(aws.run(target, address, run_id, Question(), engine=engine))
    assert (release["engine"], release["query"], release["epsilon"]) == (engine, "MEAN", 1)
    assert release["interval"][0] <= release["value"] <= release["interval"][1]
    assert aws.spent(address) == Decimal(1)
