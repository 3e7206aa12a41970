"""The words after a Glue job run or an EMR step, as the article's scripts take them, read strictly."""

import argparse
import difflib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query

BY_ADDRESS = "by-address"
"""The data set's name that stands for none: the table's address names it (the deployed jobs pin this word)."""

_YES_OR_NO = {"yes": True, "no": False}  # Glue hands no argument on without a value
_GLUE_ATTEMPT = re.compile(r"_attempt_\d+$")


@dataclass(frozen=True)
class Arguments:
    """What a cluster script was given; `platform_run_id` is Glue's job run id, None on EMR.

    `by_address` says that the job's owner has pinned the data set's name to be the table's address; `engine` is None
    for the script's own, and `unhardened` allows one whose sampler is not made for an adversary.
    """

    query: Query
    column: str | None
    budget: PrivacyBudget
    bounds: Bounds | None
    uri: str
    format: str | None
    dataset: str | None
    by_address: bool
    ledger: str | None
    releases: str | None
    run_id: str | None
    platform_run_id: str | None
    engine: str | None = None
    unhardened: bool = False

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
    parser.add_argument("--JOB_RUN_ID", dest="job_run_id")
    _add_common(parser)
    ours, rest = _split(parser, argv)
    for word in rest:
        name = word.split("=")[0]
        close = difflib.get_close_matches(name, _names(parser), n=1, cutoff=0.85)
        if word.startswith("--") and close:
            raise InputError.of("unknown argument", name, f"{close[0]}?")
    known = parser.parse_args(ours)
    if known.job_run_id == "":
        raise InputError("arguments: an empty --JOB_RUN_ID; allowed: the one that Glue gives")
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
    ours, rest = _split(parser, argv)
    return _arguments(parser.parse_args([*ours, *rest]), None)


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
    for name in ("lower", "upper", "dataset", "ledger", "releases", "run_id", "format", "engine", "unhardened"):
        dashed = [f"--{name.replace('_', '-')}"] if "_" in name else []
        parser.add_argument(f"--{name}", *dashed, dest=name)


def _names(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def _split(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part our arguments, each as one word with its value, from everything else; raises InputError.

    Who starts a run writes names and values that stand among those that the job's owner has pinned. So a word that
    is one of our names always is that name, whatever stands before it, and never another's value: else the value of
    an argument that nobody knows could take a pinned name away.
    """
    names = _names(parser)
    ours: list[str] = []
    rest: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word in names:
            if not words or words[0].startswith("--") or words[0] in names:
                raise InputError.of("argument without a value", word, f"{word} VALUE")
            # joined, for argparse takes a value with a dash for an option
            ours.append(f"{word}={words.pop(0)}" if word.startswith("--") else f"{word}{words.pop(0)}")
        elif word.split("=")[0] in names:
            ours.append(word)
        else:
            rest.append(word)
    return ours, rest


def _arguments(known: argparse.Namespace, platform_run_id: str | None) -> Arguments:
    query = Query.parse(known.query)
    bounds = Bounds.parse(query, known.lower, known.upper)
    if known.unhardened not in (None, *_YES_OR_NO):
        raise InputError.of("--unhardened", known.unhardened, " or ".join(_YES_OR_NO))
    return Arguments(
        query=query,
        column=None if known.column in ("", "*") else known.column,
        budget=PrivacyBudget(Epsilon.parse(known.epsilon)),
        bounds=bounds,
        uri=known.uri,
        format=known.format,
        dataset=None if known.dataset == BY_ADDRESS else known.dataset,
        by_address=known.dataset == BY_ADDRESS,
        ledger=known.ledger,
        releases=known.releases,
        run_id=known.run_id,
        platform_run_id=platform_run_id,
        engine=known.engine,
        unhardened=_YES_OR_NO.get(known.unhardened, False),
    )
