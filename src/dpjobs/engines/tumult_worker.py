"""Spark's Python daemon with Tumult's noise imported beforehand, so that the workers it forks start at once.

Named by the setting `spark.python.daemon.module` on a laptop, where that import is most of a short run's time.
"""

import os

from pyspark import daemon


def preload() -> None:
    """Import what Tumult's noise function needs, and give every forked worker a generator of its own."""
    import numpy as np
    import typeguard

    # Checks of argument types at every call double the import; here Spark alone calls, with what Tumult made
    typeguard.typechecked = lambda target: target  # type: ignore[assignment, unused-ignore]
    from randomgen.rdrand import RDRAND
    from randomgen.wrapper import UserBitGenerator
    from tmlt.core.measurements.pandas_measurements import series  # noqa: F401
    from tmlt.core.random import rng

    def renew() -> None:
        # a generator holds numbers that it has drawn ahead: two workers must never inherit the same ones
        try:
            bits = RDRAND()
        except RuntimeError:
            bits = UserBitGenerator(lambda _: int.from_bytes(os.urandom(8), "big"), 64)
        rng._core_privacy_prng = np.random.Generator(bits)

    os.register_at_fork(after_in_child=renew)


if __name__ == "__main__":
    if "SPARK_SIMPLIFIED_TRACEBACK" in os.environ:  # SQL's workers have it; those of RDDs draw no noise
        preload()
    daemon.manager()  # type: ignore[no-untyped-call]
