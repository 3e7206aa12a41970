"""What was measured as tables in Markdown and as a picture; run by itself it makes both anew from the JSON."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot

from names import CSV, DUCKDB, DUCKDB_OURS, PARQUET, SPARK, SPARK_OURS, TITLES, TUMULT_UNCHECKED, power
from results import Results, Timing
from targets import targets, words

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
_STYLES = {"duckdb": "^--C2", "polars": "v--C8", "spark": "D--C7", DUCKDB_OURS: "o-C0"}
_STYLES |= {"dpcloud-spark-pipelinedp": "o-C9", "dpcloud-spark-tumult": "o-C4"}
_STYLES |= {"opendp-own": "s:C3", "diffprivlib-own": "s:C1", "pipelinedp-own": "x:C5", "tumult-own": "x:C6"}
_PAIRS = ((DUCKDB_OURS, DUCKDB), *((way, SPARK) for way in (*SPARK_OURS.values(), TUMULT_UNCHECKED)))

_EXPLANATION = """\
Seconds are the median of the turns in the raw numbers (three; one beyond 10⁸ rows). All ways take turns in one
process, after one on each that is not counted, with the files in the disk's cache; ratios are the median of the
ratios within the turns, so that whatever else the machine does strikes both. Where other work ran on the machine, as
the load average tells, seconds are too long, and the CPU's seconds, of this process and of all that it started, say
more. MEAN, COUNT and SUM are of an integer column, VARIANCE of a double one, of three columns. A table beyond 10⁸
rows is one of a tenth of its rows with each file copied ten times, a CSV one of 10⁶ rows whose files are copied.

- *no privacy*: `avg`, `var_pop`, `count`, `sum` of the same column, from the files to the result.
- *dpcloud*: from the look at the files to the release, with given bounds, without the ledger. On DuckDB with the
  start of DuckDB, by PipelineDP; the engines differ there by the noise of two or three numbers. Spark runs already.
- *own*: OpenDP's `make_mean` and `make_variance` and DiffPrivLib's `tools.mean` and `tools.var`, which take the
  number of rows to be public, of the column in memory; Tumult's `average` and `variance`; PipelineDP's
  `DPEngine.aggregate` over an RDD; with the same bounds and epsilon, as far as they answer within minutes.

How near the answers are to the truth is another table: [accuracy](accuracy.md)."""


def write(results: Results, path: Path) -> None:
    """Write PATH.json, PATH.md and PATH.png."""
    results.save(path.with_suffix(".json"))
    path.with_suffix(".md").write_text(_markdown(results, f"{path.name}.png", f"{path.name}.json"))
    if any(t.format == PARQUET for t in results.timings):  # else there is nothing to draw yet
        _draw(results, path.with_suffix(".png"))


def _markdown(results: Results, picture: str, raw: str) -> str:
    made_by = ", ".join(f"`{words}`" for words in results.made_by)
    lines = ["# Benchmark results", "", f"Made by {made_by} ([raw numbers]({raw})).", ""]
    lines += [f"- {name}: {value}" for name, value in results.machine.items()]
    lines += ["", f"![Seconds against rows]({picture})", "", "## Targets", ""]
    words_of = {True: "met", False: "**missed**", None: "not measured"}
    held = ([t.what, t.wanted, t.measured, words_of[t.met]] for t in targets(results))
    lines += [*_table(("what", "target", "measured", ""), held), "", "## How it was measured", "", _EXPLANATION]
    lines += ["", "## Whole commands", "", "From the shell to the end of the process, 74,001 rows of CSV.", ""]
    commands = ([f"`dpcloud {words(n)}`", _shown(median(c.seconds)), _shown(median(c.cpu))]
                for n, c in results.commands.items())  # fmt: skip
    lines += _table(("command", "seconds", "CPU seconds"), commands)
    for statistic in dict.fromkeys(t.statistic for t in results.timings if t.format == PARQUET):
        rows = sorted({t.rows for t in results.timings if (t.format, t.statistic) == (PARQUET, statistic)})
        lines += ["", f"## {statistic} from Parquet", "", "Seconds, and in brackets CPU seconds, by rows.", ""]
        lines += _table(("way", *map(power, rows)), _by_size(results, statistic, rows))
        lines += ["", "Times the plain aggregate of the same turn:", ""]
        lines += _table(("", *map(power, rows)), _ratios(results, statistic, rows))
    if any(t.format == CSV for t in results.timings):
        lines += ["", "## MEAN from CSV, 37 columns", "", "One column is asked for.", ""]
        heads = ("way", "rows", "seconds", "CPU seconds", "÷ Spark's reader", "÷ DuckDB's reader")
        lines += _table(heads, _csv(results))
    if results.peaks:
        lines += ["", "## Memory", "", "The most that a process took that did this alone, in MiB.", ""]
        lines += _table(("way", "statistic", "format", "rows", "MiB"), _peaks(results))
    return "\n".join([*lines, ""])


def _by_size(results: Results, statistic: str, sizes: Sequence[int]) -> Iterator[list[str]]:
    for way, title in TITLES.items():
        found = [results.timing(PARQUET, rows, statistic, way) for rows in sizes]
        if any(found):
            yield [title, *(_both(timing) for timing in found)]


def _ratios(results: Results, statistic: str, sizes: Sequence[int]) -> Iterator[list[str]]:
    for way, to in _PAIRS:
        yield [
            f"{TITLES[way]} ÷ {to}",
            *(_shown(results.ratio(PARQUET, rows, statistic, way, to)) for rows in sizes),
        ]


def _csv(results: Results) -> Iterator[list[str]]:
    for t in results.timings:
        if t.format == CSV:
            ratios = (results.ratio(CSV, t.rows, t.statistic, t.way, to) for to in (SPARK, DUCKDB))
            yield [TITLES[t.way], f"{t.rows:,}", _shown(median(t.seconds)), _shown(median(t.cpu)),
                   *map(_shown, ratios)]  # fmt: skip


def _peaks(results: Results) -> Iterator[list[str]]:
    for p in results.peaks:
        yield [TITLES[p.way], p.statistic, p.format, f"{p.rows:,}", f"{p.mib:,}"]


def _both(timing: Timing | None) -> str:
    return "" if timing is None else f"{_shown(median(timing.seconds))} ({_shown(median(timing.cpu))})"


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}" if number < 0.1 else f"{number:.2f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _draw(results: Results, path: Path) -> None:
    """Draw seconds against rows, a panel for each of two statistics."""
    figure, panels = pyplot.subplots(1, 2, figsize=(12, 6.5), sharex=True, sharey=True, layout="constrained")
    for panel, statistic in zip(panels, ("MEAN", "VARIANCE"), strict=True):
        for way, style in _STYLES.items():
            found = [t for t in results.timings if (t.format, t.statistic, t.way) == (PARQUET, statistic, way)]
            label = TITLES[way].replace("*", "")
            panel.plot([t.rows for t in found], [median(t.seconds) for t in found], style, label=label)
        panel.set(title=f"{statistic} from Parquet", xscale="log", yscale="log", xlabel="rows")
        panel.grid(alpha=0.3, which="both", linewidth=0.5)
    panels[0].set_ylabel("seconds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"Seconds to one answer, {results.machine['CPU']}")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    write(Results.read(FOLDER / "results.json"), FOLDER / "results")
