"""One account for all tests of this folder: deployed by the real CDK, with a ledger, a bucket and two clusters."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.conftest import deployed, moto_server
from e2e.cloud import Cloud, boot, cloud
from e2e.trying import county_table


@pytest.fixture(scope="session")
def aws(packed_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The account, as an administrator sees it."""
    folder = tmp_path_factory.mktemp("aws")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with pytest.MonkeyPatch.context() as patch, moto_server(patch) as moto:
        deployment = deployed(moto, packed_environment, folder)
        node = boot(deployment, packed_environment, folder)
        with cloud(deployment, moto, node, folder) as made:
            yield made
    shutil.rmtree(folder)  # gigabytes


@pytest.fixture(scope="session")
def table() -> bytes:
    """A table like the article's."""
    return county_table()
