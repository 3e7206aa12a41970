"""The docs against the code and against each other: pages that are written from the code, links, and the index."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from tools import docs

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOT_OURS = {".venv", "build", "node_modules", "cdk.out"}  # and hidden folders
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in NOT_OURS or part.startswith(".") for part in path.relative_to(ROOT).parts)
)
MADE_LATER = {"README.md"}  # the index itself
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(path: Path) -> str:
    """A page without its blocks of code, where brackets are no links and # begins a comment."""
    return re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    wrong = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("path", docs.pages(), ids=lambda path: path.name)
def test_a_page_that_is_written_from_the_code_is_not_stale(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == docs.pages()[path], "run `make docs`"


def test_every_setting_has_a_meaning_and_every_meaning_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for changed in (
        {k: v for k, v in docs.MEANINGS.items() if k != "emr.zone"},
        {**docs.MEANINGS, "emr.planet": "where"},
    ):
        monkeypatch.setattr(docs, "MEANINGS", changed)
        with pytest.raises(ValueError, match=r"settings without a meaning, .*: emr\.(zone|planet)$"):
            docs.settings_page()


def test_every_setting_is_in_a_table() -> None:
    """A new block without a heading would else be left out in silence."""
    keys = re.findall(r"^\| `([^`]+)` \|", docs.settings_page(), flags=re.MULTILINE)
    assert sorted(keys) == sorted(docs.MEANINGS)


def test_no_page_tells_where_it_was_written() -> None:
    for text in docs.pages().values():
        assert str(ROOT) not in text
        assert str(Path.home()) not in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One, two\n[a](page.md#one-two) [b](#one) [c](none.md) [d](https://e.org) ![e](f.png)\n")
    assert broken(page) == ["#one", "none.md", "f.png"]


CODE = ("src", "stacks", "smoke", "tools", "bench", "glue_scripts", "emr_assets")
NAMED = re.compile(r"(?<![\w/.*-])(?:src|stacks|smoke|tools|tests|bench|docs)/[\w/-]+\.(?:py|md|toml|csv|sh)\b")


def test_every_file_of_ours_that_is_named_is_there() -> None:
    """In comments, docstrings and pages: a file that has moved takes its references along."""
    texts = [*PAGES, ROOT / "Makefile", *(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))]
    named = {(path, name) for path in texts for name in NAMED.findall(path.read_text(encoding="utf-8"))}
    gone = {f"{path.relative_to(ROOT)}: {name}" for path, name in named if not (ROOT / name).exists()}
    gone = {text for text in gone if not text.endswith(("AREA.toml", "NAME.toml", "NAME.py", *MADE_LATER))}
    assert sorted(gone) == []
    assert len(named) > 20


def test_the_index_has_every_file_of_the_docs() -> None:
    listed = {link for link in LINK.findall(prose(DOCS / "README.md")) if not link.startswith("..")}
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*") if path.is_file()}
    assert listed == there - MADE_LATER


def test_every_test_that_the_threat_model_names_is_there() -> None:
    text = (DOCS / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 30
    for file, test in named:
        assert re.search(rf"^ *def {test or 'test_'}", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), file
