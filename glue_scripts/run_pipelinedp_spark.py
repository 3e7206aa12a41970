"""One private statistic by PipelineDP, as a Glue job run: see dpjobs.arguments.parse_glue for what it takes."""

import sys

from dpjobs import job

if __name__ == "__main__" and (code := job.main_glue(sys.argv[1:], engine="pipelinedp")):
    sys.exit(code)
