"""What tests fetch once from Maven Central and keep in build/; without a way to it they skip and say so."""

import urllib.request
from pathlib import Path

import pytest

_BUILD = Path(__file__).parents[1] / "build"
_CONNECTOR = "https://repo1.maven.org/maven2/org/apache/hadoop/hadoop-aws/3.3.4/hadoop-aws-3.3.4.pom"


def s3_connector() -> Path:
    """The Ivy cache in which Spark's own resolver keeps the connector S3A."""
    cache = _BUILD / "ivy"
    if not cache.exists():
        try:
            urllib.request.urlopen(_CONNECTOR, timeout=10).close()
        except OSError:
            pytest.skip("Maven Central, from which the S3 connector comes, is out of reach")
        cache.mkdir(parents=True)
    return cache
