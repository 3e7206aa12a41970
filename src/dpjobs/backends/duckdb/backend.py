"""DuckDB counts: one query over the files for all cells of a plan, in this process."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from dpjobs.addresses import is_local
from dpjobs.backends.base import Backend
from dpjobs.backends.duckdb import lines, sql
from dpjobs.errors import InputError
from dpjobs.formula import ONE, K
from dpjobs.plan import Plan
from dpjobs.source import Files, LocalFiles, Source

_SCRATCH = "dpcloud-duckdb-"


class DuckDBBackend(Backend):
    """Counts with DuckDB on all cores; what does not fit into `memory` is spilled to the folder `scratch`."""

    name = "duckdb"

    def __init__(self, scratch: Path, memory: str | None = None) -> None:
        self._scratch, self._memory = scratch, memory

    @classmethod
    @contextlib.contextmanager
    def open(cls, memory: str | None = None) -> Iterator[Self]:
        """Give a backend whose spills lie in a private folder, which is removed at the end."""
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        try:
            backend = cls(scratch, memory)
            backend._connection().close()  # a setting that DuckDB refuses costs nothing here
            yield backend
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @property
    def version(self) -> str:
        """DuckDB's version."""
        import duckdb

        return f"DuckDB {duckdb.__version__}"

    def files(self, uri: str) -> Files:
        """Return the reader of headers and schemas for an address."""
        if is_local(uri):
            return LocalFiles()
        raise InputError.of("an address that DuckDB does not read", uri, "a path of this machine, or --on spark")

    def check(self, table: Source, column: str | None) -> None:
        """Nothing is left to look at."""

    def _totals(self, table: Source, plan: Plan) -> Sequence[int]:
        import pyarrow

        lines_of = lines.batches(table.paths, _open, table.headers)
        reader = pyarrow.RecordBatchReader.from_batches(lines.schema(), lines_of)
        with contextlib.closing(self._connection()) as connection:
            connection.register("lines", reader)
            return _counted(connection, _rows(table, plan), plan)

    def _connection(self) -> Any:
        import duckdb

        settings = {
            "threads": str(len(os.sched_getaffinity(0))),
            "temp_directory": str(self._scratch),
            "preserve_insertion_order": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            **({"memory_limit": self._memory} if self._memory else {}),
        }
        connection = duckdb.connect(":memory:", config=settings)
        connection.execute("set enable_progress_bar = false")
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        return connection


def _open(path: str) -> Any:
    return Path(path).open("rb", buffering=0)


def _rows(table: Source, plan: Plan) -> str:
    """A query with the cell asked for as `cell`, text, of every row."""
    names = list(table.columns)
    blank = plan.column is None or plan.column == names[0]
    cell = "'x'" if plan.column is None else sql.cell("line", names.index(plan.column))
    return f"select {cell} as cell from lines" + (f" where {sql.not_blank('line')}" if blank else "")


def _counted(connection: Any, rows: str, plan: Plan) -> list[int]:
    if plan.counts:
        [(count,)] = connection.execute(f"select count_if({sql.filled('cell')}) from ({rows})").fetchall()
        return [count for _ in plan.live]
    numbers = f"select {sql.number('cell')} as x from ({rows})"
    if plan.bins:
        found = connection.execute(f"select {sql.bin_of('x')} as b, count(*) from ({numbers}) group by b").fetchall()
        by_bin = dict(found)
        return [by_bin.get(cell.bin, 0) for cell in plan.live]
    if plan.grid is None:
        raise ValueError("a plan for numbers has a grid")
    parts = [cell.formula.linear() for cell in plan.live if cell.formula]
    sums = list(dict.fromkeys([ONE, K, *(atom for part in parts for atom in part)]))
    wanted = ", ".join("count(k)" if a == ONE else f"coalesce(sum({a.sql('k', '//')}), 0)" for a in sums)
    found = connection.execute(f"select {wanted} from (select {sql.steps('x', plan.grid)} as k from ({numbers}))")
    values = dict(zip(sums, found.fetchone(), strict=True))
    return [sum(times * int(values[atom]) for atom, times in part.items()) for part in parts]
