"""Which engines an option names, and what is said of one that is not hardened."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from dpcloud.cli import main
from dpcloud.engines import engines_of
from dpcloud.output import show_releases
from dpjobs.draws import Draws
from dpjobs.engines import ENGINES
from dpjobs.engines.base import Noisy
from dpjobs.errors import InputError
from dpjobs.job import Outcome
from dpjobs.query import JobSpec, PrivacyBudget, Query
from dpjobs.release import to_json
from dpjobs.statistics import STATISTICS

EVERYWHERE = [name for name in ENGINES if name not in ("tumult", "diffprivlib")]  # Spark's, and the unhardened one


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("opendp", ["opendp"]),
        (" OpenDP ", ["opendp"]),
        ("tumult,pipelinedp", ["tumult", "pipelinedp"]),
        ("PipelineDP, Tumult-Core", ["pipelinedp", "tumult-core"]),
        ("both", ["tumult", "pipelinedp"]),
        ("all", EVERYWHERE),
        (" ALL ", EVERYWHERE),
    ],
)
def test_one_several_or_all(text: str, names: list[str]) -> None:
    assert engines_of(text, "laptop", unhardened=False) == names


def test_all_are_those_that_run_where_the_target_counts() -> None:
    """On a laptop without Java: `tumult` alone would start Spark, and for it alone everything would wait."""
    assert "tumult" not in engines_of("all", "laptop", unhardened=True)
    assert engines_of("all", "spark", unhardened=True) == list(ENGINES)
    assert engines_of("all", None, unhardened=True) == list(ENGINES)


@pytest.mark.parametrize("target", ["laptop", "spark", None])
def test_what_is_not_hardened_is_in_all_only_where_that_is_said(target: str | None) -> None:
    assert "diffprivlib" not in engines_of("all", target, unhardened=False)
    assert "diffprivlib" in engines_of("all", target, unhardened=True)


@pytest.mark.parametrize("text", ["diffprivlib", "opendp,DiffPrivLib"])
def test_an_engine_that_is_not_hardened_needs_a_word_for_it(text: str) -> None:
    with pytest.raises(InputError, match=r"^an engine that is not hardened: given 'diffprivlib'.*--unhardened"):
        engines_of(text, "laptop", unhardened=False)
    assert engines_of(text, "laptop", unhardened=True)[-1] == "diffprivlib"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown engine: given ''"),
        (",", "unknown engine: given ''"),
        ("opendp,", "unknown engine: given ''"),
        ("opendb", "unknown engine: given 'opendb'; allowed: .*opendp.*diffprivlib, or all by itself$"),
        ("opendp,all", "unknown engine: given 'all'; allowed: .*, or all by itself$"),
        ("opendp;tumult", "unknown engine"),
        ("opendp,opendp", "an engine given twice: given 'opendp,opendp'"),
        ("OpenDP, opendp", "an engine given twice"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as told:
        engines_of(text, "laptop", unhardened=True)
    assert "\n" not in str(told.value)


def test_the_command_spends_nothing_on_what_is_not_hardened(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("x\n1\n")
    with pytest.raises(SystemExit) as end:
        main(["run", "--engine", "diffprivlib", "--query", "COUNT", "--epsilon", "1", "--file", str(table)])
    assert end.value.code == 2
    assert "not hardened" in capfd.readouterr().err
    assert not (tmp_path / "home").exists()


def release_of(engine: str) -> str:
    spec = JobSpec(
        run_id=f"r-{engine}", dataset="d", engine=engine, query=Query.COUNT, column=None,
        budget=PrivacyBudget(Decimal("0.5")), uri="/d.csv", format="csv",
    )  # fmt: skip
    statistic = STATISTICS[Query.COUNT]
    plan = statistic.plan(None, None, Decimal("0.5"))
    noisy = [Noisy(cell, 7, ENGINES[engine].noise(cell.scale)) for cell in plan.cells]
    draws = Draws(tuple(noisy), "1", "known", "2")
    return to_json(spec, plan, draws, statistic.estimate(plan, noisy, 0.95), "1", None)


@pytest.fixture
def shown(capfd: pytest.CaptureFixture[str]) -> Iterator[str]:
    releases = {f"r-{engine}": release_of(engine) for engine in ENGINES}
    show_releases(Outcome(releases, dict.fromkeys(releases, 1.0)), None)
    return capfd.readouterr().out


@pytest.mark.parametrize("engine", ENGINES)
def test_a_release_says_whether_its_sampler_is_hardened(engine: str) -> None:
    said = "not hardened, for comparison" if engine == "diffprivlib" else "hardened"
    assert json.loads(release_of(engine))["sampler"] == said


def test_the_screen_says_so_too(shown: str) -> None:
    [line] = [line for line in shown.splitlines() if "NOT HARDENED" in line]
    assert line.startswith("DiffPrivLib: NOT HARDENED, for comparison")
    assert f"{len(ENGINES)} engines: epsilon is spent once for each, {len(ENGINES) / 2:g} in all." in shown
    assert all(listed.title in shown for listed in ENGINES.values())
