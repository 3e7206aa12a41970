"""What the smoke deployment is: its settings, its question, its limits in time."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from dpjobs.epsilon import Epsilon

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "smoke"
"""One folder a prefix: what was deployed, the command line's log, the report."""

PREFIX = "dp-smoke-"
"""Begins the names of everything that this script makes, and of nothing that it does not."""

IDLE_SECONDS = 600
SETTINGS: dict[str, Any] = {
    "data_retention": "destroy",
    "glue": {"number_of_workers": 2, "timeout_minutes": 60},
    "emr": {"size": "small", "idle_timeout_seconds": IDLE_SECONDS},
}
"""The block "dp" of the deployment's own cdk.json; what is not named here has the code's default."""
VCPUS = 12
"""Of its cluster, which EC2 starts at once."""
TEST_SERVER_SETTINGS: dict[str, Any] = {"data_retention": "retain"}
"""Over them on a test server, which cannot run the function of the CDK's that empties a bucket."""

STACKS = ("network", "storage", "glue", "emr", "ask")
ENGINES = {"tumult-ana": "TumultAnaStep", "pipelinedp": "PipelineDpStep"}
"""The ending of each job's name, and the output of the EMR stack that begins its step."""

TOTAL, EPSILON = Epsilon(4), Epsilon("0.5")
COLUMN, LOWER, UPPER = "TotalPop", 0, 20000
QUESTION = {
    "--query": "MEAN",
    "--column_name": COLUMN,
    "--epsilon": str(EPSILON),
    "--lower": str(LOWER),
    "--upper": str(UPPER),
}
"""What every run asks: the article's question, with bounds."""

DEPLOY_SECONDS = 90 * 60
"""The cluster comes up within it: twenty minutes are usual."""
RUN_SECONDS = 75 * 60
"""Of a Glue run or an EMR step: Flex may wait twenty minutes for machines."""
END_SECONDS = IDLE_SECONDS + 20 * 60
DESTROY_SECONDS = 60 * 60

# what the price is reckoned with
GLUE_RUNS, GLUE_RUN_MINUTES = 6, 4
CLUSTER_HOURS, STANDING_HOURS = Decimal("1"), Decimal("1.5")
