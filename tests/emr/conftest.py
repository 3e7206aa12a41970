"""Nodes whose Python is an environment of their own."""

import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from emr.node import Node


@pytest.fixture(scope="session")
def empty_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip and nothing else, to be copied."""
    folder = tmp_path_factory.mktemp("python") / "environment"
    subprocess.run([sys.executable, "-I", "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "uninstall", "-qy", "setuptools"], check=True)
    return folder


@pytest.fixture
def node(tmp_path: Path, empty_python: Path) -> Node:
    shutil.copytree(empty_python, tmp_path / "python", symlinks=True)
    return Node(tmp_path, tmp_path / "python" / "bin" / "python")


@pytest.fixture
def bare_node(tmp_path: Path) -> Node:
    """A node without pip."""
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", tmp_path / "python"], check=True)
    return Node(tmp_path, tmp_path / "python" / "bin" / "python")


class Trap(HTTPServer):
    """An index, proxy and mirror that counts who comes, and has nothing."""

    visits: int

    def get_request(self):
        self.visits += 1
        return super().get_request()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def lures(self, folder: Path) -> dict[str, str]:
        """Each way by which pip or a proxy's user could be sent here."""
        (folder / "pip.conf").write_text(f"[global]\nextra-index-url = {self.url}\nfind-links = {self.url}\n")
        names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_PROXY", "https_proxy", "http_proxy")
        elsewhere = {
            "PIP_TARGET": str(folder / "elsewhere"),
            "PIP_NO_INDEX": "0",
            "PIP_CONFIG_FILE": str(folder / "pip.conf"),
        }
        return {**dict.fromkeys(names, self.url), **elsewhere}


@pytest.fixture
def trap() -> Iterator[Trap]:
    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with Trap(("127.0.0.1", 0), Nothing) as server:
        server.visits = 0
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=10)


@pytest.fixture(scope="session")
def pypi() -> None:
    """Skips where PyPI is out of reach."""
    try:
        urllib.request.urlopen("https://pypi.org/simple/six/", timeout=10).close()
    except OSError:
        pytest.skip("PyPI is out of reach")
