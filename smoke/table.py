"""The census file that is uploaded, and what is true of it: it is public, so answers can be held against it."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dpcloud.data.fetch import fetch
from dpcloud.data.generate import generate
from dpjobs.errors import InputError
from dpjobs.home import home
from smoke.settings import COLUMN, LOWER, ROOT, UPPER

SHARED = ROOT.parent / "shared" / "data"
_REAL = ("acs2017_census_tract_data.csv", "acs2017_county_data.csv")
_MADE = ROOT / "build" / "smoke" / "census.csv"
_NAMES = 500
_LEAST_DIGITS = 7
"""Of a number that is looked for in logs: a shorter one stands there by chance."""


@dataclass(frozen=True)
class CensusTable:
    """A public census table, real or generated."""

    path: Path
    what: str

    @cached_property
    def _populations(self) -> list[float]:
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            return [float(row[COLUMN]) for row in csv.DictReader(file) if row[COLUMN]]

    @cached_property
    def clamped_mean(self) -> float:
        """The true answer of the question that every run asks."""
        return sum(self._clamped()) / len(self._populations)

    def _clamped(self) -> Iterable[float]:
        return (min(max(x, LOWER), UPPER) for x in self._populations)

    def telltales(self) -> dict[str, str]:
        """What no log may hold, and what it is: exact sums of the column, and names from its rows."""
        sums = {
            f"{round(sum(self._populations))}": "the exact sum",
            f"{round(sum(self._clamped()))}": "the exact sum within the bounds",
            f"{self.clamped_mean:.6f}".rstrip("0"): "the exact mean",
        }
        found = {text: what for text, what in sums.items() if len(text) >= _LEAST_DIGITS}
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            for i, row in enumerate(csv.DictReader(file)):
                if i < _NAMES and len(row.get("County") or "") >= _LEAST_DIGITS:
                    found[row["County"]] = "a county's name"
        return found


def find_table() -> CensusTable:
    """Return the real table if it is at hand or can be fetched, else a generated one."""
    for name in _REAL:
        if (SHARED / name).is_file():
            return CensusTable(SHARED / name, f"the real census table {name}")
    try:
        return CensusTable(fetch(home() / "data"), "the real census table, fetched")
    except InputError:
        pass
    _MADE.parent.mkdir(parents=True, exist_ok=True)
    if not _MADE.exists():
        generate(output=_MADE)
    return CensusTable(_MADE, "a generated census table, since the real one is out of reach")
