"""The lanes of `make test`: a test that is in none of them would never run again, and nothing would say so."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
LANES = ("test-library", "test-commands", "test-deployment")


def test_every_test_is_in_one_lane() -> None:
    make = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/.setup-dev", *LANES]
    said = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    runs = [line.split(" -m pytest ")[1].split() for line in said.splitlines() if " -m pytest " in line]
    assert len(runs) == 4  # those of the infrastructure have an environment of their own
    files = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")]
    times = {str(file): sum(_runs(file, run) for run in runs) for file in files if file.parts[1] != "e2e"}
    assert {file: n for file, n in times.items() if n != 1} == {}


def _runs(file: Path, arguments: list[str]) -> bool:
    left_out = [re.sub("^--ignore=", "", argument) for argument in arguments if argument.startswith("--ignore=")]
    given = [argument for argument in arguments if not argument.startswith("-")]
    return _within(file, given) and not _within(file, left_out)


def _within(file: Path, places: list[str]) -> bool:
    return any(file.is_relative_to(place) for place in places)
