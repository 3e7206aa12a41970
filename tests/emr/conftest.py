"""Nodes, and the packed environment that they boot from."""

from pathlib import Path

import pytest

from emr.node import Node, runnable


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture(scope="session")
def real(packed_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, as this machine can run it."""
    return runnable(packed_environment, tmp_path_factory.mktemp("environment"))
