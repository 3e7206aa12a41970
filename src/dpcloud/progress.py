"""What is going on, while it goes on: a moving line on a terminal, plain lines where they are asked for elsewhere."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Protocol


class Say(Protocol):
    """Shows a text: in place on a terminal; elsewhere as a line of its own, where it says something new."""

    def __call__(self, text: str, new: bool = True) -> None: ...  # noqa: D102


@contextlib.contextmanager
def saying(progress: bool | None) -> Iterator[Say]:
    """Yield what shows a text; None: on a terminal only."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda text, new=True: None
        return
    from rich.console import Console

    # a descriptor of its own: standard error is closed while the JVM starts, when progress matters most
    with os.fdopen(os.dup(2), "w") as stream:
        console = Console(file=stream)
        if not console.is_terminal:

            def line(text: str, new: bool = True) -> None:
                if new:
                    console.print(f"… {text}", soft_wrap=True, highlight=False, markup=False)

            yield line
            return
        with console.status("starting") as status:
            yield lambda text, new=True: status.update(text.replace("[", r"\["))
