"""The table of planted defects fits the code as it is; whether they are noticed is what `make audit` finds out."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from defects.table import ROOT, Defect, defects

LEAST = 100
ALL = defects()
EACH = pytest.mark.parametrize("defect", ALL, ids=lambda defect: f"{defect.area}: {defect.name}")


def test_there_are_enough_of_them() -> None:
    assert len(ALL) >= LEAST


def test_each_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(defect.name for defect in ALL).items() if times > 1] == []


def test_no_two_are_the_same_patch() -> None:
    patches = Counter((defect.file, defect.old, defect.new) for defect in ALL)
    assert [patch for patch, times in patches.items() if times > 1] == []


@EACH
def test_its_place_is_clear_and_its_harm_is_said(defect: Defect) -> None:
    planted = defect.planted((ROOT / defect.file).read_text(encoding="utf-8"))
    assert defect.old != defect.new
    if defect.file.endswith(".py"):
        compile(planted, defect.file, "exec")  # a text that is no Python would be noticed by every test
    assert not defect.file.startswith("tests/")
    assert len(defect.name.split()) >= 3
    assert len(defect.harm.split()) >= 4


@EACH
def test_the_tests_that_it_names_are_there(defect: Defect) -> None:
    assert len({test.startswith("tests/infra/") for test in defect.tests}) == 1, "one environment for a defect"
    for test in defect.tests:
        file, *names = test.split("[")[0].split("::")
        assert Path(file).name.startswith("test_")
        assert set(names) <= names_in(ROOT / file), test


@cache
def names_in(path: Path) -> set[str]:
    """The test functions and classes of a file, with those that it imports to inherit from."""
    found, files, seen = set(), [path], set()
    while files:
        file = files.pop()
        seen.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.ImportFrom) and node.module:
                other = ROOT / "tests" / f"{node.module.replace('.', '/')}.py"
                files += [other] if other.exists() and other not in seen else []
    return found


def test_a_defect_whose_place_is_not_clear_is_refused(tmp_path: Path) -> None:
    defect = Defect("area", "a name", "a harm", "f.py", "x", "y", ("tests/test_f.py",))
    for source in ("a", "xx"):
        with pytest.raises(ValueError, match="not once"):
            defect.planted(source)
    assert defect.planted("axb") == "ayb"


@pytest.mark.parametrize(
    "changed", ["", "more = 1", 'tests = []\nname = "n"', 'tests = [1]\nname = "n"', 'tests = ["t"]\nname = 1']
)
def test_an_entry_of_another_form_is_refused(changed: str, tmp_path: Path) -> None:
    text = '[[defect]]\nharm = "h"\nfile = "f"\nold = "o"\nnew = "w"\n'
    (tmp_path / "area.toml").write_text(f'{text}name = "n"\ntests = ["t"]\n')
    assert [defect.area for defect in defects(tmp_path)] == ["area"]
    (tmp_path / "area.toml").write_text(text + changed)
    with pytest.raises(ValueError, match="entry 1"):
        defects(tmp_path)
