"""The block "trail": who read and wrote the tables, the releases and the ledger, as CloudTrail records it."""

from dataclasses import dataclass

from stacks.config.rules import within


@dataclass(frozen=True, kw_only=True)
class TrailConfig:
    """The trail, off by default: it is paid for by the request."""

    enabled: bool = False
    keep_days: int = 365

    def check(self) -> None:
        """Raise ConfigError for what is wrong."""
        within("trail.keep_days", self.keep_days, 1, 3650)
