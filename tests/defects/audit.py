"""`make audit`: plant the defects one by one in a copy of the project, and fail where no named test notices.

The named tests run once without any defect, too: one that is red by itself notices nothing. What counts is a test
that fails; an error while tests are collected does not (the patch is broken), nor does a run without an end.
"""

import argparse
import queue
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from defects.table import ROOT, Defect, defects
from defects.tree import Tree

TIMEOUT_SECONDS = 900
RESULTS = ROOT / "docs" / "audit.md"
_FAILED = 1  # pytest's exit code for "tests ran, and some failed"


@dataclass
class Outcome:
    """How a run of pytest ended: its exit code (None: no end), each test's outcome, and why the first failed."""

    code: int | None
    tests: dict[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Finding:
    """What became of a defect; `by` is the test that noticed, None when none did, and then `said` tells why."""

    defect: Defect
    by: str | None
    said: str
    seconds: float


def run(tree: Tree, tests: Iterable[str], cdk: bool, first_failure: bool) -> Outcome:
    """Run tests in a tree, each test by its node id."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [tree.python(cdk), "-m", "pytest", "-q", "--tb=short", f"--junitxml={report}"]
        command += ["-o", "junit_family=xunit1", *(["-x"] if first_failure else []), *tests]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            [*map(str, command)], cwd=tree.root, env=tree.environ(), stdin=quiet, stdout=quiet, stderr=quiet
        )
        try:
            code = process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # pytest takes down what its fixtures hold
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
            return Outcome(None)
        return _outcome(code, report, tree.root)


def _outcome(code: int, report: Path, root: Path) -> Outcome:
    outcome = Outcome(code)
    if not report.exists():
        return outcome
    for case in ET.parse(report).iter("testcase"):
        name = _node_id(case.get("classname", ""), case.get("name", ""), root)
        found = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome.tests[name] = "passed" if found is None else found.tag
        if found is not None and found.tag != "skipped" and not outcome.why:
            outcome.why = (found.get("message") or found.tag).strip().splitlines()[0][:160]
    return outcome


def _node_id(place: str, name: str, root: Path) -> str:
    """The node id of a test whose file and classes are joined by points; a class may inherit its tests."""
    parts = place.split(".")
    for end in range(len(parts), 0, -1):
        file = "/".join(parts[:end]) + ".py"
        if (root / file).is_file():
            return "::".join([file, *parts[end:], name])
    return f"{place}::{name}"


def green(named: str, unpatched: Outcome) -> bool:
    """Whether a named test, or all that stand under that name, pass without a defect, and at least one ran."""
    under = [how for name, how in unpatched.tests.items() if _is(name, named)]
    return "passed" in under and not {"failure", "error"} & {*under}


def _is(name: str, named: str) -> bool:
    return name == named or name.startswith((f"{named}::", f"{named}["))


def plant(tree: Tree, defect: Defect, unpatched: Outcome) -> Finding:
    """Plant one defect, run its tests, and take it out again."""
    red = [test for test in defect.tests if not green(test, unpatched)]
    if red:
        return Finding(defect, None, f"does not pass without the defect, or was skipped: {', '.join(red)}", 0)
    path = tree.root / defect.file
    source = path.read_text(encoding="utf-8")
    started = time.monotonic()
    path.write_text(defect.planted(source), encoding="utf-8")
    try:
        outcome = run(tree, defect.tests, defect.needs_cdk, first_failure=True)
    finally:
        path.write_text(source, encoding="utf-8")
    seconds = time.monotonic() - started
    by = next((name for name, how in outcome.tests.items() if how in ("failure", "error")), None)
    if outcome.code == _FAILED and by is not None:
        return Finding(defect, by, outcome.why, seconds)
    ends = {0: "MISSED: all of its tests pass", None: f"no end within {TIMEOUT_SECONDS} s"}
    return Finding(defect, None, ends.get(outcome.code, f"pytest ended with {outcome.code}: no test ran"), seconds)


def audit(chosen: Sequence[Defect], jobs: int) -> list[Finding]:
    """Plant all that are chosen, `jobs` at a time, in a tree for each."""
    with tempfile.TemporaryDirectory(prefix="audit-of-dpcloud-") as folder:
        trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for number in range(jobs):
            trees.put(Tree(Path(folder) / str(number)))

        def unpatched_of(cdk: bool) -> Outcome:
            tests = sorted({test for d in chosen if d.needs_cdk == cdk for test in d.tests})
            tree = trees.get()
            try:
                return run(tree, tests, cdk, first_failure=False) if tests else Outcome(0)
            finally:
                trees.put(tree)

        def planted(defect: Defect) -> Finding:
            tree = trees.get()
            try:
                finding = plant(tree, defect, unpatched[defect.needs_cdk])
            finally:
                trees.put(tree)
            mark = "noticed" if finding.by else "NOT NOTICED"
            print(f"{finding.seconds:5.0f} s  {mark}  {defect.area}: {defect.name}", flush=True)
            return finding

        with ThreadPoolExecutor(jobs) as pool:
            print("the named tests without any defect", flush=True)
            unpatched = dict(zip((False, True), pool.map(unpatched_of, (False, True)), strict=True))
            return list(pool.map(planted, chosen))


def table(findings: Sequence[Finding], seconds: float) -> str:
    """Return the result as Markdown."""
    noticed = sum(finding.by is not None for finding in findings)
    lines = [
        "# Planted defects: which test notices",
        "",
        f"`make audit`: {noticed} of {len(findings)} noticed, in {seconds / 60:.0f} minutes. Written by it; "
        "docs/testing.md says how it works.",
        "",
        "| area | defect | what it would do | noticed by | seconds |",
        "|---|---|---|---|---|",
    ]
    for finding in findings:
        d = finding.defect
        by = f"`{finding.by}`" if finding.by else f"**{finding.said}**"
        cells = [d.area, d.name, d.harm, by.replace("tests/", ""), f"{finding.seconds:.0f}"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Plant what the words choose; returns 1 where a defect was not noticed."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--area", help="only those of tests/defects/AREA.toml")
    parser.add_argument("--name", help="only those with these words in their name")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    given = parser.parse_args()
    chosen = [
        defect
        for defect in defects()
        if given.area in (None, "", defect.area) and (given.name or "").lower() in defect.name.lower()
    ]
    if not chosen:
        parser.error("no defect is chosen by these words")
    started = time.monotonic()
    findings = audit(chosen, max(1, given.jobs))
    seconds = time.monotonic() - started
    if not given.area and not given.name:
        RESULTS.write_text(table(findings, seconds), encoding="utf-8")
    for finding in findings:
        print(f"{finding.defect.area}: {finding.defect.name}\n    {finding.by or 'NOT NOTICED'}\n    {finding.said}")
    missed = sum(finding.by is None for finding in findings)
    print(f"{len(findings) - missed} of {len(findings)} noticed, {seconds:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
