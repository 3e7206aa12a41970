"""One private statistic by PipelineDP, or the engine that `--engine` names, as an EMR step.

See dpjobs.platforms.emr for what it takes.
"""

import sys

from dpjobs.platforms import emr

OTHERS = ("opendp", "tumult-core", "diffprivlib")

if __name__ == "__main__" and (code := emr.main(sys.argv[1:], engine="pipelinedp", others=OTHERS)):
    sys.exit(code)
