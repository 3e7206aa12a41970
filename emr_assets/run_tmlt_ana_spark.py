"""One private statistic by Tumult Analytics, as an EMR step: see dpjobs.platforms.emr for what it takes."""

import sys

from dpjobs.platforms import emr

if __name__ == "__main__" and (code := emr.main(sys.argv[1:], engine="tumult")):
    sys.exit(code)
