"""What is asked: the query, its bounds, the privacy unit and budget, and the whole job; all validated."""

import hashlib
import json
import math
import re
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from dpjobs.epsilon import NUMBER, Epsilon
from dpjobs.errors import InputError, quoted

LARGEST_BOUND = 2.0**100
DEFAULT_CONFIDENCE = 0.95
MIN_CONFIDENCE, MAX_CONFIDENCE = 0.5, 0.999999
_CONFIDENCE = "a number from 0.5 to 0.999999, such as 0.95"
DEFAULT_BOUNDS_SHARE = Decimal("0.1")
DEFAULT_CHECK_SHARE = Decimal("0.05")

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_NOTHING_TO_CLAMP = "bounds for a COUNT, which counts every row whatever its value"
_RUN_ID_ALLOWED = "1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit"


class Query(Enum):
    """The statistics that can be asked for."""

    COUNT = "COUNT"
    SUM = "SUM"
    MEAN = "MEAN"
    VARIANCE = "VARIANCE"

    @classmethod
    def parse(cls, text: str) -> "Query":
        """Read a query's name in any case; raises InputError for any other word."""
        try:
            return cls(text.strip().upper())
        except ValueError:
            raise InputError.of("unknown query", text, ", ".join(q.value for q in cls)) from None


def parse_bound(text: str, name: str) -> float:
    """Read a bound: a finite number within ±2¹⁰⁰; raises InputError."""
    if not NUMBER.fullmatch(text.strip()):
        raise InputError.of(f"{name} is not a finite number", text, "a number within ±2^100")
    value = float(text)
    if abs(value) > LARGEST_BOUND:
        raise InputError.of(f"{name} is out of range", text, "a number within ±2^100 (about 1.27e30)")
    return value


def parse_share(text: str, what: str = "bounds share", least: Decimal | None = None) -> Decimal:
    """Read a share of epsilon: above 0 (or `least` and more) and below 1, with at most nine decimals."""
    span = "between 0 and 1" if least is None else f"from {least} to less than 1"
    allowed = f"a number {span} with at most nine decimals, such as 0.1"
    if not NUMBER.fullmatch(text.strip()) or not 0 <= (share := Decimal(text.strip())) < 1:
        raise InputError.of(what, text, allowed)
    if share < least if least is not None else share == 0:
        raise InputError.of(what, text, allowed)
    try:
        return Decimal(Epsilon(share))  # as many decimals: of finer shares nothing might be left of epsilon
    except ValueError:
        raise InputError.of(what, text, allowed) from None


def parse_check_share(text: str) -> Decimal:
    """Read the share of epsilon that is spent on how many numbers lie beyond the bounds; 0 for not asking."""
    return parse_share(text, "check share", Decimal(0))


def parse_confidence(text: str) -> float:
    """Read the confidence of the interval: 0.5 to 0.999999."""
    if not NUMBER.fullmatch(text.strip()) or not MIN_CONFIDENCE <= float(text) <= MAX_CONFIDENCE:
        raise InputError.of("confidence", text, _CONFIDENCE)
    return float(text)


@dataclass(frozen=True)
class Bounds:
    """The public interval to which every value is clamped, in the column's unit.

    Raises InputError unless both are finite, within ±2¹⁰⁰, and lower <= upper.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lower", float(self.lower))
        object.__setattr__(self, "upper", float(self.upper))
        for name, value in (("lower", self.lower), ("upper", self.upper)):
            if not math.isfinite(value) or abs(value) > LARGEST_BOUND:
                raise InputError.of(f"{name} is out of range", value, "a finite number within ±2^100")
        if self.lower > self.upper:
            given = f"lower {self.lower:g}, upper {self.upper:g}"
            raise InputError.of("lower is above upper", given, "lower <= upper")

    @classmethod
    def parse(cls, query: Query, lower: str | None, upper: str | None) -> "Bounds | None":
        """Read both bounds or neither, for a COUNT none; raises InputError otherwise."""
        if lower is None and upper is None:
            return None
        if query is Query.COUNT:
            given = ", ".join(
                f"{name} {text}" for name, text in (("lower", lower), ("upper", upper)) if text is not None
            )
            raise InputError.of(_NOTHING_TO_CLAMP, given, "no bounds")
        if lower is None or upper is None:
            given = f"upper {upper}" if lower is None else f"lower {lower}"
            raise InputError.of("only one bound", given, "both lower and upper, or neither")
        return cls(parse_bound(lower, "lower"), parse_bound(upper, "upper"))


def check_clamping(query: Query, bounds: Bounds | None) -> None:
    """Raise InputError when there are bounds for a count, which clamps nothing: a COUNT of a range it is not."""
    if query is Query.COUNT and bounds is not None:
        given = f"lower {bounds.lower:g}, upper {bounds.upper:g}"
        raise InputError.of(_NOTHING_TO_CLAMP, given, "no bounds")


@dataclass(frozen=True)
class PrivacyUnit:
    """What one unit of epsilon protects: one row, added or removed."""

    kind: str = "row"

    def __post_init__(self) -> None:
        if self.kind != "row":
            raise InputError.of("unknown privacy unit", self.kind, "row")


@dataclass(frozen=True)
class PrivacyBudget:
    """Pure differential privacy's epsilon, exact; delta is 0. Raises InputError when out of range."""

    epsilon: Epsilon
    delta: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if not isinstance(self.epsilon, Decimal):
            raise TypeError("epsilon must be exact: binary floats cannot hold a budget")
        object.__setattr__(self, "epsilon", Epsilon.parse(str(self.epsilon)))
        if self.delta != 0:
            raise InputError.of("delta", self.delta, "0 (every engine here is pure epsilon-DP)")


