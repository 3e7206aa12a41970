"""What a run drew, as its row in the ledger holds it: exact integers, and all that is needed to read them.

A record names what was measured in full, its noise, and the version of the library that drew it. It is read against
the specification's own plan: one that was written for another plan, or by another hand, is refused. So a release is a
function of the specification and the records alone, whichever version of the engine is installed by then.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from dpjobs.engines.base import Noisy, is_enough
from dpjobs.errors import LedgerError
from dpjobs.measurement import Measurement, Plan
from dpjobs.noise import NOISES, Noise
from dpjobs.query import plain

FORMAT = 1
_FRACTION = re.compile(r"\d{1,99}(/\d{1,99})?", re.ASCII)
_LARGEST = 2**200  # of an integer that any engine could have drawn, and then some


@dataclass(frozen=True)
class Histogram:
    """The noisy count of each bin, the noise in each of them, and what drew it."""

    counts: tuple[int, ...]
    noise: Noise
    engine_version: str

    def to_json(self, measurement: Measurement, bins: Sequence[int]) -> str:
        """Write it, with what was measured over which bins."""
        record = {
            "format": FORMAT,
            "engine_version": self.engine_version,
            "bins": [bins[0], bins[-1]],
            **_measured(measurement),
            **_noise(self.noise),
            "counts": list(self.counts),
        }
        return _text(record)

    @classmethod
    def from_json(cls, text: str, measurement: Measurement, bins: Sequence[int]) -> "Histogram":
        """Read what `to_json` wrote; raises LedgerError when it is anything else, or of another plan."""
        try:
            record = json.loads(text)
            read = cls(tuple(record["counts"]), _read_noise(record), _read_version(record))
            _check(all(_is_drawn(count) for count in read.counts) and len(read.counts) == len(bins))
            _check(is_enough(read.noise, measurement) and read.to_json(measurement, bins) == text)
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            _refuse("the stored histogram of the run")
        return read


@dataclass(frozen=True)
class Totals:
    """A plan's noisy measurements, in its order, and what drew them."""

    noisy: tuple[Noisy, ...]
    engine_version: str

    def to_json(self, plan: Plan) -> str:
        """Write them, with all of the plan that gives the integers their meaning."""
        grid, squares = plan.grid, plan.squares
        record = {
            "format": FORMAT,
            "engine_version": self.engine_version,
            "query": plan.query.value,
            "bounds": None if grid is None else [grid.bounds.lower.hex(), grid.bounds.upper.hex()],
            "middle": None if grid is None else grid.middle.hex(),
            "squares": None if squares is None else [squares.centre, squares.shift],
            "totals": [{**_measured(n.measurement), **_noise(n.noise), "value": n.value} for n in self.noisy],
        }
        return _text(record)

    @classmethod
    def from_json(cls, text: str, plan: Plan) -> "Totals":
        """Read what `to_json` wrote; raises LedgerError when it is anything else, or of another plan."""
        try:
            record = json.loads(text)
            noisy = tuple(
                Noisy(m, total["value"], None if m.constant else _read_noise(total))
                for m, total in zip(plan.measurements, record["totals"], strict=True)
            )
            read = cls(noisy, _read_version(record))
            _check(all(_is_drawn(n.value) and is_enough(n.noise, n.measurement) for n in noisy))
            _check(read.to_json(plan) == text)
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            _refuse("the stored totals of the run")
        return read


def _text(record: dict[str, Any]) -> str:
    return json.dumps(record, allow_nan=False)


def _measured(measurement: Measurement) -> dict[str, Any]:
    return {
        "name": measurement.name,
        "lower": measurement.lower,
        "upper": measurement.upper,
        "step": str(measurement.step),
        "epsilon": plain(Decimal(measurement.epsilon)),
    }


def _noise(noise: Noise | None) -> dict[str, str | None]:
    return {"noise": None, "scale": None} if noise is None else {"noise": noise.name, "scale": str(noise.scale)}


def _read_version(record: dict[str, Any]) -> str:
    version = record["engine_version"]
    _check(isinstance(version, str))
    return str(version)


def _read_noise(record: dict[str, Any]) -> Noise:
    _check(_FRACTION.fullmatch(record["scale"]) is not None)
    return NOISES[record["noise"]](Fraction(record["scale"]))


def _is_drawn(value: object) -> bool:
    return type(value) is int and abs(value) < _LARGEST


def _check(holds: bool) -> None:
    """Raise ValueError unless it holds. That what is read is written again letter for letter settles all the rest."""
    if not holds:
        raise ValueError


def _refuse(what: str) -> NoReturn:
    # without a value of it, and without what a parser says
    raise LedgerError(
        f"{what} cannot be read: malformed, or drawn for another plan; allowed: what this tool wrote for this run"
    ) from None
