"""Where a run happens (`--on`), by name: what counts its rows there."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from dpjobs.errors import InputError
from dpjobs.source import Source

if TYPE_CHECKING:
    from dpjobs.backends.base import Backend

Start = Callable[[Source | None], AbstractContextManager["Backend"]]

_SMALL = 100 * 2**20  # bytes: below this a run on Spark is mostly its start

TARGETS = {"laptop": ("duckdb", "spark"), "spark": ("spark",), "glue": ("spark",), "emr": ("spark",)}
"""The backends of each target, the first one the default of all engines that run on it."""
IN_AWS = ("glue", "emr")
"""The targets that AWS runs: their runs are started, followed and fetched."""


def check_target(name: str) -> str:
    """Return the target's name in lower case; raises InputError for one that is not here."""
    lowered = name.strip().lower()
    if lowered not in TARGETS:
        raise InputError.of("unknown target", name, ", ".join(TARGETS))
    return lowered


def backends_of(
    target: str, memory: str | None = None, say: Callable[[str], None] = lambda _: None
) -> dict[str, Start]:
    """Return what starts the backends of a target.

    `memory` is what they may use, such as 2GB (None: they choose); `say` is told how much of a table is read.
    """

    def duckdb(table: Source | None) -> AbstractContextManager["Backend"]:
        from dpjobs.backends.duckdb import DuckDBBackend

        return DuckDBBackend.open(memory, say)

    def spark(table: Source | None) -> AbstractContextManager["Backend"]:
        from dpcloud.java import use_java
        from dpjobs.backends.spark.backend import SparkBackend
        from dpjobs.backends.spark.session import local_session
        from dpjobs.home import home

        @contextlib.contextmanager
        def started() -> Iterator["Backend"]:
            use_java()
            small = table is not None and table.size < _SMALL
            with local_session(home(), s3=table is None, small=small) as session:
                yield SparkBackend(session)

        return started()

    starts: dict[str, Start] = {"duckdb": duckdb, "spark": spark}
    return {name: starts[name] for name in TARGETS[target]}
