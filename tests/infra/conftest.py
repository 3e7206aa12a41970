"""Tests of the stacks run in .venv/cdk; in the engines' environment, which has no aws_cdk, they are left out."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NO_CDK = importlib.util.find_spec("aws_cdk") is None
collect_ignore = [
    str(path)
    for path in HERE.glob("test_*.py")
    if NO_CDK and ("infra.scenarios" in (text := path.read_text()) or "import app" in text)
]
if not NO_CDK:
    import app  # noqa: F401 - before any test imports aws_cdk: it chooses the pinned Node


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write what is synthesized now (make snapshots)")


@pytest.fixture(scope="session", autouse=True)
def _own_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A packed environment without libraries, so that nothing hangs on whether `make environment` has run."""
    if NO_CDK:
        return
    from stacks.components import python_environment

    from infra import scenarios

    python_environment.FOLDER = tmp_path_factory.mktemp("environment")
    scenarios.pack_nothing(python_environment.FOLDER)
    scenarios.Outputs.folder = tmp_path_factory.mktemp("assemblies")
