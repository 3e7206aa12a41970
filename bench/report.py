"""What was measured, kept as JSON, and shown as a table in Markdown and as a picture."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot

import command
from dpjobs.engines import ENGINES

PLAIN = "spark"
_PACKAGES = ("pyspark", "tmlt.analytics", "tmlt.core", "pipeline-dp", "python-dp", "numpy", "pyarrow")
_BIG, _MIDDLE, _SMALL = 10**8, 10**7, 10**6


def own(engine: str) -> str:
    """The name of the library's own way."""
    return f"{engine}-own"


@dataclass
class Timing:
    """One way to one statistic at one size: the seconds of each time that it was measured."""

    rows: int
    statistic: str
    way: str
    seconds: list[float]


class Target(NamedTuple):
    """Something to reach: what, how much, and what was measured (None: it was not)."""

    what: str
    wanted: str
    measured: str
    met: bool | None


@dataclass
class Results:
    """Everything measured, with the machine and the command; `write` may be called as often as there is more."""

    made_by: str
    machine: dict[str, str]
    commands: dict[str, list[float]] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)

    def add(self, rows: int, statistic: str, way: str, seconds: float) -> None:
        """Keep one more time."""
        if not self.all(rows, statistic, way):
            self.timings.append(Timing(rows, statistic, way, []))
        self.all(rows, statistic, way).append(round(seconds, 4))

    def all(self, rows: int, statistic: str, way: str) -> list[float]:
        """Return every time measured, none when none was."""
        key = (rows, statistic, way)
        return next((t.seconds for t in self.timings if (t.rows, t.statistic, t.way) == key), [])

    def seconds(self, rows: int, statistic: str, way: str) -> float | None:
        """Return the median, None when it was not measured."""
        found = self.all(rows, statistic, way)
        return median(found) if found else None

    def write(self, path: Path) -> None:
        """Write PATH.json, PATH.md and PATH.png."""
        path.with_suffix(".json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        path.with_suffix(".md").write_text(_markdown(self, f"{path.name}.png"))
        _draw(self, path.with_suffix(".png"))


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
    }


def targets(results: Results) -> list[Target]:
    """Hold what was measured against what is to be reached."""
    return [*_beside_spark(results), *_beside_libraries(results), *_whole_commands(results)]


def _beside_spark(results: Results) -> Iterator[Target]:
    for engine, times, more in (("pipelinedp", 1.5, 2), ("tumult", 2, 8)):
        for statistic in ("MEAN", "VARIANCE", "COUNT", "SUM"):
            what = f"{statistic} by {ENGINES[engine].title}, 10⁸ rows"
            wanted = f"≤ {times} × plain Spark + {more} s"
            ours, plain = (results.seconds(_BIG, statistic, way) for way in (engine, PLAIN))
            if ours is None or plain is None:
                yield _not_measured(what, wanted)
            else:
                limit = times * plain + more
                yield Target(what, f"{wanted} = {limit:.2f} s", f"{ours:.2f} s", ours <= limit)


def _beside_libraries(results: Results) -> Iterator[Target]:
    for rows, least in ((_SMALL, 8), (_MIDDLE, 50)):
        for engine in ENGINES:
            for statistic in ("MEAN", "VARIANCE"):
                title = ENGINES[engine].title
                what = f"{statistic} by {title}, {_power(rows)} rows"
                wanted = f"≥ {least} × faster than {title}'s own"
                if rows != _SMALL:
                    wanted = f"≥ {least} × less per row than {title}'s own at 10⁶"
                theirs = results.seconds(_SMALL, statistic, own(engine))
                ours = results.seconds(rows, statistic, engine)
                if ours is None or theirs is None:
                    yield _not_measured(what, wanted)
                else:
                    ratio = (theirs / _SMALL) / (ours / rows)
                    yield Target(what, wanted, f"{ratio:.1f} ×", ratio >= least)


def _whole_commands(results: Results) -> Iterator[Target]:
    limits = [(command.RUNS["pipelinedp"], 12.0), (command.RUNS["tumult"], 25.0)]
    for words, limit in [*limits, *((quick, 0.5) for quick in command.QUICK.values())]:
        what, wanted = f"`dpcloud {words.replace('{file}', '74001-rows.csv')}`", f"< {limit:g} s"
        found = results.commands.get(words)
        if found:
            yield Target(what, wanted, f"{median(found):.2f} s", median(found) < limit)
        else:
            yield _not_measured(what, wanted)


