"""The words after a Glue job run or an EMR step, as the article's scripts take them, read strictly."""

import argparse
import difflib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from dpjobs.errors import InputError
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query, parse_epsilon

BY_ADDRESS = "by-address"
"""The data set's name that stands for none: the table's address names it (the deployed jobs pin this word)."""

_GLUE_ATTEMPT = re.compile(r"_attempt_\d+$")


@dataclass(frozen=True)
class Arguments:
    """What a cluster script was given; `platform_run_id` is Glue's job run id, None on EMR."""

    query: Query
    column: str | None
    budget: PrivacyBudget
    bounds: Bounds | None
    uri: str
    format: str | None
    dataset: str | None
    ledger: str | None
    releases: str | None
    run_id: str | None
    platform_run_id: str | None

    def spec(self, engine: str, uri: str, format_: str, dataset: str, fallback_run_id: str | None) -> JobSpec:
        """Make the specification for a table's full address; `fallback_run_id` serves when no id was given."""
        run_id = self.run_id or self.platform_run_id or fallback_run_id or new_run_id()
        return JobSpec(
            run_id=run_id,
            dataset=dataset,
            engine=engine,
            query=self.query,
            column=self.column,
            budget=self.budget,
            uri=uri,
            format=format_,
            bounds=self.bounds,
        )


def new_run_id() -> str:
    """A run id that nobody else has."""
    return f"run-{uuid.uuid4().hex}"


def parse_glue(argv: Sequence[str]) -> Arguments:
    """Read a Glue job's arguments; what Glue itself adds is ignored, a misspelt name of ours is not.

    Raises InputError.
    """
    parser = _parser()
    parser.add_argument("--column_name", "--column", dest="column")
    parser.add_argument("--epsilon", required=True)
    parser.add_argument("--s3_file", "--s3_file_path", "--file", dest="uri", required=True)
    parser.add_argument("--query", required=True)
    parser.add_argument("--source_id")  # the article's name for Tumult's view; it means nothing here
    parser.add_argument("--JOB_RUN_ID", dest="job_run_id", action="store")  # Glue's own: as often as it likes
    _add_common(parser)
    known, rest = parser.parse_known_args(_joined(parser, argv))
    ours = [option for action in parser._actions for option in action.option_strings]
    for word in rest:
        name = word.split("=")[0]
        close = difflib.get_close_matches(name, ours, n=1, cutoff=0.85)
        if word.startswith("--") and close:
            raise InputError.of("unknown argument", name, f"{close[0]}?")
    # Glue's own retry of a run repeats its id with an ending of its own
    return _arguments(known, _GLUE_ATTEMPT.sub("", known.job_run_id) if known.job_run_id else None)


def parse_emr(argv: Sequence[str]) -> Arguments:
    """Read an EMR step's arguments, short or long; raises InputError for any that is unknown."""
    parser = _parser()
    parser.add_argument("-c", "--column_name", "--column", dest="column")
    parser.add_argument("-e", "--epsilon", required=True)
    parser.add_argument("-i", "--source_id")  # as above
    parser.add_argument("-f", "--s3_file", "--s3_file_path", "--file", dest="uri", required=True)
    parser.add_argument("-q", "--query", required=True)
    _add_common(parser)
    return _arguments(parser.parse_args(_joined(parser, argv)), None)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"arguments: {message}")


class _Once(argparse.Action):
    """Take a value once: a second one could stand in for what the job's owner has pinned."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        """Store the value; raises InputError when there is one already."""
        if getattr(namespace, self.dest) is not None:
            raise InputError.of("argument given twice", option, "each argument once")
        setattr(namespace, self.dest, values)


def _parser() -> _Parser:
    # no abbreviations: "--l" must not become one bound by luck
    parser = _Parser(allow_abbrev=False, add_help=False)
    parser.register("action", None, _Once)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    for name in ("lower", "upper", "dataset", "ledger", "releases", "run_id", "format"):
        dashed = [f"--{name.replace('_', '-')}"] if "_" in name else []
        parser.add_argument(f"--{name}", *dashed, dest=name)


def _joined(parser: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """Write "--lower -1e3" as "--lower=-1e3": argparse takes a value with a dash for an option."""
    options = {option for action in parser._actions for option in action.option_strings}
    joined: list[str] = []
    words = iter(argv)
    for word in words:
        value = next(words, None) if word in options else None
        if value is None:
            joined.append(word)
        else:
            joined.append(f"{word}={value}" if word.startswith("--") else f"{word}{value}")
    return joined


def _arguments(known: argparse.Namespace, platform_run_id: str | None) -> Arguments:
    query = Query.parse(known.query)
    return Arguments(
        query=query,
        column=known.column or None,
        budget=PrivacyBudget(parse_epsilon(known.epsilon)),
        bounds=Bounds.parse(known.lower, known.upper),
        uri=known.uri,
        format=known.format,
        dataset=None if known.dataset == BY_ADDRESS else known.dataset,
        ledger=known.ledger,
        releases=known.releases,
        run_id=known.run_id,
        platform_run_id=platform_run_id,
    )
