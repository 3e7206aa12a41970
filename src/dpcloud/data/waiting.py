"""Says that something takes its time, where someone looks at it."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show the text on standard error, moving, until the work is done; nothing where it is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
