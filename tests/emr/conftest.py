"""Nodes. One that has booted from the packed environment is in tests/conftest.py."""

from pathlib import Path

import pytest

from emr.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)
