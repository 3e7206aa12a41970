"""What the screen says of what an answer leaves out and clamps, next to what the release says."""

import json
from typing import Any

import pytest

from dpcloud.output import show_releases
from dpjobs import job
from dpjobs.plan import Rows
from dpjobs.query import Query
from library.test_left_out import release, spec

ROWS = {Rows.NO_NUMBER: 3000, Rows.EMPTY: 1000, Rows.BROKEN_LINE: 5000, Rows.BELOW: 250, Rows.ABOVE: 150}
NOT_ASKED = "How many numbers lie beyond the bounds was not asked (--check-share 0).\n"


def shown(told: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    show_releases(job.Outcome({"r": json.dumps(told)}, {"r": 1.0}), None)
    return capsys.readouterr().out


def test_each_warning_of_the_release_and_each_kind_with_its_noise(capsys: pytest.CaptureFixture[str]) -> None:
    told = release(spec(Query.MEAN), ROWS)
    screen = shown(told, capsys)
    assert len(told["warnings"]) == screen.count("WARNING: ") == 5
    for warning in told["warnings"]:
        assert f"WARNING: {warning}.\n" in screen
    assert (
        "Left out or clamped, with noise: 3,000 ± 3 are no numbers, 1,000 ± 3 are empty, "
        "5,000 ± 3 on lines of another width, 250 ± 60 below the bounds, 150 ± 60 above.\n"
    ) in screen
    assert NOT_ASKED not in screen


def test_a_count_that_is_mostly_noise_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    told = release(spec(Query.COUNT), {}, 2)
    [warning] = told["warnings"]
    assert f"WARNING: {warning}.\n" in shown(told, capsys)
    del told["warnings"]  # as the first versions wrote it
    assert "WARNING" not in shown(told, capsys)


def test_the_warnings_of_every_engine_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence that several say is printed once, with their names, though its noisy numbers differ."""
    few, more = {Rows.NO_NUMBER: 3000}, {Rows.NO_NUMBER: 3100, Rows.EMPTY: 1000}
    releases = {"a": release(spec(Query.MEAN), few), "b": release(spec(Query.MEAN, "tumult"), more)}
    releases["c"] = {**releases["a"], "engine": "pipelinedp"}
    show_releases(job.Outcome({name: json.dumps(told) for name, told in releases.items()}, {}), None)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WARNING")]
    [words], [_, empty] = releases["a"]["warnings"], sorted(releases["b"]["warnings"], key=lambda w: "empty" in w)
    assert lines == [
        f"WARNING, by OpenDP, PipelineDP, and in numbers of their own by Tumult Analytics: {words}.",
        f"WARNING, by Tumult Analytics: {empty}.",
    ]


def test_what_was_not_asked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    screen = shown(release(spec(Query.MEAN, share="0"), {}), capsys)
    assert NOT_ASKED in screen
    assert "WARNING" not in screen


def test_a_count_leaves_nothing_out(capsys: pytest.CaptureFixture[str]) -> None:
    screen = shown(release(spec(Query.COUNT), {}), capsys)
    assert "Left out" not in screen
    assert NOT_ASKED not in screen
    assert "The noise interval holds the count of filled cells (whatever stands in them) in 95 of 100 runs." in screen
