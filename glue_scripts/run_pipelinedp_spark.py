"""One private statistic by PipelineDP, or the engine that `--engine` names, as a Glue job run.

See dpjobs.platforms.glue for what it takes.
"""

import sys

from dpjobs.platforms import glue

OTHERS = ("opendp", "tumult-core", "diffprivlib")

if __name__ == "__main__":
    glue.main(sys.argv[1:], engine="pipelinedp", others=OTHERS)
