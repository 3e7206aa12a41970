"""Which engines an option names: one, several with commas, or all."""

from dpcloud.command import one_of
from dpcloud.targets import TARGETS
from dpjobs.engines import ENGINES, check_engine, check_hardened
from dpjobs.errors import InputError

ALL = "all"
_BOTH = "both"  # of the first two engines there were; still taken for them


def engines_help() -> str:
    """Return the names that an option for engines takes, with the backend of those that run on one only."""
    names = [f"{name} (on {', '.join(e.backends)})" if e.backends else name for name, e in ENGINES.items()]
    return f"{one_of(names)}; several with commas, or {ALL}."


def engines_of(text: str, target: str | None, unhardened: bool) -> list[str]:
    """Return the engines that `text` names, each once, in its order.

    `all` are those that run on the target's first backend (None: all there are), the unhardened ones only where
    allowed. Raises InputError for an unknown one, one given twice, or an unhardened one that is not allowed.
    """
    words = text.strip().lower()
    if words == ALL:
        first = TARGETS[target][0] if target else None
        return [
            name
            for name, e in ENGINES.items()
            if (e.hardened or unhardened) and (first is None or not e.backends or first in e.backends)
        ]
    names = ["tumult", "pipelinedp"] if words == _BOTH else [_engine(name) for name in words.split(",")]
    if len(set(names)) < len(names):
        raise InputError.of("an engine given twice", text, "each engine once")
    return [check_hardened(name, unhardened) for name in names]


def _engine(name: str) -> str:
    try:
        return check_engine(name)
    except InputError:
        raise InputError.of("unknown engine", name, f"{', '.join(ENGINES)}, or {ALL} by itself") from None
