"""`make rehearsal`: the smoke test whole, against a moto server that runs what is started; no AWS, no money."""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main(words: list[str]) -> int:
    """Start the server, bootstrap it, and run the smoke test with these arguments; returns its exit code."""
    from deploy.conftest import moto_server
    from deploy.runner import ACCOUNT, REGION, Runner, environment_of
    from dpcloud.java import use_java

    use_java()
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
        moto_server(patch) as endpoint,
    ):
        environment = {**os.environ, **environment_of(endpoint, Path(folder))}
        cdk = [str(ROOT / ".venv/bin/cdk"), "bootstrap", f"aws://{ACCOUNT}/{REGION}"]
        subprocess.run(cdk, cwd=ROOT, env=environment, check=True, capture_output=True)
        smoke = [sys.executable, "-m", "smoke", "--yes", "--poll-seconds", "1", "--test-server-runs", *words]
        with Runner(endpoint, Path(folder)).running():
            return subprocess.run(smoke, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
