"""DuckDB as a backend: counts in this process, without Java; `--on laptop`."""

from dpjobs.backends.duckdb.backend import DuckDBBackend

__all__ = ["DuckDBBackend"]
