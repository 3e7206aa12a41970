"""`dpcloud plan`: its numbers agree with each other and with the estimator, and it reads nothing."""

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dpcloud.cli import main
from dpjobs.engines import ENGINES

BOUNDS = {
    "COUNT": [],
    "SUM": ["--lower", "0", "--upper", "20000"],
    "MEAN": ["--lower", "0", "--upper", "20000"],
    "VARIANCE": ["--lower", "-100", "--upper", "300"],
}
WHOLE = {"COUNT": 74_001, "SUM": 74_001 * 20_000, "MEAN": 20_000, "VARIANCE": 400**2 / 4}


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    main(["plan", *words, "--json"])
    shown = capsys.readouterr()
    assert shown.err == ""
    return json.loads(shown.out)


@pytest.fixture(autouse=True)
def _nothing_is_touched(tmp_path: Path) -> Any:
    yield
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("query", BOUNDS)
def test_margin_to_epsilon_and_back(query: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--query", query, *BOUNDS[query], "--rows", "74001"]
    for margin in ("1%", "0.1%"):
        absolute = float(margin.rstrip("%")) / 100 * WHOLE[query]
        for needed, same in zip(
            planned(capsys, *words, "--margin", margin),
            planned(capsys, *words, "--margin", repr(absolute)),
            strict=True,
        ):
            assert needed == same
            assert 0 < needed["worst"] <= absolute
            epsilon = f"{needed['epsilon']:.9f}"
            back = planned(capsys, *words, "--epsilon", epsilon, "--engine", needed["engine"])
            assert back == [needed]
            # three digits: 1.5 % less would not do (a discrete quantile moves in steps of one)
            less = f"{needed['epsilon'] * 0.985:.9f}"
            assert planned(capsys, *words, "--epsilon", less, "--engine", needed["engine"])[0]["worst"] >= min(
                absolute, math.floor(absolute)
            )


@pytest.mark.parametrize(
    ("query", "lower", "upper", "whole"),
    [("SUM", "-300", "100", 300_000), ("SUM", "100", "300", 300_000), ("MEAN", "100", "300", 200),
     ("VARIANCE", "100", "300", 10_000)],
)  # fmt: skip
def test_what_a_margin_in_percent_is_of(
    query: str, lower: str, upper: str, whole: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the larger bound, for a SUM, and not of their distance: that would plan with too little epsilon."""
    words = ["--query", query, "--lower", lower, "--upper", upper, "--rows", "1000"]
    assert planned(capsys, *words, "--margin", "10%") == planned(capsys, *words, "--margin", str(whole / 10))


@pytest.mark.parametrize("query", BOUNDS)
def test_more_epsilon_more_rows_and_less_confidence_narrow_the_interval(
    query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def worst(epsilon: str = "1", rows: str = "10000", confidence: str = "0.95") -> list[float]:
        words = ["--query", query, *BOUNDS[query], "--epsilon", epsilon, "--rows", rows, "--confidence", confidence]
        return [found["worst"] for found in planned(capsys, *words)]

    for base, more, sure in zip(worst(), worst(epsilon="4"), worst(confidence="0.99"), strict=True):
        assert more < base < sure
    if query in ("MEAN", "VARIANCE"):
        for base, longer in zip(worst(), worst(rows="1,000,000"), strict=True):
            assert longer < base


def test_known_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """A count at epsilon 0.01: Laplace noise of scale 100, of which 95 % lies within 100·ln 20 = 299.6."""
    for found in planned(capsys, "--query", "COUNT", "--rows", "5", "--epsilon", "0.01"):
        assert found["worst"] == found["even"] == pytest.approx(100 * math.log(20), abs=1.5)
    words = ["--query", "SUM", "--lower", "-50", "--upper", "20", "--rows", "9", "--epsilon", "0.5"]
    for found in planned(capsys, *words):
        assert found["worst"] == pytest.approx(50 / (0.5 * 0.95) * math.log(20), rel=1e-3)  # 5 % is the check's


def test_the_mean_of_the_articles_question(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--query", "MEAN", "--lower", "0", "--upper", "20000", "--rows", "74001", "--epsilon", "1"]
    for found in planned(capsys, *words):
        # Tumult: the sum alone (scale R/2 / 0.5) has the half width R·ln 20 / 74,001, the count's noise comes on top;
        # high and low tokens weigh by a half each where values spread evenly: exp(−t)·(1 + t/2) = 1/20 at 4.113
        alone = 20_000 * (math.log(20) if found["engine"] == "tumult" else 4.113 / 2) / 74_001
        assert alone * 0.99 < found["even"] < 1.2 * alone
        assert found["even"] < found["worst"] < 2 * alone


def test_engines_that_draw_alike_have_equal_plans(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--query", "MEAN", "--lower", "0", "--upper", "20000", "--rows", "74001"]
    for option in (["--epsilon", "1"], ["--margin", "1%"]):
        planned_ = {found.pop("engine"): found for found in planned(capsys, *words, *option)}
        assert list(planned_) == list(ENGINES)
        assert planned_["opendp"] == planned_["tumult-core"] == planned_["diffprivlib"]
        assert planned_["tumult"] != planned_["tumult-core"]  # its cells are separate
        [alone] = planned(capsys, *words, *option, "--engine", "tumult")
        assert alone == {"engine": "tumult", **planned_["tumult"]}


def test_a_table_of_a_few_rows_gives_the_whole_range(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--query", "MEAN", "--lower", "0", "--upper", "10", "--rows", "1", "--epsilon", "0.1"]
    for found in planned(capsys, *words):
        assert found["worst"] == 10


def test_a_constant_costs_nothing_to_know(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--query", "SUM", "--lower", "0", "--upper", "0", "--rows", "1000", "--epsilon", "1"]
    assert [found["worst"] for found in planned(capsys, *words)] == [0] * len(ENGINES)


def test_the_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--query", "mean", "--lower", "0", "--upper", "20000", "--rows", "74,001", "--engine", "Tumult"]
    main([*words, "--epsilon", "0.50", "--confidence", "0.9"])
    line, meaning = capsys.readouterr().out.splitlines()
    assert line.startswith("Tumult Analytics: epsilon 0.5 gives a 90 % noise interval of ± ")
    assert meaning == "For 74,001 rows, your guess; protects one row; nothing was read and nothing spent."


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--query", "MEDIAN"], "unknown query: given 'MEDIAN'; allowed: COUNT, SUM, MEAN, VARIANCE"),
        (["--engine", "spark"], "unknown engine: given 'spark'; allowed: pipelinedp, opendp, "),
        (["--rows", "0"], "rows: given '0'; allowed: a whole number from 1"),
        (["--rows", "1e6"], "rows: given '1e6'"),
        (["--rows", "-5"], "rows: given '-5'"),
        (["--rows", "1" * 5000], "rows: given '111"),
        (["--rows", "²"], "rows: given '²'"),
        (["--epsilon", "0"], "epsilon is out of range: given '0'"),
        (["--epsilon", "nan"], "epsilon is not a number: given 'nan'"),
        (["--epsilon", "0.000001"], "epsilon is too small for MEAN: given '0.000001'"),
        (["--epsilon", "0.000001", "--engine", "tumult"], "epsilon is too small for MEAN: given '0.000001'"),
        (["--margin", "1%"], "plan needs --epsilon or --margin, one of both"),
        (["--upper", "-1"], "lower is above upper: given 'lower 0, upper -1'"),
        (["--upper", "inf"], "upper is not a finite number: given 'inf'"),
        (["--upper", "2e30"], "upper is out of range: given '2e30'"),
        (["--confidence", "95"], "confidence: given '95'; allowed: a number from 0.5 to 0.999999"),
        (["--confidence", "1"], "confidence: given '1'"),
        (["--confidence", "nan"], "confidence: given 'nan'"),
    ],
)
def test_bad_input(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = ["--query", "MEAN", "--lower", "0", "--upper", "10", "--rows", "100", "--epsilon", "1"]
    assert what in refused(capsys, *good, *words)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "plan needs --epsilon or --margin"),
        (["--margin", "0"], "margin: given '0'; allowed: a number above 0"),
        (["--margin", "-1%"], "margin: given '-1%'"),
        (["--margin", "nan"], "margin is not a finite number: given 'nan'"),
        (["--margin", "%"], "margin is not a finite number: given ''"),
        (["--margin", "1 percent"], "margin is not a finite number: given '1 percent'"),
        (["--margin", "0.0001%"], "no epsilon gives this margin"),
    ],
)
def test_bad_margin(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = ["--query", "MEAN", "--lower", "0", "--upper", "10", "--rows", "100"]
    assert what in refused(capsys, *good, *words)


def test_bounds_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    good = ["--query", "VARIANCE", "--rows", "100", "--epsilon", "1"]
    assert "no bounds: planning VARIANCE needs them" in refused(capsys, *good)
    assert "only one bound: given 'lower 0'" in refused(capsys, *good, "--lower", "0")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The line for these options, of which a later one takes the place of an earlier."""
    with pytest.raises(SystemExit) as left:
        main(
            ["plan", *(f"{name}={value}" for name, value in dict(zip(words[::2], words[1::2], strict=True)).items())]
        )
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert len(shown.err) < 400
    return shown.err


def test_epsilon_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--query", "COUNT", "--rows", "10", "--margin", "10%", "--engine", "tumult"])
    text = capsys.readouterr().out
    epsilon = Decimal(text.split("epsilon ")[1].split()[0])
    assert 1 < epsilon < 1000
    assert epsilon == round(epsilon, 2)
