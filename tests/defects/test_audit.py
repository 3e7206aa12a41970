"""The audit itself, on a project of three lines: what counts as noticed, and what does not."""

from pathlib import Path

import pytest

from defects import audit
from defects.audit import Outcome, green, plant, table
from defects.table import Defect

TESTS = {
    "test_it": "from small import double\n\ndef test_double():\n    assert double(2) == 4\n",
    "test_red": "def test_red():\n    assert not 'by itself'\n",
    "test_skipped": "import pytest\n\ndef test_skipped():\n    pytest.skip('always')\n",
    "test_class": "from contract import Contract\n\nclass TestIt(Contract):\n    pass\n",
    "contract": "from small import double\n\nclass Contract:\n"
    "    def test_double(self):\n        assert double(2) == 4\n",
}


class SmallTree:
    """What the audit needs of a tree, without a copy of this project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "small.py").write_text("def double(x):\n    return 2 * x\n")
        for name, text in TESTS.items():
            (root / f"{name}.py").write_text(text)

    def python(self, cdk: bool) -> Path:
        import sys

        return Path(sys.executable)

    def environ(self) -> dict[str, str]:
        return {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.root)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> SmallTree:
    return SmallTree(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def unpatched(tree: SmallTree) -> Outcome:
    return audit.run(tree, [f"{name}.py" for name in TESTS if name != "contract"], cdk=False, first_failure=False)


def planted(tree: SmallTree, unpatched: Outcome, new: str, test: str) -> audit.Finding:
    found = plant(tree, Defect("area", "a name", "a harm", "small.py", "2 * x", new, (test,)), unpatched)
    assert "2 * x" in (tree.root / "small.py").read_text()  # taken out again
    return found


@pytest.mark.parametrize("test", ["test_it.py", "test_it.py::test_double", "test_class.py::TestIt::test_double"])
def test_a_failing_test_notices(tree: SmallTree, unpatched: Outcome, test: str) -> None:
    found = planted(tree, unpatched, "3 * x", test)
    assert found.by is not None
    assert found.by.startswith(test)
    assert "AssertionError" in found.said or "assert 6 == 4" in found.said


@pytest.mark.parametrize(
    ("new", "test", "said"),
    [
        ("x + x", "test_it.py", "MISSED"),
        ("3 * x", "test_red.py::test_red", "does not pass without the defect"),
        ("3 * x", "test_skipped.py", "or was skipped"),
        ("3 * x", "test_it.py::test_gone", "does not pass without the defect"),
        ("2 * x\nimport nothing", "test_it.py", "no test ran"),
    ],
)
def test_nothing_else_does(tree: SmallTree, unpatched: Outcome, new: str, test: str, said: str) -> None:
    found = planted(tree, unpatched, new, test)
    assert found.by is None
    assert said in found.said


def test_what_has_no_end_is_not_noticed(tree: SmallTree, unpatched: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "TIMEOUT_SECONDS", 3)
    found = planted(tree, unpatched, "__import__('time').sleep(60)", "test_it.py")
    assert (found.by, found.said) == (None, "no end within 3 s")


def test_a_named_file_is_green_when_all_that_ran_in_it_passed() -> None:
    ran = Outcome(1, {"t.py::a": "passed", "t.py::b[1]": "failure", "t.py::b[2]": "passed", "t.py::bc": "passed"})
    assert [green(named, ran) for named in ("t.py", "t.py::a", "t.py::b", "t.py::bc")] == [False, True, False, True]


def test_the_table_names_who_noticed() -> None:
    defect = Defect("area", "a name", "a | harm", "small.py", "2 * x", "x", ("tests/test_it.py",))
    noticed, missed = (audit.Finding(defect, by, "why", 3) for by in ("tests/test_it.py::test_double", None))
    text = table([noticed, missed], 90)
    assert "1 of 2 noticed" in text
    assert "| area | a name | a \\| harm | `test_it.py::test_double` | 3 |" in text
    assert "**why**" in text
