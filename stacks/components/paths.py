"""Where the files lie that the stacks deploy."""

from pathlib import Path

from stacks.config.errors import ConfigError

ROOT = Path(__file__).parents[2]


def existing(path: Path) -> str:
    """Return the path of a file of this repository; raises ConfigError when it is missing."""
    if not path.is_file():
        raise ConfigError("", "a file to deploy is missing", str(path), "a whole checkout of this repository")
    return str(path)
