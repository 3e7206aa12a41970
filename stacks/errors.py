"""How a configuration that will not do is told."""

import json


class ConfigError(ValueError):
    """One line: which key, what is wrong with it, what was given, what is allowed."""

    def __init__(self, key: str, wrong: str, given: object, allowed: str) -> None:
        shown = given if isinstance(given, str) else json.dumps(given, default=list)
        super().__init__(f"dp.{key}: {wrong}: given {' '.join(str(shown).split())[:120]!r}; allowed: {allowed}")
