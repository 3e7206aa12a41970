"""What a run drew, as its row in the ledger holds it: exact integers, and all that is needed to read them.

A record is bound to the plan that it was drawn for by a digest of it: one that was written for another plan, or by
another hand, is refused. So a release is a function of the specification and the records alone, whichever version of
the engine is installed by then.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dpjobs.engines.base import Noisy, is_enough
from dpjobs.epsilon import plain
from dpjobs.errors import LedgerError
from dpjobs.noise import NOISES, Noise
from dpjobs.plan import ANSWER, Plan, Rows

FORMAT = 2
_FRACTION = re.compile(r"\d{1,99}(/\d{1,99})?", re.ASCII)
_LARGEST = 2**200  # of an integer that any engine could have drawn, and then some


@dataclass(frozen=True)
class Draws:
    """A plan's noisy cells, in its order, and which versions of what counted and drew them."""

    noisy: tuple[Noisy, ...]
    engine_version: str
    backend: str
    backend_version: str

    def to_json(self, plan: Plan) -> str:
        """Write them."""
        record = {
            "format": FORMAT,
            "engine_version": self.engine_version,
            "backend": self.backend,
            "backend_version": self.backend_version,
            "plan": digest(plan),
            "noise": [[n.noise.name, str(n.noise.scale)] if n.noise else None for n in self._kinds()],
            "values": [n.value for n in self.noisy],
        }
        return json.dumps(record, allow_nan=False)

    def _kinds(self) -> Sequence[Noisy]:
        """The cells whose noise is written: one, where all have the same."""
        return self.noisy[:1] if len({n.noise for n in self.noisy}) == 1 else self.noisy

    @classmethod
    def from_json(cls, text: str, plan: Plan) -> "Draws":
        """Read what `to_json` wrote; raises LedgerError when it is anything else, or of another plan."""
        try:
            record = json.loads(text)
            noises = [None if kind is None else _noise(*kind) for kind in record["noise"]]
            noises *= len(plan.cells) if len(noises) == 1 else 1
            values = zip(plan.cells, record["values"], noises, strict=True)
            noisy = tuple(Noisy(cell, value, noise) for cell, value, noise in values)
            read = cls(noisy, *(_text(record[key]) for key in ("engine_version", "backend", "backend_version")))
            if (
                not all(_is_drawn(n.value) and is_enough(n.noise, n.cell) for n in noisy)
                or read.to_json(plan) != text
            ):
                raise ValueError  # that what is read is written again letter for letter settles all the rest
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            # without a value of it, and without what a parser says
            raise LedgerError(
                "the stored draws of the run cannot be read: malformed, or drawn for another plan, as by an earlier "
                "version; allowed: what this version wrote for this run"
            ) from None
        return read


def digest(plan: Plan) -> str:
    """SHA-256 over all that gives a plan's integers their meaning."""
    grid = plan.grid
    parts = {
        "query": plan.query.value if plan.query else None,
        "column": plan.column,
        "recipe": plan.recipe,
        "bounds": None if grid is None else [grid.bounds.lower.hex(), grid.bounds.upper.hex()],
        "grid": None if grid is None else [grid.origin.hex(), grid.step.hex(), grid.lower, grid.upper],
        "cells": [
            [
                c.name,
                c.lower,
                c.upper,
                str(c.step),
                c.sensitivity,
                plain(c.epsilon),
                c.formula and c.formula.sql("k"),
                # cells of the answer are written as before there were others: draws of then can be read
                *([] if c.rows is Rows.NUMBERS and c.vector == ANSWER else [c.rows.value, c.vector]),
            ]
            for c in plan.cells
        ],
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _noise(name: str, scale: str) -> Noise:
    if not _FRACTION.fullmatch(scale):
        raise ValueError
    return NOISES[name](Fraction(scale))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _is_drawn(value: object) -> bool:
    return type(value) is int and abs(value) < _LARGEST
