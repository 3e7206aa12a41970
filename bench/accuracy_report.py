"""The accuracy at equal epsilon as a table in Markdown and a picture."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import geometric_mean
from typing import NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray

import accuracy_libraries as libraries

matplotlib.use("agg")
from matplotlib import pyplot

OURS, SPLIT = "dpcloud", "split epsilon"
RIVALS = ("Tumult", "PipelineDP", "OpenDP, count and sums")
LIMITS = {"MEAN": "at most 0.75 × everywhere", "VARIANCE": "at most 0.9 × on average, never above 1.05 ×"}
_PACKAGES = ("tmlt.analytics", "tmlt.core", "pipeline-dp", "python-dp", "opendp", "diffprivlib", "numpy")


class Row(NamedTuple):
    """One way's errors on one table; `rmse`, `median_error` and `width` are parts of the largest that is possible."""

    statistic: str
    shape: str
    rows: int
    epsilon: str
    way: str
    rmse: float
    median_error: float
    width: float | None
    draws: int

    def written(self) -> list[str]:
        """The cells of a CSV."""
        return [x if isinstance(x, str) else "" if x is None else f"{x:.6g}" for x in self]


def row(
    statistic: str,
    shape: str,
    rows: int,
    epsilon: str,
    way: str,
    errors: NDArray[np.float64],
    width: float | None,
    upper: int,
) -> Row:
    """Sum up errors in the column's unit."""
    unit = upper if statistic == "MEAN" else upper**2 / 4
    rmse, median = float(np.sqrt(np.mean(errors**2))) / unit, float(np.median(np.abs(errors))) / unit
    return Row(
        statistic, shape, rows, epsilon, way, rmse, median, None if width is None else width / unit, len(errors)
    )


class Table:
    """The rows, to be asked."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._by = {(r.statistic, r.shape, r.rows, r.epsilon, r.way): r for r in rows}
        self.shapes = list(dict.fromkeys(r.shape for r in rows))
        self.sizes = list(dict.fromkeys((r.rows, r.epsilon) for r in rows))
        self.sizes.sort(key=lambda size: (size[0], float(size[1])))

    def get(self, statistic: str, shape: str, size: tuple[int, str], way: str) -> Row:
        """One way's row."""
        return self._by[(statistic, shape, *size, way)]

    def ratio(self, statistic: str, shape: str, size: tuple[int, str], ways: Iterable[str]) -> float:
        """Our error divided by the least of these ways'."""
        best = min(self.get(statistic, shape, size, way).rmse for way in ways)
        return self.get(statistic, shape, size, OURS).rmse / best


def write(path: Path, rows: Sequence[Row], checks: Sequence[libraries.Check], draws: int) -> None:
    """Write PATH.md and PATH.png."""
    table = Table(rows)
    path.with_suffix(".md").write_text("\n".join([*_lines(path, table, checks, draws), ""]))
    _draw(table, path.with_suffix(".png"))


_EXPLANATION = """\
RMSE: the square root of the mean squared error, as a part of what is possible: of the range for MEAN, of the
largest variance (a quarter of the squared range) for VARIANCE. The column holds whole numbers from 0 to 10,000, and
these are the bounds.

- *dpcloud*: tokens, with PipelineDP's noise. By OpenDP and Tumult Core it is the same within the error of measuring.
- All of epsilon goes to the answer, as with `--check-share 0`: the libraries tell nothing of what they clamp. With
  the default share of 5 % our errors are 1 / 0.95 = 1.05 times these.
- *split epsilon*: what dpcloud did before, and does with Tumult's Session: a count, a centred sum and, for VARIANCE,
  a centred sum of squares, each with an equal share.
- *Tumult*, *PipelineDP*: their own `average`/`MEAN` and `variance`/`VARIANCE`. *OpenDP*: it has no mean of a table
  whose rows are not known; its count and bounded sums, composed by hand. None cuts its answer at what is possible;
  "cut" does that for them, which is fair where noise drowns the data: at 10 noisy rows a quotient can be anything.
- *knows n*: OpenDP's `make_mean` and `make_variance`, DiffPrivLib's `mean` and `var` take the number of rows to be
  public and protect against one changed row. They are no rival: where n is secret they cannot be used.
- From an epsilon of some 5 on a geometric count, like Tumult's, is right to the row in most runs. Tokens know as
  much: all of them together are those of a whole number of rows. At epsilon 10 that number is off by one in 2.4 % of
  the tables, (1 + 5/2)·e⁻⁵ of them, which moves a mean near a bound by half a row's range: hence 0.86 and 0.91 there.
- Tumult's VARIANCE has no number where its noisy count is at most 1; it is taken for 0 here.
- Each way's noise comes from the mechanism that draws it in a run, and meets every table, so that the errors of
  measuring are alike in a column: about 1 % of an RMSE, and 3 % up to 150 rows × epsilon, for PipelineDP and
  those that know n, which draw a fifth."""


