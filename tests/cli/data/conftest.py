"""What the tests of `dpcloud data` share."""

from pathlib import Path

import pytest

from cli.data.importing import Importer


@pytest.fixture
def imported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Importer:
    folder = tmp_path / "files"
    folder.mkdir()
    return Importer(folder, capfd)
