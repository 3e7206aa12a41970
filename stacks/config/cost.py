"""The block "cost": the monthly alarm."""

from dataclasses import dataclass

from stacks.config.errors import ConfigError
from stacks.config.rules import address


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """The monthly alarm; both or neither."""

    monthly_limit_usd: float | None = None
    email: str | None = None

    def check(self) -> None:
        """Raise ConfigError for the first thing that is wrong."""
        if self.monthly_limit_usd is not None and not 1 <= self.monthly_limit_usd <= 10_000_000:
            allowed = "1 to 10000000, or null"
            raise ConfigError("cost.monthly_limit_usd", "out of range", self.monthly_limit_usd, allowed)
        address("cost.email", self.email)
        if (self.email is None) != (self.monthly_limit_usd is None):
            key = "cost.email" if self.email is None else "cost.monthly_limit_usd"
            raise ConfigError(key, "an alarm needs amount and address", None, "both of dp.cost, or neither")
