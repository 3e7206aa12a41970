"""The way in of a Glue job run: the article's arguments, among those that Glue itself adds."""

import difflib
import re
from collections.abc import Sequence

from dpjobs.errors import InputError
from dpjobs.platforms import spark_submit
from dpjobs.platforms.arguments import Arguments, Parser

_ATTEMPT = re.compile(r"_attempt_\d+$")
_ALIKE = 0.85


class Ended(SystemExit):
    """The end of a job run that failed: `code` is the exit code, its text the line that says why.

    Glue tells an error's text as the run's, and of `sys.exit(2)` that would be a number.
    """

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


def main(argv: Sequence[str], engine: str, others: Sequence[str] = ()) -> None:
    """Run one job and print its release; raises Ended when it fails. `engine`, `others`: see `spark_submit.main`."""
    said: list[str] = []

    def say(line: str) -> None:
        spark_submit.to_stderr(line)
        said.append(line)

    if code := spark_submit.main(argv, engine, parse, others, say):
        raise Ended(said[-1], code)


def parse(argv: Sequence[str]) -> Arguments:
    """Read a job run's arguments; what Glue itself adds is ignored, a misspelt name of ours is not.

    Raises InputError.
    """
    parser = Parser()
    parser.add_argument("--column_name", "--column", dest="column")
    parser.add_argument("--epsilon", required=True)
    parser.add_argument("--s3_file", "--s3_file_path", "--file", dest="uri", required=True)
    parser.add_argument("--query", required=True)
    parser.add_argument("--source_id")  # the article's name for Tumult's view; it means nothing here
    parser.add_argument("--JOB_RUN_ID", dest="job_run_id")
    ours, rest = parser.split(argv)
    for word in rest:
        name = word.split("=")[0]
        close = difflib.get_close_matches(name, parser.names, n=1, cutoff=_ALIKE)
        if word.startswith("--") and close:
            raise InputError.of("unknown argument", name, f"{close[0]}?")
    given = parser.parse_args(ours)
    if given.job_run_id == "":
        raise InputError("arguments: an empty --JOB_RUN_ID; allowed: the one that Glue gives")
    # Glue's own retry of a run repeats its id with an ending of its own
    return Arguments.of(given, _ATTEMPT.sub("", given.job_run_id) if given.job_run_id else None)
