"""What was measured, kept as JSON: seconds and CPU seconds of ways side by side, peaks of memory, whole commands."""

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

_PACKAGES = (
    "duckdb", "pyspark", "polars", "tmlt.analytics", "tmlt.core", "pipeline-dp", "python-dp", "opendp", "diffprivlib",
    "numpy", "pyarrow",
)  # fmt: skip


@dataclass
class Timing:
    """One way to one statistic of one table: seconds, and seconds of CPU, of each turn that it was measured in."""

    format: str
    rows: int
    statistic: str
    way: str
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass
class Peak:
    """The most memory that a process of its own took for one way, in MiB."""

    format: str
    rows: int
    statistic: str
    way: str
    mib: int


@dataclass
class Timed:
    """A whole command: the seconds and CPU seconds of each time."""

    words: str
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass
class Results:
    """Everything measured, with the machine and the command."""

    made_by: list[str]
    machine: dict[str, str]
    commands: dict[str, Timed] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)

    def add(self, format: str, rows: int, statistic: str, way: str, seconds: float, cpu: float) -> None:
        """Keep one more turn."""
        timing = self.timing(format, rows, statistic, way)
        if timing is None:
            timing = Timing(format, rows, statistic, way)
            self.timings.append(timing)
        timing.seconds.append(round(seconds, 4))
        timing.cpu.append(round(cpu, 4))

    def timing(self, format: str, rows: int, statistic: str, way: str) -> Timing | None:
        """Return what was measured of a way, None when nothing was."""
        key = (format, rows, statistic, way)
        return next((t for t in self.timings if (t.format, t.rows, t.statistic, t.way) == key), None)

    def ratio(self, format: str, rows: int, statistic: str, way: str, to: str) -> float | None:
        """Return the median of the ratios of two ways in the same turns."""
        pairs = self.pairs(format, rows, statistic, way, to)
        return median(a / b for a, b in pairs) if pairs else None

    def pairs(self, format: str, rows: int, statistic: str, way: str, to: str) -> list[tuple[float, float]]:
        """Return the seconds of two ways, turn by turn."""
        first, second = (self.timing(format, rows, statistic, w) for w in (way, to))
        return list(zip(first.seconds, second.seconds, strict=False)) if first and second else []

    def cpu_ratio(self, format: str, rows: int, statistic: str, way: str, to: str) -> float:
        """Return the ratio of the medians of two ways' CPU seconds, which were both measured."""
        first, second = (self.timing(format, rows, statistic, w) for w in (way, to))
        assert first is not None
        assert second is not None
        return median(first.cpu) / max(median(second.cpu), 0.01)

    def peak(self, format: str, rows: int, statistic: str, way: str) -> int | None:
        """Return the peak of a way in MiB, None when it was not measured."""
        key = (format, rows, statistic, way)
        return next((p.mib for p in self.peaks if (p.format, p.rows, p.statistic, p.way) == key), None)

    def save(self, path: Path) -> None:
        """Write all of it, with the load that is on the machine by now."""
        self.machine["load average at the end"] = load()
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read what `save` wrote."""
        kept = json.loads(path.read_text())
        kept["commands"] = {name: Timed(**c) for name, c in kept["commands"].items()}
        kept["timings"] = [Timing(**t) for t in kept["timings"]]
        kept["peaks"] = [Peak(**p) for p in kept["peaks"]]
        return cls(**kept)


def load() -> str:
    """How many processes wanted a core, of late: above 1 where nothing is measured by now, others work here, too."""
    return ", ".join(f"{x:.1f}" for x in os.getloadavg()[:2]) + " (1 and 5 minutes)"


def machine(heap: str) -> dict[str, str]:
    """Describe what the numbers were made on."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":", 1)[1].strip() for line in told.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "CPU": f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB, of which Spark's heap has {heap}",
        "system": platform.platform(),
        "Python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
        "load average at the start": load(),
    }
