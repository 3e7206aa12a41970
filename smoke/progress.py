"""What is going on, on standard error, while one waits; and waiting itself, never without a limit."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

_SIGN_OF_LIFE_SECONDS = 120


@dataclass
class Progress:
    """Says what happens, each line with the minutes since the start; looks again every `every` seconds."""

    every: float = 15.0
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, markup=False))
    _began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Print one line."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        self.console.print(f"[{minutes:3d}:{seconds:02d}] {text}", soft_wrap=True)

    def wait(self, what: str, look: Callable[[], str], done: Callable[[str], bool], limit_seconds: float) -> str:
        """Look until it is done and return the state it is done in; says each change.

        Raises TimeoutError with the last state after `limit_seconds`.
        """
        began = said_at = time.monotonic()
        said = None
        while True:
            state = look()
            now = time.monotonic()
            if state != said or now - said_at > _SIGN_OF_LIFE_SECONDS:
                self.say(f"{what}: {state}")
                said, said_at = state, now
            if done(state):
                return state
            if now - began > limit_seconds:
                raise TimeoutError(f"{what} is {state} after {limit_seconds / 60:.0f} minutes")
            time.sleep(self.every)
