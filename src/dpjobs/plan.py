"""What is counted for a question: public cells, what a row may give to each, and the noise that follows from it.

Every question is one vector of whole numbers. Where its cells share *tokens*, a row hands out `sensitivity` of them
in all, so noise for that on each cell costs epsilon once (docs/how-it-works.md). Where an engine accounts by itself,
the cells are *separate*: each has its own sensitivity and its own share of epsilon. All numbers here follow from the
declared bounds and epsilon alone; nothing of the data is known yet.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from dpjobs.epsilon import Epsilon
from dpjobs.formula import Formula
from dpjobs.query import Bounds, Query

WIDTH = 2**24
"""The most steps, or tokens, of a row: 24 bits, so that a total of 63 bits holds 2³⁸ rows."""
LARGEST_SCALE = 2**40
"""Of noise on cells that share tokens: beyond it PyDP rounds to multiples of more than 1, by itself for each cell."""

_SMALLEST_STEP = Fraction(1, 2**200)  # keeps every step and its square an ordinary double

TOKENS, SEPARATE = "tokens", "separate"
ANSWER, CHECK = "answer", "check"
"""Vectors of cells: a row gives all cells of one vector no more than their sensitivity, so they share epsilon."""


class Rows(Enum):
    """The rows that a cell is about: those with a number, or all others by what is wrong with them.

    BELOW, WITHIN and ABOVE part the numbers once more, by the bounds.
    """

    NUMBERS = "numbers"
    NO_NUMBER = "no_number"
    EMPTY = "empty"
    BROKEN_LINE = "broken_line"
    BELOW = "below"
    WITHIN = "within"
    ABOVE = "above"


LEFT_OUT = (Rows.NO_NUMBER, Rows.EMPTY, Rows.BROKEN_LINE)
"""The kinds of rows that give nothing to an answer about numbers."""
SIDES = (Rows.BELOW, Rows.WITHIN, Rows.ABOVE)


@dataclass(frozen=True)
class Cell:
    """A public cell, to which each row gives a whole number in [lower, upper].

    A row with a number gives what `formula` tells from its steps (None: 1 for the rows of bin number `bin`). A cell
    of other `rows` gets `upper` from each of them. `step` is what 1 means in the column's unit (for squares in the
    unit's square). The cell's noise is that of `sensitivity` at `epsilon`, which the cells of one `vector` share.
    """

    name: str
    lower: int
    upper: int
    step: Fraction
    sensitivity: int
    epsilon: Epsilon
    formula: Formula | None = None
    bin: int | None = None
    rows: Rows = Rows.NUMBERS
    vector: str = ANSWER

    @property
    def constant(self) -> bool:
        """Whether the total is 0 for every table, so that nothing need be counted."""
        return self.lower == self.upper == 0

    @property
    def scale(self) -> Fraction:
        """The scale of the Laplace noise that its epsilon asks for, in whole numbers."""
        return Fraction(self.sensitivity) / Fraction(self.epsilon)


@dataclass(frozen=True)
class Grid:
    """How a number becomes steps: k = round((clamp(x) − origin) / step), then k clamped to [lower, upper].

    `origin` and `step` are exact doubles, `step` a power of two; `rounding` bounds |origin + k·step − clamp(x)|
    for every x, the reading of the cell as a 64-bit floating-point number included.
    """

    bounds: Bounds
    origin: float
    step: float
    lower: int
    upper: int

    @property
    def ends(self) -> tuple[int, int]:
        """The steps of a number at the lower bound, or below it, and at the upper one, or above."""
        low, high = (min(max(k, self.lower), self.upper) for k in self._at_the_bounds)
        return low, high

    @property
    def is_plain(self) -> bool:
        """Whether no number between the bounds has steps that have to be clamped."""
        low, high = self._at_the_bounds
        return self.lower <= low and high <= self.upper

    @property
    def _at_the_bounds(self) -> tuple[int, int]:
        low, high = (round((bound - self.origin) / self.step) for bound in (self.bounds.lower, self.bounds.upper))
        return low, high

    @property
    def rounding(self) -> float:
        """The largest rounding of a single row, in the column's unit."""
        largest = max(abs(self.bounds.lower), abs(self.bounds.upper))
        return self.step / 2 + math.ulp(largest)


