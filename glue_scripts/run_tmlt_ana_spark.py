"""One private statistic by Tumult Analytics, as a Glue job run: see dpjobs.platforms.glue for what it takes."""

import sys

from dpjobs.platforms import glue

if __name__ == "__main__":
    glue.main(sys.argv[1:], engine="tumult")
