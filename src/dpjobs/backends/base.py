"""The seam behind which rows are counted: a table and a plan in, exact totals out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from dpjobs.plan import Plan, is_possible
from dpjobs.source import Files, Source


class Backend(ABC):
    """Counts the cells of a plan exactly. A subclass implements `_totals`; this class checks what comes back.

    Whatever a row holds, it changes no other row, it cannot make the count fail, and it gives each cell a whole
    number between the cell's bounds (docs/how-it-works.md says what a row is). All backends give the same totals.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def version(self) -> str:
        """The version of the library that counts."""

    @abstractmethod
    def files(self, uri: str) -> Files:
        """Return the reader of headers and schemas for an address; raises InputError for one that it cannot reach."""

    @abstractmethod
    def check(self, table: Source, column: str | None) -> None:
        """Look at the table's schema once more, without reading a row; raises InputError when it cannot be read."""

    def totals(self, table: Source, plan: Plan) -> list[int]:
        """Return the exact total of each of the plan's live cells, in order; never to be shown, logged or stored."""
        totals = list(self._totals(table, plan))
        if len(totals) != len(plan.live) or not is_possible(plan, totals):
            raise AssertionError(f"{self.name} returned totals that no table can have")
        return totals

    @abstractmethod
    def _totals(self, table: Source, plan: Plan) -> Sequence[int]:
        """Count."""
