"""Plans as tests ask for them."""

from decimal import Decimal

from dpjobs.epsilon import Epsilon
from dpjobs.plan import Plan
from dpjobs.query import Bounds, Query
from dpjobs.statistics import STATISTICS


def plan(query: Query, bounds: Bounds | None, epsilon: Decimal, column: str | None = "x") -> Plan:
    """The cells of a question, which share tokens."""
    return STATISTICS[query].plan(column, bounds, Epsilon(epsilon))


def separate(query: Query, bounds: Bounds | None, epsilon: Decimal, column: str | None = "x") -> Plan:
    """The cells of a question, each with its own share."""
    return STATISTICS[query].separate(column, bounds, Epsilon(epsilon))
