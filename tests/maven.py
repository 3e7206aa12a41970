"""What tests fetch once from Maven Central and keep in build/; without a way to it they skip and say so."""

import functools
import hashlib
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

_BUILD = Path(__file__).parents[1] / "build"
_CENTRAL = "https://repo1.maven.org/maven2"
_CONNECTOR = f"{_CENTRAL}/org/apache/hadoop/hadoop-aws/3.3.4/hadoop-aws-3.3.4.pom"
_FETCH = """
import sys
from pathlib import Path
from dpcloud.java import use_java
from dpjobs.backends.spark.session import local_session
use_java()
with local_session(Path(sys.argv[1]), s3=True, small=True):
    pass
"""
_ONE = threading.Lock()


def pinned(files: Path, what: str) -> Path:
    """The folder with the files of a list, which has a digest and a path a line; skips where they cannot be had."""
    folder = _BUILD / files.stem.replace("_", "-")
    folder.mkdir(parents=True, exist_ok=True)
    listed = [line.split() for line in files.read_text().splitlines()]
    missing = [(digest, path) for digest, path in listed if not (folder / Path(path).name).exists()]
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: _fetch(*one, folder), missing))
    except (OSError, urllib.error.URLError) as error:
        pytest.skip(f"{what}'s files are not here and Maven Central is out of reach: {error}")
    return folder


def _fetch(digest: str, path: str, folder: Path) -> None:
    with urllib.request.urlopen(f"{_CENTRAL}/{path}", timeout=30) as answer:
        data = answer.read()
    assert hashlib.sha256(data).hexdigest() == digest, f"not the pinned file: {path}"
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(data)
    Path(file.name).rename(folder / Path(path).name)  # whole or not at all, whoever else fetches it


def yarn_jars() -> list[Path]:
    """Hadoop's mini cluster and what it needs beside Spark's own jars, itself first."""
    files = Path(__file__).parent / "e2e" / "yarn.txt"
    folder = pinned(files, "YARN")
    return [folder / Path(line.split()[1]).name for line in files.read_text().splitlines()]


def s3_jars() -> list[Path]:
    """The connector S3A and what it needs beside Spark's own jars."""
    return sorted((s3_connector() / "jars").glob("*.jar"))


def s3_connector() -> Path:
    """The Ivy cache in which Spark's own resolver keeps the connector S3A."""
    with _ONE:  # several runs begin at once, and a half-filled cache fails them
        return _filled()


@functools.cache
def _filled() -> Path:
    cache = _BUILD / "ivy"
    if not any((cache / "jars").glob("*.jar")):
        try:
            urllib.request.urlopen(_CONNECTOR, timeout=10).close()
        except OSError:
            pytest.skip("Maven Central, from which the S3 connector comes, is out of reach")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as home:  # as `dpcloud run --on spark` fetches it
            (Path(home) / "ivy").symlink_to(cache)
            subprocess.run([sys.executable, "-c", _FETCH, home], check=True, capture_output=True, timeout=600)
    return cache
