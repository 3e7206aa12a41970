"""DuckDB counts: one query over the files for all cells of a plan, in this process."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from dpjobs import scratch
from dpjobs.addresses import is_local
from dpjobs.backends.base import Backend
from dpjobs.backends.duckdb import lines, parquet, sql
from dpjobs.backends.duckdb.files import files_of
from dpjobs.backends.duckdb.footer import Footer
from dpjobs.backends.duckdb.lines import to_ascii
from dpjobs.backends.duckdb.progress import SECONDS, Progress
from dpjobs.backends.duckdb.totals import EXACT_ROWS, NUMBER, TEXT, Query, counted
from dpjobs.errors import InputError
from dpjobs.plan import Plan
from dpjobs.source import Files, Source

_NULL = "__HIVE_DEFAULT_PARTITION__"
_MEMORY = re.compile(r"(\d{1,6})\s*([MGT])(i?)B?", re.ASCII | re.IGNORECASE)
_LEAST = 256 * 10**6  # bytes


class DuckDBBackend(Backend):
    """Counts with DuckDB on all cores; what does not fit into `memory` is spilled to the folder `private`."""

    name = "duckdb"

    def __init__(self, private: Path, memory: int | None = None, say: Callable[[str], None] = lambda _: None) -> None:
        self._private, self._memory = private, memory
        self._progress = Progress(say)
        self._working: list[Any] = []
        self._looked_at: tuple[Source, str, list[Footer]] | None = None
        self._stopped = False
        self._batches = self._connection(())  # of what Arrow reads; it has no way to any file
        self._batches.create_function(sql.EXACT, float, ["VARCHAR"], "DOUBLE")

    @classmethod
    @contextlib.contextmanager
    def open(cls, memory: str | None = None, say: Callable[[str], None] = lambda _: None) -> Iterator[Self]:
        """Give a backend whose spills lie in a private folder, which is removed at the end.

        `say` is told how much of a table has been read, where that takes a while.
        Raises InputError for a `memory` that is no size, or too little to work in.
        """
        limit = None if memory is None else _bytes(memory)
        with scratch.folder() as private:
            backend = cls(private, limit, say)
            with contextlib.closing(backend._batches):
                yield backend

    @property
    def version(self) -> str:
        """DuckDB's version."""
        import duckdb

        return f"DuckDB {duckdb.__version__}"

    def files(self, uri: str) -> Files:
        """Return the reader of headers and schemas for an address."""
        return files_of(uri)

    def check(self, table: Source, column: str | None) -> None:
        """Look at folders' names and at footers; all else that could be wrong with a table its header has told."""
        for path in table.paths:
            if any(partition(table, path, name) == "" for name in table.partitions):
                raise InputError.of("a folder without a value", path, "folders named like year=2020")
        if table.format == "parquet" and column is not None and column not in table.partitions:
            try:
                self._footers(table, column)
            except Exception:  # the library's text may quote bytes of the file
                raise InputError.of("not readable as Parquet", table.root, "files that pyarrow can read") from None

    def _totals(self, table: Source, plan: Plan) -> Sequence[int]:
        """Count in a thread: a signal waits for nothing that DuckDB or Arrow do, and ends it at once."""
        self._stopped = False
        self._progress.restart()
        with ThreadPoolExecutor(1) as pool:
            counting = pool.submit(self._count, table, plan)
            try:
                while wait([counting], SECONDS).not_done:
                    self._progress.tell()
                return counting.result()
            except BaseException:
                self._stopped = True
                for connection in list(self._working):
                    connection.interrupt()
                raise

    @contextlib.contextmanager
    def _busy(self, connection: Any) -> Iterator[None]:
        """Let a signal reach the connection."""
        self._working.append(connection)
        try:
            if self._stopped:
                raise InterruptedError
            yield
        finally:
            self._working.remove(connection)

    def _count(self, table: Source, plan: Plan) -> Sequence[int]:
        if plan.column in table.partitions:
            return self._partitions(table, plan, plan.column)
        if table.format == "csv":
            rows, reader = self._lines(table.paths, table, plan.column)
            with self._given(reader) as connection:
                return counted(connection, rows, plan)
        if plan.column is None:
            return [sum(parquet.rows_of(table.paths, files_of(table.root)))]
        column, files = table.columns[plan.column], files_of(table.root)
        found = self._footers(table, plan.column)
        cell, kind = ("cell", TEXT) if column.kind == "text" else (f"{parquet.number(column)} as x", NUMBER)
        if column.kind == "number" and is_local(table.root) and parquet.is_safe(table.paths, found):
            groups = parquet.groups(table.paths, found, EXACT_ROWS)
            totals, rows, done = [], max(1, sum(one.metadata.num_rows for one in found)), 0
            for paths, most in groups:
                totals.append(self._scanned(paths, most, plan, plan.column, cell, (done / rows, most / rows)))
                done += most
            return [sum(each) for each in zip(*totals, strict=True)]
        all_rows = sum(one.metadata.num_rows for one in found)
        batches = self._progress.of_batches(parquet.batches(table.paths, found, files, column), all_rows)
        with self._given(_reader(parquet.schema(found, column), batches)) as connection:
            return counted(connection, Query(f"select {cell} from batches", kind), plan)

    def _footers(self, table: Source, column: str) -> list[Footer]:
        """Read the footers of a table's files, once for all that is asked of this one look at it."""
        if self._looked_at is None or self._looked_at[0] is not table or self._looked_at[1] != column:
            self._looked_at = table, column, parquet.footers(table.paths, files_of(table.root), column)
        return self._looked_at[2]

    def _scanned(
        self, paths: Sequence[str], most: int, plan: Plan, column: str, cell: str, share: tuple[float, float]
    ) -> list[int]:
        """Let DuckDB read files by itself, which have `most` rows together; `share`: see `Progress.scanning`."""
        rows = Query(f"select {cell} from ({parquet.scan(paths, column)})", NUMBER, most)
        connection = self._connection(paths)
        with contextlib.closing(connection), self._busy(connection), self._progress.scanning(connection, *share):
            return counted(connection, rows, plan)

    def _lines(self, paths: Sequence[str], table: Source, column: str | None) -> tuple[Query, Any]:
        """A query of the files' lines, and the reader that it calls `batches`."""
        kept = sql.not_blank("line")
        if column is None:
            text = f"select 'x' as cell from batches where {kept}"
        else:
            cell = sql.cell("line", list(table.columns).index(column))
            broken = sql.is_broken("line", "commas", table.width)
            if table.width > 1:  # then a blank line is mostly found by its commas, for nothing
                kept = f"commas = {table.width - 1} or {kept}"
            text = f"select {cell} as cell, {broken} as broken from batches where {kept}"
        files = files_of(table.root)
        open_ = self._progress.of_files(files.open, len(paths))
        batches = lines.batches(paths, open_, table.headers, files.piece)
        return Query(text, TEXT, has_lines=column is not None), _reader(lines.schema(), batches)

    def _partitions(self, table: Source, plan: Plan, column: str) -> list[int]:
        """Every row of a file has the value that its path tells."""
        import pyarrow

        times = Counter[str | None]()
        for path, rows in zip(table.paths, self._rows_of(table), strict=True):
            times[partition(table, path, column)] += rows
        texts = [None if text is None else to_ascii(text.encode("utf-8", "replace")).decode() for text in times]
        values = pyarrow.table({"cell": pyarrow.array(texts, pyarrow.string()), "n": list(times.values())})
        with self._given(values) as connection:
            return counted(connection, Query("select cell, n from batches", TEXT, weight="n"), plan)

    def _rows_of(self, table: Source) -> list[int]:
        if table.format == "parquet":
            return parquet.rows_of(table.paths, files_of(table.root))
        return [self._line_count(path, table) for path in table.paths]

    def _line_count(self, path: str, table: Source) -> int:
        rows, reader = self._lines([path], table, None)
        with self._given(reader) as connection:
            [(count,)] = connection.execute(f"select count(*) from ({rows.text})").fetchall()
            return int(count)

    @contextlib.contextmanager
    def _given(self, reader: Any) -> Iterator[Any]:
        """The connection, which knows what the reader gives as `batches`."""
        self._batches.register("batches", reader)
        try:
            with self._busy(self._batches):
                yield self._batches
        finally:
            self._batches.unregister("batches")

    def _connection(self, paths: Sequence[str]) -> Any:
        """A database of its own, in memory, that reads these files and nothing else."""
        import duckdb

        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": str(len(os.sched_getaffinity(0))),
            "temp_directory": str(self._private),
            "preserve_insertion_order": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "allow_persistent_secrets": "false",
            "disabled_optimizers": "statistics_propagation",  # a footer may say less than a column holds
            **({"memory_limit": f"{self._memory}B"} if self._memory else {}),
        }
        connection = duckdb.connect(":memory:", config=settings)
        # counted, so that `progress` can ask, but never printed
        connection.execute("set enable_progress_bar_print = false; set enable_progress_bar = true")
        connection.execute(f"set allowed_paths = [{', '.join(map(sql.literal, paths))}]")
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        return connection


def _reader(schema: Any, batches: Iterator[Any]) -> Any:
    import pyarrow

    return pyarrow.RecordBatchReader.from_batches(schema, batches)


def partition(table: Source, path: str, column: str) -> str | None:
    """Return what a file's path says of a partition's column: as Spark undoes Hive's %3D, character by character."""
    folders = path.removeprefix(table.root).strip("/").split("/")[:-1]
    value = unquote(folders[table.partitions.index(column)].partition("=")[2], "latin-1")
    return None if value == _NULL else value


def _bytes(memory: str) -> int:
    """Read a size such as 2GB, 2g or 1500MiB; raises InputError."""
    found = _MEMORY.fullmatch(memory.strip())
    size = 0
    if found:
        size = int(found[1]) * (1024 if found[3] else 1000) ** (2 + "MGT".index(found[2].upper()))
    if size < _LEAST:
        raise InputError.of("memory is no size, or too little", memory, "256MB or more, such as 2GB")
    return size