def new_run_id() -> str:
    """Return a run id that nobody else has."""
    return f"run-{uuid.uuid4().hex}"


def check_run_id(run_id: str) -> str:
    """Return the run id when it is well formed; raises InputError."""
    if not _RUN_ID.fullmatch(run_id):
        raise InputError.of("malformed run id", run_id, _RUN_ID_ALLOWED)
    return run_id


def check_dataset(dataset: str) -> str:
    """Return the data set's name when it can be written on one line; raises InputError."""
    if not dataset.strip() or len(dataset) > 1024 or not dataset.isprintable():
        raise InputError.of("data set name", dataset, "1 to 1024 printable characters")
    return dataset


@dataclass(frozen=True)
class JobSpec:
    """One query by one engine on one table, with all that its answer and its privacy depend on.

    `uri` is a path or an `s3://` address of a file or folder, `format` "csv" or "parquet", `bounds` None
    when they are to be found privately on `bounds_share` of epsilon. `check_share` of epsilon tells how many numbers
    lie beyond the bounds. Raises InputError.
    """

    run_id: str
    dataset: str
    engine: str
    query: Query
    column: str | None
    budget: PrivacyBudget
    uri: str
    format: str
    bounds: Bounds | None = None
    bounds_share: Decimal = DEFAULT_BOUNDS_SHARE
    check_share: Decimal = DEFAULT_CHECK_SHARE
    confidence: float = DEFAULT_CONFIDENCE
    unit: PrivacyUnit = field(default_factory=PrivacyUnit)

    def __post_init__(self) -> None:
        check_run_id(self.run_id)
        check_dataset(self.dataset)
        if self.column is None and self.query is not Query.COUNT:
            raise InputError(f"no column: {self.query.value} needs one; allowed: the name of a column")
        if self.format not in ("csv", "parquet"):
            raise InputError.of("unknown format", self.format, "csv, parquet")
        check_clamping(self.query, self.bounds)
        if not MIN_CONFIDENCE <= self.confidence <= MAX_CONFIDENCE:
            raise InputError.of("confidence", self.confidence, _CONFIDENCE)
        object.__setattr__(self, "bounds_share", parse_share(str(self.bounds_share)))
        object.__setattr__(self, "check_share", parse_check_share(str(self.check_share)))
        if self.finds_bounds and self.bounds_share + self.check_share >= 1:
            given = f"bounds share {self.bounds_share}, check share {self.check_share}"
            raise InputError.of("nothing of epsilon is left for the answer", given, "less than 1 together")

    @property
    def finds_bounds(self) -> bool:
        """Whether bounds have to be found privately."""
        return self.bounds is None and self.query is not Query.COUNT

    def bounds_budget(self) -> Epsilon:
        """The epsilon that finding bounds spends; 0 when they are given."""
        return self.budget.epsilon.share(self.bounds_share) if self.finds_bounds else Epsilon(0)

    def check_budget(self) -> Epsilon:
        """The epsilon that is spent on how many numbers lie beyond the bounds; 0 for a COUNT."""
        return Epsilon(0) if self.query is Query.COUNT else self.budget.epsilon.share(self.check_share)

    def answer_budget(self) -> Epsilon:
        """The epsilon that is left for the answer."""
        return self.budget.epsilon - self.bounds_budget() - self.check_budget()

    def digest(self) -> str:
        """SHA-256 over all that the answer depends on, the run id left out: what a run id is bound to."""
        bounds = None if self.bounds is None else [self.bounds.lower.hex(), self.bounds.upper.hex()]
        share = str(self.bounds_share) if self.finds_bounds else None
        parts = {
            "dataset": self.dataset,
            "engine": self.engine,
            "query": self.query.value,
            "column": self.column,
            "epsilon": self.budget.epsilon.billionths,
            "uri": self.uri,
            "format": self.format,
            "bounds": bounds,
            "bounds_share": share,
            "confidence": self.confidence.hex(),
            "unit": self.unit.kind,
        }
        if self.query is not Query.COUNT and self.check_share != DEFAULT_CHECK_SHARE:
            parts["check_share"] = str(self.check_share)  # else as before there was one: old run ids replay
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def describe(self) -> str:
        """Name the query as a person would: "MEAN of 'TotalPop'"."""
        return f"{self.query.value} of {quoted(self.column) if self.column else 'rows'}"
