"""The release: what is published of a run, as one line of JSON, and its copies."""

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from dpjobs import FORMAT, clipping, left_out
from dpjobs.bounds import NONE_FOUND, PRIVATE
from dpjobs.draws import Draws
from dpjobs.engines import ENGINES
from dpjobs.engines.base import Noisy
from dpjobs.epsilon import percent
from dpjobs.errors import CopyError, InputError, quoted
from dpjobs.noise import Noise
from dpjobs.plan import Plan
from dpjobs.query import JobSpec, Query
from dpjobs.statistics import STATISTICS
from dpjobs.statistics.base import Estimate

HARDENED = "hardened"
NOT_HARDENED = "not hardened, for comparison"
"""Whoever knows floating point can see through its sampler (Mironov 2012)."""
PROTECTS = (
    "one row: someone with k rows in the table is protected k times less (make a table of one row a person, or "
    "divide epsilon by the most rows that one can have)"
)


def to_json(
    spec: JobSpec,
    plan: Plan,
    draws: Draws,
    estimate: Estimate,
    engine_version: str,
    bounds: dict[str, Any] | None,
) -> str:
    """Write a release: nothing in it but the specification, noisy numbers, and what follows from both."""
    shares = left_out.shares(plan, draws.noisy, spec.confidence)
    release = {
        "format": FORMAT,
        "run_id": spec.run_id,
        "dataset": shown_dataset(spec.dataset),
        "engine": spec.engine,
        "engine_version": engine_version,
        "sampler": HARDENED if ENGINES[spec.engine].hardened else NOT_HARDENED,
        "backend": draws.backend,
        "backend_version": draws.backend_version,
        "query": spec.query.value,
        "column": spec.column,
        "value": _number(estimate.value),
        "interval": [_number(estimate.low), _number(estimate.high)],
        "interval_is": interval_title(spec.query, spec.confidence),
        "confidence": spec.confidence,
        "epsilon": _exact(spec.budget.epsilon),
        "delta": _exact(spec.budget.delta),
        "unit": {"kind": spec.unit.kind},
        "protects": PROTECTS,
        "bounds": bounds,
        "checks": _checks(spec, shares),
        "warnings": _warnings(spec, plan, estimate, shares, bounds),
        "rounding_per_row": plan.rounding_per_row,
        "origin": 0.0 if plan.grid is None else plan.grid.origin,
        "recipe": plan.recipe,
        "cells": [_cell(n) for n in draws.noisy],
    }
    return json.dumps(release, ensure_ascii=False, allow_nan=False)


def _warnings(
    spec: JobSpec, plan: Plan, estimate: Estimate, shares: Sequence[left_out.Share], bounds: dict[str, Any] | None
) -> list[str]:
    """Return all that could mislead a reader of the answer, a sentence each."""
    source = bounds["source"] if bounds else None
    none_found = []
    if source == NONE_FOUND and plan.grid:
        none_found = [clipping.none_found(plan.grid.bounds, str(spec.bounds_budget()))]
    return [
        *none_found,
        *left_out.warnings(plan, shares),
        *(clipping.hidden(plan, estimate, shares) if source == PRIVATE else []),
        *clipping.wide(spec.query, estimate, STATISTICS[spec.query].possible(plan)),
    ]


def _checks(spec: JobSpec, shares: Sequence[left_out.Share]) -> dict[str, Any] | None:
    """How many rows were left out of the answer, and how many numbers clamped; None for a count."""
    if spec.query is Query.COUNT:
        return None
    told = {kind: {k: _number(x) for k, x in numbers.items()} for kind, numbers in left_out.as_json(shares).items()}
    return {"epsilon": _exact(spec.check_budget())} | told


def interval_title(query: Query, confidence: float) -> str:
    """Say what an interval is: on the screen, and in the release."""
    title = f"{percent(confidence)} % noise interval"
    return title if query is Query.COUNT else f"{title}, of the values as clamped"


def shown_dataset(dataset: str) -> str:
    """Return a data set's name for a release: of a path its last part, for folders tell of their user."""
    return (dataset.rstrip("/").rsplit("/", 1)[-1] or dataset) if dataset.startswith("/") else dataset


def given_bounds(lower: float, upper: float) -> dict[str, Any]:
    """The bounds of a release that were given, at no cost."""
    return {"lower": lower, "upper": upper, "source": "given", "epsilon": 0}


def found_bounds(
    lower: float, upper: float, source: str, epsilon: Decimal, beta: float, threshold: float, noise: Noise
) -> dict[str, Any]:
    """The bounds of a release that were found privately, with what they cost and how sure they are."""
    return {
        "lower": lower,
        "upper": upper,
        "source": source,
        "epsilon": _exact(epsilon),
        "beta": beta,
        "threshold": threshold,
        "noise": noise.name,
        "scale": noise.b,
    }


