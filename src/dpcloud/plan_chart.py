"""The picture of `dpcloud plan`: margins by epsilon, a line for each number of rows. Only it imports matplotlib."""

import logging
import os
from pathlib import Path

from dpcloud.planning import Question, expected
from dpjobs.answers import smallest_epsilon
from dpjobs.engines import ENGINES
from dpjobs.epsilon import MOST, Epsilon, percent
from dpjobs.errors import InputError
from dpjobs.query import Query

FORMATS = (".svg", ".png")
_POINTS = 25
_FROM, _TO = 0.01, 10.0


def check(path: Path) -> Path:
    """Return the path of a picture that can be made; raises InputError."""
    if path.suffix.lower() not in FORMATS:
        raise InputError.of("no such kind of picture", path.name, "a name that ends in .svg or .png")
    if os.path.lexists(path):
        raise InputError.of("the chart exists already", path, "a path where nothing is yet")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError.of("the chart cannot be written", path, "a name in a writable folder that exists")
    return path


def draw(path: Path, question: Question, rows: list[int]) -> None:
    """Write the picture of an engine's margins, with logarithmic axes; raises InputError where that fails."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its own font cache
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    for n in rows:
        epsilons = epsilons_of(question._replace(rows=n))
        margins = [expected(question._replace(rows=n), epsilon) for epsilon in epsilons]
        x = [float(epsilon) for epsilon in epsilons]
        [line] = axes.plot(x, [margin.worst for margin in margins], label=f"{n:,} rows, at most")
        if question.query not in (Query.COUNT, Query.SUM):
            typical = [margin.typical for margin in margins]
            axes.plot(x, typical, linestyle="--", color=line.get_color(), label=f"{n:,} rows, typically")
    axes.set_title(f"{question.query.value} by {ENGINES[question.engine].title}: what an epsilon gives")
    axes.set_xlabel("epsilon")
    axes.set_ylabel(f"half of the {percent(question.level)} % noise interval")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    try:
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dpcloud"}), path.open("xb") as file:
            plain = {"Date": None} if path.suffix.lower() == ".svg" else None
            figure.savefig(file, format=path.suffix.lower()[1:], metadata=plain)
    except FileExistsError:
        raise InputError.of("the chart exists already", path, "a path where nothing is yet") from None
    except OSError:
        path.unlink(missing_ok=True)
        raise InputError.of("the chart cannot be written", path, "a folder with enough free space") from None


def epsilons_of(question: Question) -> list[Epsilon]:
    """Epsilons from 0.01, or the least that the query allows, to 10, evenly apart on a logarithmic axis."""
    least = max(float(smallest_epsilon(question.spec(MOST))), _FROM)
    return [Epsilon.parse(f"{least * (_TO / least) ** (i / (_POINTS - 1)):.9f}") for i in range(_POINTS)]
