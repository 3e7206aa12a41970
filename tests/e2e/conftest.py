"""One account for all tests of this folder: deployed by the real CDK, with a ledger, a bucket and two clusters."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.conftest import deployed, moto_server
from e2e.cloud import Cloud, cloud


@pytest.fixture(scope="session")
def aws(packed_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The account, as an administrator sees it."""
    folder = tmp_path_factory.mktemp("aws")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with (
        pytest.MonkeyPatch.context() as patch,
        moto_server(patch) as moto,
        cloud(deployed(moto, packed_environment, folder), moto, packed_environment, folder) as made,
    ):
        yield made


@pytest.fixture(scope="session")
def table() -> bytes:
    """A table like the article's: TotalPop of 2,000 places."""
    rows = (f"{i},Somewhere County {i},{i * 37 % 40000}\n" for i in range(2000))
    return b"CountyId,County,TotalPop\n" + "".join(rows).encode()
