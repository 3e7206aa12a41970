"""The block "glue": the two Glue jobs."""

from dataclasses import dataclass

from stacks.config.errors import ConfigError
from stacks.config.offers import FLEX_WORKER_TYPES, GLUE_WORKER_TYPES
from stacks.config.rules import one_of, within

GLUE_JOBS = 2


@dataclass(frozen=True, kw_only=True)
class GlueConfig:
    """The two Glue jobs; `python_modules` is how their libraries get there (docs/operations.md).

    `daemon_logs` lets Glue's daemons write their logs, in which a single row can show: for tables that are not
    private.
    """

    worker_type: str = "G.1X"
    number_of_workers: int = 10
    flex: bool = True
    timeout_minutes: int = 720
    max_concurrent_runs: int = 1
    python_modules: str = "environment"
    daemon_logs: bool = False

    def check(self) -> None:
        """Raise ConfigError for the first thing that is wrong in any network."""
        if self.worker_type not in GLUE_WORKER_TYPES:
            allowed = ", ".join(GLUE_WORKER_TYPES)
            raise ConfigError("glue.worker_type", "unknown worker type", self.worker_type, allowed)
        if self.flex and self.worker_type not in FLEX_WORKER_TYPES:
            allowed = f"{', '.join(FLEX_WORKER_TYPES)}, or dp.glue.flex=false"
            raise ConfigError("glue.worker_type", "Flex does not take this worker", self.worker_type, allowed)
        within("glue.number_of_workers", self.number_of_workers, 2, 299)
        within("glue.timeout_minutes", self.timeout_minutes, 1, 10_080)
        within("glue.max_concurrent_runs", self.max_concurrent_runs, 1, 100)
        one_of("glue.python_modules", self.python_modules, ("environment", "pins"))

    def check_isolated(self, *, addresses: int, nodes_beside: int) -> None:
        """The same for an isolated network, whose subnet has so many addresses, and nodes of EMR in it."""
        if self.python_modules != "environment":
            allowed = "environment in an isolated network"
            raise ConfigError("glue.python_modules", "PyPI is out of reach", self.python_modules, allowed)
        workers = GLUE_JOBS * self.max_concurrent_runs * self.number_of_workers
        if workers + nodes_beside > addresses:
            most = max(0, addresses - nodes_beside) // (GLUE_JOBS * self.max_concurrent_runs)
            beside = f" beside the cluster's {nodes_beside} nodes" if nodes_beside else ""
            wrong = f"both jobs' {workers} workers need an address each{beside}, and private-b has {addresses}"
            allowed = f"at most {most}, fewer dp.glue.max_concurrent_runs, or larger subnets (dp.subnet_mask)"
            raise ConfigError("glue.number_of_workers", wrong, self.number_of_workers, allowed)
