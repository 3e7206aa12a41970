"""`dpcloud plan` in the terms people think in: percentages of the answer, a table, a picture, the whole epsilon."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dpcloud.cli import main
from dpcloud.plan_chart import epsilons_of
from dpcloud.plan_text import rounded, table
from dpcloud.planning import Expected, Question, expected
from dpjobs.answers import plan_for
from dpjobs.engines import ENGINES
from dpjobs.epsilon import Epsilon
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query

MEAN = ["plan", "--query", "MEAN", "--lower", "0", "--upper", "20", "--rows", "900"]
QUESTION = Question("pipelinedp", Query.MEAN, Bounds(0, 20), 900, 0.95)


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main([*words])
    out, err = capsys.readouterr()
    assert err == ""
    return out


def in_json(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    return json.loads(shown(capsys, *words, "--json"))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as left:
        main([*words])
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert err.count("\n") == 1
    return err


# -- what a percentage is of


@pytest.mark.parametrize("guess", ["2.86", "-2.86"])
def test_a_margin_of_the_answer_is_of_the_guess(guess: str, capsys: pytest.CaptureFixture[str]) -> None:
    of_answer = in_json(capsys, *MEAN, "--margin", "2%", "--of", "answer", f"--guess={guess}")
    assert of_answer == in_json(capsys, *MEAN, "--margin", repr(2.86 / 100 * 2))
    assert of_answer != in_json(capsys, *MEAN, "--margin", "2%")
    assert in_json(capsys, *MEAN, "--margin", "2%", "--of", "range") == in_json(capsys, *MEAN, "--margin", "0.4")


def test_the_screen_says_what_a_percentage_is_of(capsys: pytest.CaptureFixture[str]) -> None:
    screen = shown(capsys, *MEAN, "--margin", "2%", "--of", "answer", "--guess", "2.86", "--engine", "opendp")
    assert "± 0.0572 at most, 2.00 % of the answer; typically ± " in screen
    assert "A percentage is of the answer, by your guess 2.86." in screen


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--of", "answer"], "a percentage of the answer needs your own guess of it; allowed: --guess"),
        (["--of", "answer", "--guess", "0"], "guess: given '0'; allowed: a number other than 0"),
        (["--of", "answer", "--guess", "nan"], "guess is not a finite number: given 'nan'"),
        (["--guess", "2.86"], "a guess of the answer is for --of answer: given '2.86'"),
        (["--of", "rows"], "no such --of: given 'rows'; allowed: range or answer"),
        (["--check-share", "1"], "check share: given '1'"),
    ],
)
def test_bad_input(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, *MEAN, "--margin", "2%", *words)


# -- the whole of epsilon


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("query", Query)
def test_an_answer_is_planned_with_what_a_run_leaves_it(query: Query, engine: str) -> None:
    """By the numbers, not by the code that splits it: 5 % less of epsilon for all that have bounds."""
    bounds = None if query is Query.COUNT else Bounds(0, 20)
    question = Question(engine, query, bounds, 900, 0.95)
    without = question._replace(check_share=Decimal(0))
    left = "1" if query is Query.COUNT else "0.95"
    assert expected(question, Epsilon(1)) == expected(without, Epsilon.parse(left))
    column = None if query is Query.COUNT else "x"
    spec = JobSpec("r", "d", engine, query, column, PrivacyBudget(Epsilon(1)), "/t.csv", "csv", bounds)
    spent = plan_for(engine, query, column, bounds, spec.answer_budget())
    assert spent == plan_for(engine, query, column, bounds, Epsilon.parse(left))


def test_another_share_is_planned_with_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    half = in_json(capsys, *MEAN, "--epsilon", "1", "--check-share", "0.5")
    none = in_json(capsys, *MEAN, "--epsilon", "0.5", "--check-share", "0")
    assert [one["worst"] for one in half] == [one["worst"] for one in none]
    assert "50 % of epsilon goes to" in shown(capsys, *MEAN, "--epsilon", "1", "--check-share", "0.5")
    assert "of epsilon goes to" not in shown(capsys, *MEAN, "--epsilon", "1", "--check-share", "0")


# -- the table


def test_without_epsilon_and_margin_there_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    found = in_json(capsys, *MEAN)
    assert found == in_json(capsys, *MEAN, "--table")
    assert {one["rows"] for one in found} == {90, 900, 9000}
    assert {one["epsilon"] for one in found} == {0.01, 0.03, 0.1, 0.3, 1, 3, 10}
    assert {one["engine"] for one in found} == set(ENGINES)
    for one in found:
        of = QUESTION._replace(engine=one["engine"], rows=one["rows"])
        assert (one["typical"], one["worst"]) == expected(of, Epsilon.parse(str(one["epsilon"])))


def test_the_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    first, *lines = shown(capsys, *MEAN, "--engine", "pipelinedp").splitlines()
    assert first == "PipelineDP: half of the 95 % noise interval of a MEAN, at most (typically)"
    assert lines[0].split() == ["epsilon", "90", "rows", "900", "rows", "9,000", "rows"]
    assert lines[1].split()[:4] == ["0.01", "whole", "range", "(20)"]
    one = expected(QUESTION._replace(rows=9000), Epsilon(1))
    assert lines[5].endswith(f"± {rounded(one.worst, 2)} ({rounded(one.typical, 2)})")
    assert len({len(line) for line in lines[:8]}) == 1
    assert lines[9] == "A percentage is of the range, which is upper − lower: 20."


def test_the_whole_range_is_said_where_it_is_and_nowhere_else() -> None:
    for worst, said in ((19.9, "± 20 (5.0)"), (20.0, "whole range (5.0)")):
        assert table(["P"], QUESTION, {(Epsilon(1), 900): Expected(5.0, worst)}).splitlines()[2].endswith(said)


def test_the_line_for_people_says_both_margins(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MEAN, "--epsilon", "1", "--engine", "opendp"]
    [one] = in_json(capsys, *words)
    worst, percent, typical = (rounded(x, 3) for x in (one["worst"], one["worst"] / 0.2, one["typical"]))
    assert worst != typical
    assert f"± {worst} at most, {percent} % of the range; typically ± {typical}\n" in shown(capsys, *words)


def test_engines_that_draw_alike_share_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    heads = [line for line in shown(capsys, *MEAN).splitlines() if "half of the" in line]
    assert [head.split(":")[0] for head in heads] == [
        "PipelineDP", "OpenDP, Tumult Core, DiffPrivLib", "Tumult Analytics"
    ]  # fmt: skip


def test_a_table_beside_an_epsilon_has_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = in_json(capsys, *MEAN, "--epsilon", "0.7", "--table", "--engine", "opendp")
    assert (first["epsilon"], first["rows"]) == (0.7, 900)
    assert first in rest
    assert len(rest) == 8 * 3


def test_an_epsilon_that_is_too_small_is_no_margin(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--check-share", "0.99999", "--engine", "tumult"]
    found = in_json(capsys, *MEAN, *words)
    assert {(one["typical"], one["worst"]) for one in found if one["epsilon"] == 0.01} == {(None, None)}
    assert "epsilon too small" in shown(capsys, *MEAN, *words)


@pytest.mark.parametrize(
    ("number", "digits", "said"),
    [
        (123456, 2, "130,000"),
        (0.0101, 2, "0.011"),
        (0, 2, "0"),
        (20.0, 2, "20"),
        (1.2e20, 2, "1.2e+20"),
        (9.99, 2, "10"),
    ],
)
def test_numbers_are_rounded_up(number: float, digits: int, said: str) -> None:
    assert rounded(number, digits) == said


# -- the picture


def test_a_chart_shows_each_number_of_rows_at_most_and_typically(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "margins.svg"
    shown(capsys, *MEAN, "--chart", str(path))
    texts = {text.text for text in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")}
    assert {f"{n} rows, {how}" for n in ("90", "900", "9,000") for how in ("at most", "typically")} <= texts
    assert {"epsilon", "half of the 95 % noise interval", "MEAN by PipelineDP: what an epsilon gives"} <= texts
    assert refused(capsys, *MEAN, "--chart", str(path)).startswith("dpcloud: the chart exists already")
    count = ["plan", "--query", "COUNT", "--rows", "5"]
    shown(capsys, *count, "--epsilon", "1", "--chart", str(tmp_path / "c.png"))
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_chart_draws_the_margins_that_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes

    drawn: dict[str, tuple[list[float], list[float]]] = {}
    plot = Axes.plot

    def noting(axes: Axes, x: list[float], y: list[float], **how: Any) -> Any:
        drawn[how["label"]] = x, y
        return plot(axes, x, y, **how)

    monkeypatch.setattr(Axes, "plot", noting)
    path = tmp_path / "c.svg"
    shown(capsys, *MEAN, "--engine", "tumult", "--confidence", "0.9", "--check-share", "0.5", "--chart", str(path))
    assert "half of the 90 % noise interval" in path.read_text()
    assert "MEAN by Tumult Analytics" in path.read_text()
    question = QUESTION._replace(engine="tumult", level=0.9, check_share=Decimal("0.5"))
    for rows in (90, 900, 9000):
        of = question._replace(rows=rows)
        margins = [expected(of, epsilon) for epsilon in epsilons_of(of)]
        x = [float(epsilon) for epsilon in epsilons_of(of)]
        assert drawn.pop(f"{rows:,} rows, at most") == (x, [margin.worst for margin in margins])
        assert drawn.pop(f"{rows:,} rows, typically") == (x, [margin.typical for margin in margins])
    assert not drawn


def test_epsilons_of_a_chart_are_all_allowed() -> None:
    for engine in ENGINES:
        found = epsilons_of(QUESTION._replace(engine=engine))
        assert (found[0], found[-1], len(set(found))) == (Epsilon.parse("0.01"), Epsilon(10), 25)
    narrow = epsilons_of(QUESTION._replace(engine="tumult", check_share=Decimal("0.9999")))
    assert expected(QUESTION._replace(engine="tumult", check_share=Decimal("0.9999")), narrow[0])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.pdf", "no such kind of picture: given 'a.pdf'; allowed: a name that ends in .svg or .png"),
        ("chart", "no such kind of picture: given 'chart'"),
        ("missing/a.svg", "the chart cannot be written: given "),
    ],
)
def test_charts_that_cannot_be(name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, *MEAN, "--chart", str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_without_a_chart_nothing_waits_for_the_library() -> None:
    code = f"import sys; from dpcloud.cli import main; main({MEAN!r}); assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
