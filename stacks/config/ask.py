"""The block "ask": the door through which analysts ask."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """The state machine that takes questions, and the policies for people; without it nobody has them from us."""

    enabled: bool = True
