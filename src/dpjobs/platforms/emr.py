"""The way in of an EMR step: the article's arguments, short or long."""

from collections.abc import Sequence

from dpjobs.platforms import spark_submit
from dpjobs.platforms.arguments import Arguments, Parser


def main(argv: Sequence[str], engine: str, others: Sequence[str] = ()) -> int:
    """Run one job and print its release; returns the exit code. `engine`, `others`: see `spark_submit.main`."""
    return spark_submit.main(argv, engine, parse, others)


def parse(argv: Sequence[str]) -> Arguments:
    """Read a step's arguments; raises InputError for any that is unknown."""
    parser = Parser()
    parser.add_argument("-c", "--column_name", "--column", dest="column")
    parser.add_argument("-e", "--epsilon", required=True)
    parser.add_argument("-i", "--source_id")  # the article's name for Tumult's view; it means nothing here
    parser.add_argument("-f", "--s3_file", "--s3_file_path", "--file", dest="uri", required=True)
    parser.add_argument("-q", "--query", required=True)
    ours, rest = parser.split(argv)
    return Arguments.of(parser.parse_args([*ours, *rest]))
