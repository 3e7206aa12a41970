"""What tests fetch once from Maven Central and keep in build/; without a way to it they skip and say so."""

import functools
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

import pytest

_BUILD = Path(__file__).parents[1] / "build"
_CONNECTOR = "https://repo1.maven.org/maven2/org/apache/hadoop/hadoop-aws/3.3.4/hadoop-aws-3.3.4.pom"
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
