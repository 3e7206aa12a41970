"""The planted defects: small patches, each with what it would do to a person and the tests that must notice it.

Read from the .toml files beside this one, an area a file; docs/testing.md says how to add one.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Defect:
    """One patch: in `file`, `new` stands where `old` was; `tests` are pytest node ids, or files.

    `harm` says what it would do to a person, a budget or a deployment; `area` is the name of its file here.
    """

    area: str
    name: str
    harm: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def needs_cdk(self) -> bool:
        """Whether its tests run in .venv/cdk, where aws_cdk is, and Spark is not."""
        return self.tests[0].startswith("tests/infra/")

    def planted(self, source: str) -> str:
        """Return the file's text with the defect in it; raises ValueError where the place is not clear."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: its `old` is {source.count(self.old)} times in {self.file}, not once")
        return source.replace(self.old, self.new)


def defects(folder: Path = HERE) -> list[Defect]:
    """Return all of them, area by area; raises ValueError where an entry is not of the form above."""
    return [defect for path in sorted(folder.glob("*.toml")) for defect in _read(path)]


def _read(path: Path) -> Iterator[Defect]:
    wanted = {field.name for field in fields(Defect)} - {"area"}
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["defect"], 1):
        if entry.keys() != wanted:
            raise ValueError(f"{path.name}, entry {number}: given {sorted(entry)}; allowed: {sorted(wanted)}")
        texts = [value for name, value in entry.items() if name != "tests"]
        if not all(isinstance(text, str) for text in [*texts, *entry["tests"]]) or not entry["tests"]:
            raise ValueError(f"{path.name}, entry {number}: texts, and a list of tests that is not empty")
        yield Defect(path.stem, **{**entry, "tests": tuple(entry["tests"])})
