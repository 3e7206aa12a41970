"""One Spark session for the whole test process, and a home of its own for every test."""

import contextlib
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

with contextlib.suppress(ImportError):  # .venv/cdk has none
    import hypothesis

    hypothesis.settings.register_profile("untimed", deadline=None)  # a loaded machine is no failure
    hypothesis.settings.load_profile("untimed")

# else what fails in a contract says no more than AssertionError
pytest.register_assert_rewrite("library.engines.contract", "library.ledger.contract")

CENSUS = Path(__file__).parents[2] / "shared" / "data" / "acs2017_county_data.csv"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The laptop's Spark as `dpcloud run` starts it."""
    from dpcloud.java import use_java
    from dpjobs.backends.spark.session import apply_settings, local_session

    use_java()
    home = tmp_path_factory.mktemp("spark-home")
    with local_session(home, memory="2g", small=True) as session:
        apply_settings(session)
        yield session


@pytest.fixture(scope="session")
def packed_environment() -> Path:
    """The archive of `make environment`: 248 MB from PyPI once, then kept in build/; skips without PyPI."""
    from tools import environment, pins

    try:
        environment.make(pins.CLUSTER, environment.FOLDER)
    except environment.PackingError:
        try:
            urllib.request.urlopen("https://pypi.org/simple/six/", timeout=10).close()
        except OSError:
            pytest.skip("PyPI is out of reach")
        raise
    return environment.FOLDER / environment.ARCHIVE


@pytest.fixture(scope="session")
def booted(packed_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A node that EMR's bootstrap action has set up, with every way to a network shut."""
    from emr.node import ENVIRONMENT, Node, runnable

    node = Node(tmp_path_factory.mktemp("node"))
    node.put(ENVIRONMENT, runnable(packed_environment, tmp_path_factory.mktemp("environment")))
    dead = dict.fromkeys(("https_proxy", "http_proxy", "PIP_PROXY", "PIP_INDEX_URL"), "http://127.0.0.1:9/")
    done = node.boot(ENVIRONMENT, **dead)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"emr_bootstrap: the libraries are at their pins for {node.python}\n"
    assert not [call for call in node.calls if "pip" in call or "dnf" in call]
    yield node
    shutil.rmtree(node.home)  # pytest would keep a gigabyte of each of the last three runs


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's ledger or cache."""
    monkeypatch.setenv("DPCLOUD_HOME", str(tmp_path / "home"))


@pytest.fixture
def census() -> Path:
    """The real county table; skips where it is not at hand."""
    if not CENSUS.exists():
        pytest.skip(f"the real census table is not here: {CENSUS}")
    return CENSUS
