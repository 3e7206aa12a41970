"""Tumult Analytics: a Session of its own for every run, which counts, sums and adds geometric noise in Spark."""

import atexit
import contextlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from pyspark.sql import DataFrame, Row
from tmlt.analytics import AddOneRow, KeySet, PureDPBudget, Query, QueryBuilder, Session
from tmlt.analytics.utils import cleanup
from tmlt.core.utils import cleanup as core_cleanup
from tmlt.core.utils.exact_number import ExactNumber

from dpjobs.backends.base import Backend
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.backends.spark.rows import BIN, CODES, KIND
from dpjobs.engines.base import Engine, Noisy
from dpjobs.epsilon import Epsilon
from dpjobs.noise import TwoSidedGeometric
from dpjobs.plan import CHECK, SEPARATE, Cell, Plan
from dpjobs.source import Source

# At the process's end Tumult would start another Spark, with none of our settings, to clean up once more
atexit.unregister(core_cleanup._cleanup_temp)

_VIEW = "rows"
_NOISY = "noisy"


class TumultEngine(Engine):
    """One Tumult query a cell. Its COUNT and SUM run in the JVM; its AVERAGE and VARIANCE would not.

    A Session counts, accounts and draws by itself, so its cells are separate.
    """

    name = "tumult"
    recipe = SEPARATE

    @property
    def version(self) -> str:
        """Tumult Analytics' version and that of Tumult Core, which samples."""
        return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("tmlt.analytics", "tmlt.core"))

    def _measure(self, backend: Backend, table: Source, plan: Plan) -> list[Noisy]:
        if not isinstance(backend, SparkBackend):
            raise TypeError("a Session needs Spark")
        frame = backend.frame(table, plan)
        if plan.bins:
            return _histogram(frame.select(BIN), BIN, {cell: cell.bin for cell in plan.live}, plan.epsilon)
        checks = {cell: CODES[cell.rows] for cell in plan.live if cell.vector == CHECK}
        answer = [cell for cell in plan.live if cell not in checks]
        noisy: list[Noisy] = []
        if answer:
            with _session(frame, sum((cell.epsilon for cell in answer), Epsilon(0))) as session:
                noisy = [_evaluate(session, cell, plan) for cell in answer]
        if checks:
            noisy += _histogram(backend.kinds(table, plan), KIND, checks, next(iter(checks)).epsilon)
        return noisy


def _histogram(frame: DataFrame, column: str, keys: Mapping[Cell, int | None], epsilon: Epsilon) -> list[Noisy]:
    """Count the rows of each cell's key. Every row has one, so all counts cost the epsilon of one."""
    query = QueryBuilder(_VIEW).groupby(KeySet.from_dict({column: list(keys.values())})).count(name=_NOISY)
    with _session(frame, epsilon) as session:
        rows, noise = session.evaluate(query, epsilon, len(keys))
    counts = {row[column]: int(row[_NOISY]) for row in rows}
    return [Noisy(cell, counts[key], noise) for cell, key in keys.items()]


class _RecordingSession:
    """A Session that also tells the noise of the very measurement that it evaluated.

    `describe()` does not tell the scale and `_noise_info()` would compile a second measurement, so the one that
    `evaluate()` compiles is looked at. Release what was used, not what was meant.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._compile = session._compile_and_get_info
        session._compile_and_get_info = self._record
        self._info: list[dict[str, Any]] = []

    def evaluate(self, query: Query, epsilon: Epsilon, size: int) -> tuple[list[Row], TwoSidedGeometric]:
        """Evaluate once: Tumult writes the noisy rows to a table, from which they are read.

        `size` is the number of rows that the result has whatever the table holds; where a cluster's nodes do not
        share the folder of that table, some may be missing.
        """
        self._info = []
        rows = self._session.evaluate(query, _budget(epsilon)).collect()
        if len(self._info) != 1 or self._info[0]["noise_mechanism"].name != "GEOMETRIC":
            raise AssertionError("Tumult chose a mechanism that this engine does not know")
        if len(rows) != size:
            raise AssertionError(f"Tumult's result has {len(rows)} rows, not {size}")
        return rows, TwoSidedGeometric(Fraction(self._info[0]["noise_parameter"]))

    def _record(self, *arguments: Any) -> Any:
        compiled = self._compile(*arguments)
        self._info += list(iter(compiled[-1]))
        return compiled


@contextlib.contextmanager
def _session(frame: DataFrame, epsilon: Epsilon) -> Iterator[_RecordingSession]:
    try:
        session = Session.from_dataframe(_budget(epsilon), _VIEW, frame, protected_change=AddOneRow())
        yield _RecordingSession(session)
    except BaseException:
        with contextlib.suppress(Exception):  # what stopped the run is what is told
            cleanup()
        raise
    cleanup()  # Tumult's temporary tables count as raw data


def _budget(epsilon: Epsilon) -> PureDPBudget:
    return PureDPBudget(ExactNumber(Fraction(epsilon)))


def _evaluate(session: _RecordingSession, cell: Cell, plan: Plan) -> Noisy:
    builder = QueryBuilder(_VIEW)
    if plan.counts or cell.lower == cell.upper == 1:
        query = builder.count(name=_NOISY)
    else:
        low, high = cell.lower, cell.upper
        if low == high:  # Tumult wants low < high; taking 0 in leaves the sensitivity as it is
            low, high = min(low, 0), max(high, 0)
        query = builder.sum(cell.name, low=low, high=high, name=_NOISY)
    [row], noise = session.evaluate(query, cell.epsilon, 1)
    return Noisy(cell, int(row[_NOISY]), noise)
