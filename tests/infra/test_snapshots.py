"""Every stack in its scenarios as it was when somebody last looked: `make snapshots` takes new ones.

A template is kept once: where a scenario changes nothing about a stack, UNCHANGED says so.
"""

import difflib
import re
from pathlib import Path

import pytest

from infra.scenarios import SNAPSHOTS, STACKS, masked, scenario

FOLDER = Path(__file__).parent / "snapshots"
DEFAULTS = "defaults"
UNCHANGED = {
    "isolated": ("storage", "emr", "ask"),
    "emr-off": ("storage", "glue", "ask"),
    "destroy": ("network", "glue", "emr", "ask"),
    "notice": ("network", "storage", "glue", "emr", "ask"),
}
"""Which stacks are the same in a scenario as with the defaults, and so have no snapshot of their own."""


def file_of(name: str, stack: str) -> str:
    """Where the snapshot is, beneath FOLDER."""
    return f"{DEFAULTS if stack in UNCHANGED.get(name, ()) else name}/{stack}.json"


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-snapshots"))


def difference(before: str, after: str, name: str) -> str:
    """What changed, as `diff -u` says it; nothing when nothing did."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"snapshots/{name}", "synthesized now", n=6)
    return "\n".join(lines)


MORE = {"notice": ("notice", "trail")}
"""Stacks that only some scenarios have."""
EACH = [(name, stack) for name in SNAPSHOTS for stack in (*STACKS, *MORE.get(name, ()))]


@pytest.mark.parametrize(("name", "stack"), EACH)
def test_the_template_is_the_snapshot(name: str, stack: str, update: bool) -> None:
    file, now = file_of(name, stack), masked(scenario(name), stack)
    path = FOLDER / file
    if update and file == f"{name}/{stack}.json":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(now, encoding="utf-8")
    if not path.exists():
        pytest.fail(f"no snapshot {file}: `make snapshots` takes it")
    changed = difference(path.read_text(encoding="utf-8"), now, file)
    if changed and file != f"{name}/{stack}.json":
        pytest.fail(f"{name} is to leave {stack} as it is; else change UNCHANGED:\n{changed}", pytrace=False)
    if changed:
        pytest.fail(f"if this is meant, `make snapshots`:\n{changed}", pytrace=False)


def test_each_template_is_kept_once() -> None:
    kept: dict[bytes, str] = {}
    for path in sorted(FOLDER.rglob("*.json")):
        name, content = path.relative_to(FOLDER).as_posix(), path.read_bytes()
        assert content not in kept, f"{name} is {kept[content]} once more: UNCHANGED can say so"
        kept[content] = name


def test_no_snapshot_is_left_of_a_stack_or_scenario_that_is_gone(update: bool) -> None:
    wanted = {file_of(name, stack) for name in SNAPSHOTS for stack in scenario(name).templates}
    there = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
    if update:
        for name in set(there) - wanted:
            there.pop(name).unlink()
    assert set(there) == wanted


def test_a_difference_is_told() -> None:
    text = masked(scenario("defaults"), "storage")
    assert difference(text, text, "x") == ""
    changed = difference(text, text.replace('"Enabled"', '"Suspended"'), "x")
    assert '-     "Status": "Enabled"' in changed
    assert '+     "Status": "Suspended"' in changed


def test_no_hash_of_a_file_is_in_a_snapshot() -> None:
    now = scenario("defaults")
    assert "<TumultAna/Script>.py" in masked(now, "glue")
    for stack in STACKS:
        assert not re.search("[0-9a-f]{64}", masked(now, stack))
