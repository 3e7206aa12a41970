"""What is going on, while it goes on: a moving line on a terminal, plain lines where they are asked for elsewhere."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def saying(progress: bool | None) -> Iterator[Callable[[str], None]]:
    """Yield what shows a text; None: on a terminal only."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console

    # a descriptor of its own: standard error is closed while the JVM starts, when progress matters most
    with os.fdopen(os.dup(2), "w") as stream:
        console = Console(file=stream)
        if not console.is_terminal:
            yield lambda text: console.print(f"… {text}", soft_wrap=True, highlight=False, markup=False)
            return
        with console.status("starting") as status:
            yield lambda text: status.update(text.replace("[", r"\["))
