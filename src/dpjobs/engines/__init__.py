"""The engines by name. Their libraries are imported only when one is loaded."""

import importlib
from typing import NamedTuple

from dpjobs.engines.base import Engine
from dpjobs.errors import InputError
from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric


class Entry(NamedTuple):
    """Where an engine lives and how its noise is distributed, known without importing it.

    `daemon` is the module that a laptop's Spark forks Python workers from, None when the engine needs none.
    """

    module: str
    class_name: str
    title: str
    noise: type[Noise]
    daemon: str | None = None


ENGINES = {
    "tumult": Entry(
        "dpjobs.engines.tumult",
        "TumultEngine",
        "Tumult Analytics",
        TwoSidedGeometric,
        "dpjobs.engines.tumult_worker",
    ),
    "pipelinedp": Entry("dpjobs.engines.pipelinedp", "PipelineDPEngine", "PipelineDP", RoundedLaplace),
}


def check_engine(name: str) -> str:
    """Return the engine's name in lower case; raises InputError for one that is not here."""
    lowered = name.strip().lower()
    if lowered not in ENGINES:
        raise InputError.of("unknown engine", name, ", ".join(ENGINES))
    return lowered


def load(name: str) -> Engine:
    """Import an engine's library, which takes seconds, and return the engine."""
    entry = ENGINES[name]
    engine = getattr(importlib.import_module(entry.module), entry.class_name)()
    if not isinstance(engine, Engine):
        raise TypeError(f"{entry.class_name} is not an Engine")
    return engine