@dataclass(frozen=True)
class Plan:
    """The cells of a question about a column (None: rows), and how its numbers become steps (None: not at all).

    `query` is None for the histogram that bounds are found in.
    """

    query: Query | None
    column: str | None
    recipe: str
    cells: tuple[Cell, ...]
    grid: Grid | None = None

    @property
    def number_grid(self) -> Grid:
        """The grid of a plan for numbers; raises ValueError for any other."""
        if self.grid is None:
            raise ValueError("a plan for numbers has a grid")
        return self.grid

    @property
    def live(self) -> tuple[Cell, ...]:
        """The cells that have to be counted."""
        return tuple(cell for cell in self.cells if not cell.constant)

    @property
    def counts(self) -> bool:
        """Whether rows are counted whatever they hold: the numbers in them do not matter."""
        return self.query is Query.COUNT

    @property
    def bins(self) -> bool:
        """Whether each number goes to the cell of its bin."""
        return self.query is None

    @property
    def kinds(self) -> frozenset[Rows]:
        """What has to be told apart of rows beside their numbers."""
        return frozenset(cell.rows for cell in self.live) - {Rows.NUMBERS}

    @property
    def epsilon(self) -> Epsilon:
        """What all its noise costs: the sum over its vectors, whose cells share theirs."""
        vectors: dict[str, Epsilon] = {}
        for cell in self.live:
            vectors[cell.vector] = max(cell.epsilon, vectors.get(cell.vector, Epsilon(0)))
        return sum(vectors.values(), Epsilon(0))

    @property
    def rounding_per_row(self) -> float:
        """The largest rounding of a single row, in the column's unit; 0 where nothing is rounded."""
        return 0.0 if self.grid is None else self.grid.rounding

    def cell(self, name: str) -> Cell:
        """Return the cell of that name; raises KeyError when there is none."""
        return {cell.name: cell for cell in self.cells}[name]


def tokens_grid(bounds: Bounds, epsilon: Epsilon) -> Grid:
    """The grid from the lower bound (0 steps) to the upper one: as many steps as a row has tokens."""
    most = most_steps(epsilon)
    lower, upper = Fraction(bounds.lower), Fraction(bounds.upper)
    step = smallest_step(upper - lower, most)
    while True:
        # A double either has a unit in the last place of at least the step, or rounds to the grid exactly.
        origin = float(nearest(lower, step) * step)
        steps = nearest(upper - Fraction(origin), step)
        if steps <= most:
            return Grid(bounds, origin, float(step), 0, steps)
        step *= 2


def most_steps(epsilon: Epsilon) -> int:
    """The most tokens that a row may hand out to cells that share an epsilon."""
    return min(WIDTH, int(LARGEST_SCALE * Fraction(epsilon)))


def smallest_step(largest: Fraction, most: int) -> Fraction:
    """The smallest power of two with largest / step <= most."""
    step = _SMALLEST_STEP
    if largest > step * most:
        exponent = math.frexp(float(largest) / most)[1]  # within one of the answer
        step = Fraction(2) ** (exponent - 2)
        while largest > step * most:
            step *= 2
    return step


def nearest(value: Fraction, step: Fraction) -> int:
    """Return value / step, rounded half to even."""
    return round(value / step)


def shares(epsilon: Epsilon, live: int) -> Epsilon:
    """Return an equal share for each of the live cells, never more in sum."""
    return epsilon.share(Fraction(1, max(live, 1)))


def is_possible(plan: Plan, totals: Sequence[int]) -> bool:
    """Whether a table can have these exact totals: none of a sign that no row gives, and tokens in whole rows."""
    given = list(zip(plan.live, totals, strict=True))
    if not all((cell.lower < 0 or total >= 0) and (cell.upper > 0 or total <= 0) for cell, total in given):
        return False
    if any(total % cell.upper for cell, total in given if cell.rows is not Rows.NUMBERS):
        return False
    shared = [(c, total) for c, total in given if c.rows is Rows.NUMBERS and c.vector == ANSWER and c.bin is None]
    if plan.recipe != TOKENS or len(shared) < 2:
        return True
    rows, left = divmod(sum(total for _, total in shared), shared[0][0].sensitivity)
    sides = [total for cell, total in given if cell.rows in SIDES]
    return left == 0 and (not sides or sum(sides) == rows)
