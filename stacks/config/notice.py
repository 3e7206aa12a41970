"""The block "notice": who is told when a run ends, or a cluster does not."""

from dataclasses import dataclass

from stacks.config.rules import address


@dataclass(frozen=True, kw_only=True)
class NoticeConfig:
    """Whose address gets the notices; nobody's means that there is no such stack."""

    email: str | None = None

    @property
    def enabled(self) -> bool:
        """Whether there is a stack of notices."""
        return self.email is not None

    def check(self) -> None:
        """Raise ConfigError for what is wrong."""
        address("notice.email", self.email)