def _cell(noisy: Noisy) -> dict[str, Any]:
    """One cell in the column's unit (its square for squares): value = integers · step.

    Epsilon is spent once on all cells of a vector, and `sensitivity` is what a row moves them by in all.
    """
    cell = noisy.cell
    step = cell.step
    return {
        "name": cell.name,
        "vector": cell.vector,
        "value": _number(float(noisy.value * step)),
        "epsilon": _exact(cell.epsilon),
        "sensitivity": _number(float(cell.sensitivity * step)),
        "noise": "none: a constant" if noisy.noise is None else noisy.noise.name,
        "scale": 0 if noisy.noise is None else float(noisy.noise.scale * step),
        "step": _number(float(step)),
    }


def _number(x: float) -> float | int:
    return int(x) if x == int(x) and abs(x) < 2**53 else x


def _exact(x: Decimal) -> float | int:
    """A Decimal of at most 13 digits, whose shortest double prints as the very same decimal."""
    return _number(float(x))


class Copies:
    """A place for copies of releases: a folder (`RUN_ID.json` each), one .json file, or s3://bucket/prefix.

    A copy is only ever created: an equal one that is there already will do, another is an error.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._s3 = place.startswith(("s3://", "s3a://"))
        self._path = Path(os.path.expanduser(place))  # noqa: PTH111 (Path's own raises for an unknown user)

    def check(self, new_run: bool) -> None:
        """Raise InputError when copies cannot be written there; `new_run`: no copy of it can exist yet."""
        if self._s3:
            if not self.place.partition("://")[2].partition("/")[0]:
                raise InputError.of("no bucket in the output", self.place, "s3://bucket/prefix")
            return
        allowed = "a folder that is there, or a new .json file in one"
        ending = self._path.suffix
        try:
            is_folder, parent_is = self._path.is_dir(), self._path.parent.is_dir()
            taken = self._path.is_file()
        except OSError:  # such as a name that is too long
            is_folder = parent_is = taken = False
        if not is_folder and parent_is and ending not in ("", ".json"):
            raise InputError.of(
                f"the output is no folder, and its name ends in {quoted(ending)}, not in .json", self.place, allowed
            )
        if not is_folder and not (parent_is and ending):
            raise InputError.of("the output folder is not there", self.place, allowed)
        if not os.access(self._path if is_folder else self._path.parent, os.W_OK | os.X_OK):
            raise InputError.of("the output folder cannot be written", self.place, allowed)
        if taken and new_run:
            raise InputError.of("the output file is there already", self.place, allowed)

    def write(self, releases: dict[str, str]) -> None:
        """Create the copies of releases by run id; raises CopyError when one cannot be created.

        The releases are in the ledger by then: the error says how to get them again.
        """
        try:
            if self._s3 or self._path.is_dir():
                for run_id, release in releases.items():
                    self._write(f"{run_id}.json", release + "\n")
            else:
                _create(self._path, array(list(releases.values())) + "\n")
        except _NotCopied as error:
            place = error.args[0]
        else:
            return
        ids = ", ".join(map(quoted, releases))
        raise CopyError.of(
            "the copy could not be created (the release itself is safe in the ledger)",
            place,
            f"a new file in a writable place; the same command with the run id {ids} gives the release again, "
            "at no further cost",
        )

    def _write(self, name: str, text: str) -> None:
        if self._s3:
            _put(f"{self.place.rstrip('/')}/{name}", text)
        else:
            _create(self._path / name, text)


class _NotCopied(Exception):
    """A copy at this place could not be created."""


def _create(path: Path, text: str) -> None:
    """Create a file with this text, or find it; raises _NotCopied."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".dpcloud-") as folder:
            whole = Path(folder) / "copy"
            whole.write_text(text, encoding="utf-8")
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(whole)  # all of it or nothing, and never over another file
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, ValueError):  # ValueError: another's file that is no UTF-8
        pass
    raise _NotCopied(path)


def _put(uri: str, text: str) -> None:
    """Create an object with this text, or find it; raises _NotCopied."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = uri.partition("://")[2].partition("/")  # no URL: '#' and '?' are characters of a key
    key, body = key.lstrip("/"), text.encode()
    try:
        s3 = boto3.client("s3")
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*", ContentType="application/json")
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 412:
                raise
            if s3.get_object(Bucket=bucket, Key=key)["Body"].read() != body:
                raise _NotCopied(uri) from None
    except (BotoCoreError, ClientError, OSError, ValueError):  # ValueError: an endpoint that is no address
        raise _NotCopied(uri) from None


def array(releases: Sequence[str]) -> str:
    """A JSON array of releases, each byte for byte as it is stored."""
    return "[" + ",\n ".join(releases) + "]"
