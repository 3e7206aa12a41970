"""`make mutants`: mutmut changes the pure arithmetic in every small way it knows; docs/mutants.md says what survives.

It runs in a copy of the project, for it writes its mutants beside what it mutates.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from defects.table import ROOT
from defects.tree import Tree

RESULTS = ROOT / "docs" / "mutants.md"
_END = "## Read one by one"


def main() -> int:
    """Run mutmut and write down its counts and survivors; returns its exit code."""
    with tempfile.TemporaryDirectory(prefix="mutants-of-dpcloud-") as folder:
        tree = Tree(Path(folder))

        def mutmut(*words: str) -> subprocess.CompletedProcess[str]:
            command = [str(tree.python(cdk=False)), "-m", "mutmut", *words]
            return subprocess.run(command, cwd=tree.root, env=tree.environ(), capture_output=True, text=True)

        run = mutmut("run", "--max-children", "2")
        if run.returncode:
            print(run.stdout[-3000:], run.stderr[-3000:], sep="\n")
            return run.returncode
        found = dict(re.findall(r"^\s+(\S+): (.+)$", mutmut("results", "--all", "true").stdout, re.MULTILINE))
        survivors = {name: mutmut("show", name).stdout for name, how in found.items() if how == "survived"}
    RESULTS.write_text(report(found, survivors, RESULTS.read_text() if RESULTS.exists() else ""), encoding="utf-8")
    print(f"{len(found)} mutants: {dict(Counter(found.values()))}; {RESULTS.relative_to(ROOT)} has the survivors")
    return 0


def report(found: dict[str, str], survivors: dict[str, str], before: str) -> str:
    """The result as Markdown, with what was written by hand under the last heading kept."""
    modules = sorted({name.split(".x")[0] for name in found})
    lines = ["# Mutants of the arithmetic", "", "Written by `make mutants` (docs/testing.md says what it is).", ""]
    lines += ["| module | mutants | killed | survived | other |", "|---|---|---|---|---|"]
    for module in modules:
        ends = Counter(how for name, how in found.items() if name.split(".x")[0] == module)
        killed, survived, all_ = ends["killed"] + ends["timeout"], ends["survived"], ends.total()
        lines.append(f"| {module} | {all_} | {killed} | {survived} | {all_ - killed - survived} |")
    lines += ["", "## Survivors", ""]
    for name, shown in survivors.items():
        changed = [line for line in shown.splitlines() if re.match(r"[-+](?![-+])", line)]
        lines += [f"`{name}`", "```diff", *changed, "```"]
    kept = before.partition(_END)[2]
    return "\n".join([*lines, "", _END]) + (kept or "\n")


if __name__ == "__main__":
    sys.exit(main())