def _lines(path: Path, table: Table, checks: Sequence[libraries.Check], draws: int) -> Iterator[str]:
    yield "# Accuracy at equal epsilon"
    yield ""
    yield f"Made by `make accuracy` on {datetime.now(UTC).date().isoformat()}, {draws:,} draws for each number "
    yield f"([all numbers]({path.name}.csv)). {platform.platform()}, {os.cpu_count()} cores, Python "
    yield (
        f"{platform.python_version()}; " + ", ".join(f"{p} {importlib.metadata.version(p)}" for p in _PACKAGES) + "."
    )
    yield ""
    yield f"![RMSE against rows × epsilon]({path.name}.png)"
    yield ""
    yield "## In short"
    yield ""
    yield from _table(
        ("RMSE of dpcloud ÷", "target", "least", "mean", "largest", "where it is largest"), _short(table)
    )
    yield ""
    yield _EXPLANATION
    for statistic in LIMITS:
        for title, ways in (
            ("the best library that does not know n", RIVALS),
            ("the same, cut at what is possible", [f"{way}, cut" for way in RIVALS]),
            ("split epsilon", [SPLIT]),
        ):
            yield ""
            yield f"## {statistic}: RMSE of dpcloud ÷ {title}"
            yield ""
            yield "Worse than 1 in bold."
            yield ""
            yield from _table(("rows", "epsilon", *table.shapes), _ratios(table, statistic, ways))
        yield ""
        yield f"## {statistic}: RMSE and width of the interval, {table.shapes[2]} data, in % of what is possible"
        yield ""
        ways = (OURS, SPLIT, *RIVALS, *(f"{name} {libraries.KNOWS_ROWS}" for name in ("OpenDP", "DiffPrivLib")))
        heads = ("rows", "epsilon", *ways, "width: dpcloud", "width: split epsilon")
        yield from _table(heads, _absolute(table, statistic, ways))
    yield ""
    yield "## By other engines' noise"
    yield ""
    yield "RMSE of dpcloud's tokens by another engine ÷ by PipelineDP, 10⁴ rows, all shapes and epsilons:"
    yield ""
    for engine in ("OpenDP", "Tumult Core"):
        ratios = [
            table.get(s, shape, size, f"{OURS} by {engine}").rmse / table.get(s, shape, size, OURS).rmse
            for s in LIMITS
            for shape in table.shapes
            for size in table.sizes
            if size[0] == 10**4
        ]
        yield f"- {engine}: {min(ratios):.3f} to {max(ratios):.3f}"
    if checks:
        yield ""
        yield "## What is imitated, held against the libraries really run"
        yield ""
        yield "1,000 rows, epsilon 1; errors in the column's unit."
        yield ""
        cells = ([c.what, str(c.runs), f"{c.really:,.4g}", f"{c.imitated:,.4g}"] for c in checks)
        yield from _table(("", "runs", "RMSE, really run", "RMSE, imitated"), cells)


def _short(table: Table) -> Iterator[list[str]]:
    for statistic, limit in LIMITS.items():
        for title, ways, target in (
            ("best library that does not know n", RIVALS, limit),
            ("the same, cut", [f"{way}, cut" for way in RIVALS], ""),
            ("split epsilon", [SPLIT], ""),
        ):
            found = {(s, size): table.ratio(statistic, s, size, ways) for s in table.shapes for size in table.sizes}
            worst = max(found, key=lambda key: found[key])
            where = f"{worst[0]}, {worst[1][0]:,} rows, epsilon {worst[1][1]}"
            mean = geometric_mean(found.values())
            met = ""
            if target:
                most = max(found.values())
                good = most <= 0.75 if statistic == "MEAN" else mean <= 0.9 and most <= 1.05
                met = f"{target}: {'met' if good else '**missed**'}"
            numbers = f"{min(found.values()):.3g}", f"{mean:.2f}", f"{found[worst]:.2f}"
            yield [f"{statistic}: {title}", met, *numbers, where]


def _ratios(table: Table, statistic: str, ways: Iterable[str]) -> Iterator[list[str]]:
    for size in table.sizes:
        ratios = [table.ratio(statistic, shape, size, ways) for shape in table.shapes]
        shown = [f"**{r:.2f}**" if r > 1.005 else f"{r:.2g}" if r < 0.1 else f"{r:.2f}" for r in ratios]
        yield [f"{size[0]:,}", size[1], *shown]


def _absolute(table: Table, statistic: str, ways: Sequence[str]) -> Iterator[list[str]]:
    shape = table.shapes[2]
    for size in table.sizes:
        found = [table.get(statistic, shape, size, way) for way in ways]
        widths = [r.width for r in found[:2]]
        cells = [*(r.rmse for r in found), *(w or 0.0 for w in widths)]
        yield [f"{size[0]:,}", size[1], *(f"{100 * x:.3g}" for x in cells)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _draw(table: Table, path: Path) -> None:
    """RMSE against rows × epsilon, on which nearly all of it depends; one panel a shape."""
    figure, panels = pyplot.subplots(2, len(table.shapes), figsize=(15, 7), sharex=True, layout="constrained")
    styles = {OURS: "o-C0", SPLIT: "^--C7", "Tumult, cut": "s:C3", "PipelineDP, cut": "D:C2"}
    for i, statistic in enumerate(LIMITS):
        for panel, shape in zip(panels[i], table.shapes, strict=True):
            for way, style in styles.items():
                found = {s[0] * float(s[1]): table.get(statistic, shape, s, way).rmse for s in table.sizes}
                points = sorted(found.items())
                panel.plot([x for x, _ in points], [y for _, y in points], style, label=way, markersize=4)
            panel.set(title=f"{statistic}, {shape}", xscale="log", yscale="log")
            panel.grid(alpha=0.3, which="both", linewidth=0.5)
    for panel in panels[-1]:
        panel.set_xlabel("rows × epsilon")
    for panel in panels[:, 0]:
        panel.set_ylabel("RMSE, part of what is possible")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
