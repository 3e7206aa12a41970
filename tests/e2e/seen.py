"""What was seen of a run's faults, for the table of docs/reliability.md."""

import fcntl
import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "e2e" / "seen.json"
PAGE = ROOT / "docs" / "reliability.md"
_BEGIN, _END = "<!-- written by make e2e -->\n", "<!-- end -->\n"
_ONE = threading.Lock()
TARGETS = ("glue", "emr")


@dataclass(frozen=True)
class Look:
    """A run as the ledger, the bucket and the platform have it at one moment."""

    state: str
    charged: str
    drawn: bool
    released: bool
    copied: bool

    def __str__(self) -> str:
        stored = " + ".join(
            name
            for name, is_there in (("draw", self.drawn), ("release", self.released), ("copy", self.copied))
            if is_there
        )
        return f"{self.state}, charged {self.charged}, {stored or 'nothing'} stored"


def keep(fault: str, target: str, *looks: Look) -> None:
    """Keep what was seen of a fault on a target, in place of what was seen before."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with _ONE, KEPT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seen = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        seen.setdefault(fault, {})[target] = {"said": "; then ".join(map(str, looks)), "looks": [*map(asdict, looks)]}
        KEPT.write_text(json.dumps(seen, indent=1))


def table(seen: dict[str, dict[str, dict[str, str]]]) -> str:
    """The table of faults and targets, in Markdown."""
    rows = ["| fault | Glue | EMR |", "|---|---|---|"]
    for fault, by_target in seen.items():
        cells = [by_target.get(target, {}).get("said", "—") for target in TARGETS]
        rows.append(f"| {fault} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def write() -> None:
    """Write the table into the page."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(before + _BEGIN + "\n" + table(json.loads(KEPT.read_text())) + "\n" + _END + after)


if __name__ == "__main__":
    write()
