"""One private statistic by Tumult Analytics, as an EMR step: see dpjobs.arguments.parse_emr for what it takes."""

import sys

from dpjobs import job

if __name__ == "__main__" and (code := job.main_emr(sys.argv[1:], engine="tumult")):
    sys.exit(code)
