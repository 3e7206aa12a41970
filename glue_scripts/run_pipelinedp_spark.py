"""One private statistic by PipelineDP, or the engine that `--engine` names, as a Glue job run.

See dpjobs.arguments.parse_glue for what it takes.
"""

import sys

from dpjobs import job

OTHERS = ("opendp", "tumult-core", "diffprivlib")

if __name__ == "__main__" and (code := job.main_glue(sys.argv[1:], engine="pipelinedp", others=OTHERS)):
    sys.exit(code)
