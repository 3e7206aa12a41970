"""The error of settings that cannot be deployed."""

import json

_KEY, _GIVEN = 60, 120  # how many characters of either are shown


class ConfigError(ValueError):
    """One line: which key, what is wrong with it, what was given, what is allowed."""

    def __init__(self, key: str, wrong: str, given: object, allowed: str) -> None:
        name = f"dp.{_shown(key, _KEY)[1:-1]}" if key else "dp"
        super().__init__(f"{name}: {wrong}: given {_shown(given, _GIVEN)}; allowed: {allowed}")


def _shown(given: object, most: int) -> str:
    """Whatever was given, in quotes, on one line, in printable characters and not too long."""
    try:
        text = given if isinstance(given, str) else json.dumps(given)
    except (TypeError, ValueError, RecursionError):  # not from JSON: a number too long, an object, a knot
        text = type(given).__name__
    quoted = repr(" ".join(text[: 10 * most].split())[:most])  # repr may take ten characters for one
    return quoted if len(quoted) <= most + 2 else f"{quoted[:most]}…{quoted[0]}"
