"""The engines by name. Their libraries are imported only when one is loaded."""

import importlib
from typing import NamedTuple

from dpjobs.engines.base import Engine
from dpjobs.errors import InputError
from dpjobs.noise import Noise, RoundedLaplace, TwoSidedGeometric
from dpjobs.plan import SEPARATE, TOKENS


class Listed(NamedTuple):
    """What is known of an engine without importing it: where it lives, how its noise is distributed.

    `recipe` is which plans it answers; `backends` are those that it runs on (empty: all); `hardened` says whether its
    sampler is made for an adversary.
    """

    module: str
    class_name: str
    title: str
    noise: type[Noise]
    recipe: str = TOKENS
    backends: tuple[str, ...] = ()
    hardened: bool = True


ENGINES = {
    "pipelinedp": Listed("dpjobs.engines.pipelinedp", "PipelineDPEngine", "PipelineDP", RoundedLaplace),
    "opendp": Listed("dpjobs.engines.opendp", "OpenDPEngine", "OpenDP", TwoSidedGeometric),
    "tumult-core": Listed("dpjobs.engines.tumult_core", "TumultCoreEngine", "Tumult Core", TwoSidedGeometric),
    "tumult": Listed(
        "dpjobs.engines.tumult", "TumultEngine", "Tumult Analytics", TwoSidedGeometric, SEPARATE, ("spark",)
    ),
    "diffprivlib": Listed(
        "dpjobs.engines.diffprivlib", "DiffPrivLibEngine", "DiffPrivLib", TwoSidedGeometric, hardened=False
    ),
}


def check_engine(name: str) -> str:
    """Return the engine's name in lower case; raises InputError for one that is not here."""
    lowered = name.strip().lower()
    if lowered not in ENGINES:
        raise InputError.of("unknown engine", name, ", ".join(ENGINES))
    return lowered


def check_hardened(name: str, unhardened: bool) -> str:
    """Return the engine's name; raises InputError for one that is not hardened where that is not allowed."""
    if not ENGINES[name].hardened and not unhardened:
        allowed = "--unhardened, which says that you know: its noise is not made for an adversary"
        raise InputError.of("an engine that is not hardened", name, allowed)
    return name


def load(name: str) -> Engine:
    """Import an engine's library, which takes seconds, and return the engine."""
    listed = ENGINES[name]
    engine = getattr(importlib.import_module(listed.module), listed.class_name)()
    if not isinstance(engine, Engine):
        raise TypeError(f"{listed.class_name} is not an Engine")
    return engine