def _not_measured(what: str, wanted: str) -> Target:
    return Target(what, wanted, "", None)


def _markdown(results: Results, picture: str) -> str:
    lines = ["# Benchmark results", "", f"Made by `{results.made_by}` ([raw numbers]({picture[:-4]}.json)).", ""]
    lines += [f"- {what}: {told}" for what, told in results.machine.items()]
    lines += ["", f"![Seconds against rows]({picture})", "", "## Targets", ""]
    lines += _table(("what", "target", "measured", ""), ([*t[:3], _word(t.met)] for t in targets(results)))
    lines += ["", "## All times", "", _EXPLANATION, ""]
    heads = (
        "statistic",
        "rows",
        "engine",
        "plain Spark",
        "ours",
        "library's own",
        "rows/s",
        "ours ÷ Spark",
        "own ÷ ours",
    )
    return "\n".join([*lines, *_table(heads, _times(results)), ""])


_EXPLANATION = """\
Seconds, the median of the times in the raw numbers (three; one beyond 10⁸ rows and for the library's own way at
10⁶), all in one Spark session after one warm-up query on every way, the files in the disk's cache. A table beyond
10⁸ rows is one of a tenth of its rows with each file linked ten times: every way reads them all, from a cache ten
times smaller. MEAN, COUNT and SUM are of an integer column, VARIANCE of a double one, in
Parquet with three columns.

- *plain Spark*: `avg`, `var_pop`, `count`, `sum` of the same column, with no privacy.
- *ours*: from the look at the files to the release, with given bounds, without the ledger.
- *library's own*: Tumult's `average` and `variance`, PipelineDP's `DPEngine.aggregate` over an RDD, with the same
  bounds and epsilon, up to 10⁶ rows."""


def _times(results: Results) -> Iterator[list[str]]:
    measured = dict.fromkeys((t.statistic, t.rows) for t in results.timings)
    for statistic, rows in sorted(measured, key=lambda key: ("MEAN VARIANCE COUNT SUM".index(key[0]), key[1])):
        plain = results.seconds(rows, statistic, PLAIN)
        for engine in ENGINES:
            ours, theirs = (results.seconds(rows, statistic, way) for way in (engine, own(engine)))
            yield [
                statistic,
                f"{rows:,}",
                ENGINES[engine].title,
                *(_shown(x) for x in (plain, ours, theirs)),
                f"{rows / ours:,.0f}" if ours else "",
                _shown(ours / plain) if ours and plain else "",
                _shown(theirs / ours) if ours and theirs else "",
            ]


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _word(met: bool | None) -> str:
    return {True: "met", False: "**missed**", None: "not measured"}[met]


def _table(heads: tuple[str, ...], rows: Iterator[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _draw(results: Results, path: Path) -> None:
    """Draw seconds against rows, one panel for each statistic and engine."""
    figure, panels = pyplot.subplots(2, len(ENGINES), figsize=(11, 8), sharex=True, sharey=True, layout="constrained")
    for i, statistic in enumerate(("MEAN", "VARIANCE")):
        for panel, engine in zip(panels[i], ENGINES, strict=True):
            for way, label, style in (
                (own(engine), "the library's own way", "s:C3"),
                (engine, "dpcloud", "o-C0"),
                (PLAIN, "plain Spark, no privacy", "^--C7"),
            ):
                found = [t for t in results.timings if (t.statistic, t.way) == (statistic, way)]
                panel.plot([t.rows for t in found], [median(t.seconds) for t in found], style, label=label)
            panel.set(title=f"{statistic} by {ENGINES[engine].title}", xscale="log", yscale="log")
            panel.grid(alpha=0.3, which="both", linewidth=0.5)
    for panel in panels[-1]:
        panel.set_xlabel("rows")
    for panel in panels[:, 0]:
        panel.set_ylabel("seconds")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"Seconds to one answer, {results.machine['CPU']}, heap {results.machine['memory'][-2:]}")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _power(rows: int) -> str:
    return "10" + str(len(str(rows)) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
