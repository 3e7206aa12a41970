"""The part of `make e2e` that every test run affords: answers of DynamoDB that are lost, to a step on a real YARN.

It comes before test_deployment.py, which takes the deployment apart.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.conftest import Deployment
from e2e.cloud import Cloud, check_deployed, cloud
from e2e.endpoint import Fault
from e2e.faults import committing, reserving, storing
from e2e.trying import county_table, in_spite_of
from emr.node import Node

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]


@pytest.fixture(scope="module")
def aws(
    deployment: Deployment,
    endpoint: str,
    packed_environment: Path,
    booted: Node,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cloud]:
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    check_deployed(deployment, packed_environment)
    with cloud(deployment, endpoint, booted, tmp_path_factory.mktemp("aws")) as made:
        yield made


def test_emr_dynamodb_has_done_it_and_nobody_hears(aws: Cloud) -> None:
    def faults(_: str, run_id: str) -> list[Fault]:
        return [Fault(step(run_id), after=lambda: None) for step in (reserving, storing, committing)]

    in_spite_of(aws, county_table(), "emr", "DynamoDB's answer lost after each of charge, draw and commit", faults)
