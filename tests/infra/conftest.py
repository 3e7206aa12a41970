"""Tests of the stacks run in .venv/cdk; in the engines' environment, which has no aws_cdk, they are left out."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDS_CDK = importlib.util.find_spec("aws_cdk") is None
collect_ignore = [
    str(path)
    for path in HERE.glob("test_*.py")
    if NEEDS_CDK and ("infra.scenarios" in (text := path.read_text()) or "import app" in text)
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write what is synthesized now (make snapshots)")


@pytest.fixture(scope="session", autouse=True)
def _own_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A wheelhouse of a few bytes, so that nothing hangs on whether `make wheelhouse` has run."""
    if NEEDS_CDK:
        return
    from stacks.components import wheelhouse

    from infra import scenarios

    wheelhouse.FOLDER = tmp_path_factory.mktemp("wheelhouse")
    (wheelhouse.FOLDER / wheelhouse.NAME).write_bytes(b"a stand-in")
    scenarios.Outputs.folder = tmp_path_factory.mktemp("assemblies")
