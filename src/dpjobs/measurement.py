"""What is measured: bounded integer columns, each with its bounds, its step and its share of epsilon.

Every query is answered from a count and sums of integer columns (see docs/how-it-works.md). All numbers here
follow from the declared bounds and epsilon alone; nothing of the data is known yet.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from dpjobs.query import BILLION, Bounds, Query

WIDTH = 2**24
"""The largest magnitude of a measured integer: 24 bits, so that a 63-bit sum holds 2³⁸ rows."""

_SMALLEST_STEP = Fraction(1, 2**200)  # keeps every step and its square an ordinary double

COUNT = "count"
SUM = "sum"
SUM_OF_SQUARES = "sum_of_squares"


@dataclass(frozen=True)
class Measurement:
    """A count, or the sum of an integer column whose cells all lie in [lower, upper].

    `step` is what one integer means in the column's unit (its square for `sum_of_squares`); `epsilon` is this
    measurement's share. Adding or removing one row moves the exact result by at most `sensitivity`.
    """

    name: str
    lower: int
    upper: int
    step: Fraction
    epsilon: Decimal

    @property
    def sensitivity(self) -> int:
        """The largest |cell|: by how much one row moves the result (L1)."""
        return max(abs(self.lower), abs(self.upper))

    @property
    def constant(self) -> bool:
        """Whether the result is 0 for every table, so that nothing need be measured."""
        return self.sensitivity == 0

    @property
    def scale(self) -> Fraction:
        """The scale of the Laplace noise that this share of epsilon asks for, in integers."""
        return Fraction(self.sensitivity) / Fraction(self.epsilon)


@dataclass(frozen=True)
class Grid:
    """How a column becomes integers: k = round((clamp(x) − middle) / step), then k clamped to [lower, upper].

    `middle` and `step` are exact doubles, `step` a power of two; `rounding` bounds |middle + k·step − clamp(x)|
    for every x, the reading of the cell as a 64-bit floating-point number included.
    """

    bounds: Bounds
    middle: float
    step: float
    lower: int
    upper: int

    @property
    def rounding(self) -> float:
        """The largest rounding of a single row, in the column's unit."""
        largest = max(abs(self.bounds.lower), abs(self.bounds.upper))
        return self.step / 2 + math.ulp(largest)


@dataclass(frozen=True)
class Squares:
    """How k becomes the integer of its square: (k² − centre + half) >> shift, clamped to [lower, upper]."""

    centre: int
    shift: int
    lower: int
    upper: int


@dataclass(frozen=True)
class Plan:
    """A query's measurements and how the column is prepared for them (`grid` and `squares` where needed)."""

    query: Query
    measurements: tuple[Measurement, ...]
    grid: Grid | None = None
    squares: Squares | None = None

    @property
    def rounding_per_row(self) -> float:
        """The largest rounding of a single row, in the column's unit; 0 for COUNT."""
        return 0.0 if self.grid is None else self.grid.rounding

    def measurement(self, name: str) -> Measurement:
        """Return the measurement of that name; raises KeyError when the query has none."""
        return {m.name: m for m in self.measurements}[name]


def plan(query: Query, bounds: Bounds | None, epsilon: Decimal) -> Plan:
    """Decide what is measured for a query, in integers, and split epsilon evenly among what is not constant.

    `bounds` may be None for COUNT only.
    """
    if query is Query.COUNT:
        return Plan(query, _with_shares([(COUNT, 1, 1, Fraction(1))], epsilon))
    if bounds is None:
        raise ValueError(f"{query.value} needs bounds")
    grid = _grid(bounds, centred=query is not Query.SUM)
    step = Fraction(grid.step)
    total = (SUM, grid.lower, grid.upper, step)
    if query is Query.SUM:
        return Plan(query, _with_shares([total], epsilon), grid)
    count = (COUNT, 1, 1, Fraction(1))
    if query is Query.MEAN:
        return Plan(query, _with_shares([count, total], epsilon), grid)
    squares = _squares(grid)
    square = (SUM_OF_SQUARES, squares.lower, squares.upper, step * step * 2**squares.shift)
    return Plan(query, _with_shares([count, total, square], epsilon), grid, squares)


def _with_shares(parts: list[tuple[str, int, int, Fraction]], epsilon: Decimal) -> tuple[Measurement, ...]:
    """Give every measurement that is not constant an equal share, in whole billionths, never more in sum."""
    live = [part for part in parts if part[1] or part[2]]
    share = Decimal(int(epsilon * BILLION) // max(len(live), 1)) / BILLION
    return tuple(Measurement(*part, epsilon=share if part in live else Decimal(0)) for part in parts)


def _grid(bounds: Bounds, centred: bool) -> Grid:
    """Choose the smallest power of two as step with every integer within ±2²⁴, and a middle on its grid."""
    lower, upper = Fraction(bounds.lower), Fraction(bounds.upper)
    half = (upper - lower) / 2
    step = _step(half if centred else max(abs(lower), abs(upper)))
    while True:
        # A double either has a unit in the last place of at least the step, or rounds to the grid exactly.
        middle = float(_nearest((lower + upper) / 2, step) * step) if centred else 0.0
        low = _nearest(lower - Fraction(middle), step)
        high = _nearest(upper - Fraction(middle), step)
        if max(abs(low), abs(high)) <= WIDTH:
            return Grid(bounds, middle, float(step), low, high)
        step *= 2


def _squares(grid: Grid) -> Squares:
    """Centre k² on the middle of what it can be, and cut it to 24 bits."""
    largest = max(abs(grid.lower), abs(grid.upper)) ** 2
    centre = largest // 2
    for shift in range(64):
        lower, upper = _shifted(0, centre, shift), _shifted(largest, centre, shift)
        if max(abs(lower), abs(upper)) <= WIDTH:
            return Squares(centre, shift, lower, upper)
    raise AssertionError("a square of 48 bits fits 24 bits after 23 shifts")


def _shifted(square: int, centre: int, shift: int) -> int:
    return (square - centre + ((1 << shift) >> 1)) >> shift


def _step(largest: Fraction) -> Fraction:
    """The smallest power of two with largest / step <= 2²⁴."""
    step = _SMALLEST_STEP
    if largest > step * WIDTH:
        exponent = math.frexp(float(largest))[1] - 25  # within one of the answer
        step = Fraction(2) ** (exponent - 1)
        while largest > step * WIDTH:
            step *= 2
    return step


def _nearest(value: Fraction, step: Fraction) -> int:
    return round(value / step)
