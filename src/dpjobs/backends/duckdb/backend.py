"""DuckDB counts: one query over the files for all cells of a plan, in this process."""

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from dpjobs.addresses import is_local
from dpjobs.backends.base import Backend
from dpjobs.backends.duckdb import lines, parquet, sql
from dpjobs.backends.duckdb.lines import to_ascii
from dpjobs.backends.duckdb.totals import Rows, counted
from dpjobs.errors import InputError
from dpjobs.plan import Plan
from dpjobs.source import Files, LocalFiles, Source

_NULL = "__HIVE_DEFAULT_PARTITION__"
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
        if plan.column in table.partitions:
            return self._partitions(table, plan, plan.column)
        if table.format == "csv":
            return self._counted(*self._lines(table.paths, table, plan.column), plan)
        if plan.column is None:
            return [sum(parquet.rows_of(table.paths, self.files(table.root)))]
        column, files = table.columns[plan.column], self.files(table.root)
        found = parquet.footers(table.paths, files, plan.column)
        if column.kind == "number" and parquet.is_safe(table.paths, found):
            rows = Rows(f"select cell as x from ({parquet.scan(table.paths, plan.column)})", is_text=False)
            return self._counted(rows, None, plan, table.paths)
        batches = parquet.batches(table.paths, found, self._open, column)
        cell = "cell" if column.kind == "text" else f"{parquet.number(column)} as x"
        rows = Rows(f"select {cell} from batches", column.kind == "text")
        return self._counted(rows, _reader(parquet.schema(column), batches), plan)

    def _lines(self, paths: Sequence[str], table: Source, column: str | None) -> tuple[Rows, Any]:
        """A query of the files' lines, and the reader that it calls `batches`."""
        place = None if column is None else list(table.columns).index(column)
        cell = "'x'" if place is None else sql.cell("line", place)
        blank = f" where {sql.not_blank('line')}" if not place else ""  # elsewhere a blank line's cell is empty
        batches = lines.batches(paths, self._open, table.headers)
        return Rows(f"select {cell} as cell from batches{blank}", is_text=True), _reader(lines.schema(), batches)

    def _partitions(self, table: Source, plan: Plan, column: str) -> list[int]:
        """Every row of a file has the value that its path tells."""
        import pyarrow

        times = Counter[str | None]()
        for path, rows in zip(table.paths, self._rows_of(table), strict=True):
            times[partition(table, path, column)] += rows
        texts = [None if text is None else to_ascii(text.encode("utf-8", "replace")).decode() for text in times]
        values = pyarrow.table({"cell": pyarrow.array(texts, pyarrow.string()), "n": list(times.values())})
        return self._counted(Rows("select cell, n from batches", is_text=True, weight="n"), values, plan)

    def _rows_of(self, table: Source) -> list[int]:
        if table.format == "parquet":
            return parquet.rows_of(table.paths, self.files(table.root))
        return [self._line_count(path, table) for path in table.paths]

    def _line_count(self, path: str, table: Source) -> int:
        rows, reader = self._lines([path], table, None)
        with self._connected(reader) as connection:
            return int(connection.execute(f"select count(*) from ({rows.query})").fetchone()[0])

    def _counted(self, rows: Rows, reader: Any, plan: Plan, paths: Sequence[str] = ()) -> list[int]:
        with self._connected(reader, paths) as connection:
            return counted(connection, rows, plan)

    @contextlib.contextmanager
    def _connected(self, reader: Any, paths: Sequence[str] = ()) -> Iterator[Any]:
        with contextlib.closing(self._connection(paths)) as connection:
            if reader is not None:
                connection.create_function(sql.EXACT, float, ["VARCHAR"], "DOUBLE")
                connection.register("batches", reader)
            connection.execute("set enable_external_access = false; set lock_configuration = true")
            yield connection

    def _open(self, path: str) -> Any:
        import pyarrow

        return pyarrow.OSFile(path)

    def _connection(self, paths: Sequence[str] = ()) -> Any:
        """A database of its own, in memory, that reads these files and nothing else."""
        import duckdb

        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": str(len(os.sched_getaffinity(0))),
            "temp_directory": str(self._scratch),
            "preserve_insertion_order": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "allow_persistent_secrets": "false",
            **({"memory_limit": self._memory} if self._memory else {}),
        }
        connection = duckdb.connect(":memory:", config=settings)
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"set allowed_paths = [{', '.join(map(sql.literal, paths))}]")
        return connection


def _reader(schema: Any, batches: Iterator[Any]) -> Any:
    import pyarrow

    return pyarrow.RecordBatchReader.from_batches(schema, batches)


def partition(table: Source, path: str, column: str) -> str | None:
    """Return what a file's path says of a partition's column: as Spark undoes Hive's %3D, character by character."""
    folders = path.removeprefix(table.root).strip("/").split("/")[:-1]
    value = unquote(folders[table.partitions.index(column)].partition("=")[2], "latin-1")
    return None if value == _NULL else value
