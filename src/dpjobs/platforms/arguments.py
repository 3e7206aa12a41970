"""The words after a Glue job run or an EMR step, as the article's scripts take them, read strictly."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Self

from dpjobs.errors import InputError
from dpjobs.query import new_run_id
from dpjobs.request import Request

BY_ADDRESS = "by-address"
"""The data set's name that stands for none: the table's address names it (the deployed jobs pin this word)."""

ROWS = "*"
"""What stands for no column: COUNT counts rows."""
NOT_GIVEN = "none"
"""What stands for no value where an argument has to have one: a fixed map of them names every one."""

_MAY_BE_NONE = ("lower", "upper", "bounds_share", "check_share", "confidence", "format")
_COMMON = (*_MAY_BE_NONE, "dataset", "ledger", "releases", "run_id", "engine", "unhardened")
_YES_OR_NO = {"yes": True, "no": False}  # Glue hands no argument on without a value


@dataclass(frozen=True)
class Arguments:
    """What a script was given: the request, and how its run goes by.

    `by_address` says that the job's owner has pinned the data set's name to be the table's address.
    `platform_run_id` is Glue's job run id, None on EMR. `engine` is None for the script's own, and `unhardened`
    allows one whose sampler is not made for an adversary.
    """

    request: Request
    by_address: bool
    ledger: str | None
    releases: str | None
    run_id: str | None
    platform_run_id: str | None
    engine: str | None
    unhardened: bool

    @classmethod
    def of(cls, given: argparse.Namespace, platform_run_id: str | None = None) -> Self:
        """Check what a parser has read; raises InputError."""
        if given.unhardened not in (None, *_YES_OR_NO):
            raise InputError.of("--unhardened", given.unhardened, " or ".join(_YES_OR_NO))
        by_address = given.dataset == BY_ADDRESS
        told = {name: None if (word := getattr(given, name)) == NOT_GIVEN else word for name in _MAY_BE_NONE}
        return cls(
            request=Request.parse(
                uri=given.uri,
                query=given.query,
                epsilon=given.epsilon,
                column=None if given.column in ("", ROWS) else given.column,
                dataset=None if by_address else given.dataset,
                format_=told.pop("format"),
                **told,
            ),
            by_address=by_address,
            ledger=given.ledger,
            releases=given.releases,
            run_id=given.run_id,
            platform_run_id=platform_run_id,
            engine=given.engine,
            unhardened=_YES_OR_NO.get(given.unhardened, False),
        )

    def run_id_or(self, application_id: str | None) -> str:
        """Return the run's id: the one given, else the platform's, else Spark's application's, else a new one."""
        return self.run_id or self.platform_run_id or application_id or new_run_id()


class Parser(argparse.ArgumentParser):
    """A parser that knows the arguments of every platform, takes each once, and raises InputError."""

    def __init__(self) -> None:
        # no abbreviations: "--l" must not become one bound by luck
        super().__init__(allow_abbrev=False, add_help=False)
        self.register("action", None, _Once)
        for name in _COMMON:
            dashed = [f"--{name.replace('_', '-')}"] if "_" in name else []
            self.add_argument(f"--{name}", *dashed, dest=name)

    @property
    def names(self) -> list[str]:
        """All names of arguments."""
        return [option for action in self._actions for option in action.option_strings]

    def error(self, message: str) -> NoReturn:
        """Raise InputError; argparse's own ends the process."""
        raise InputError(f"arguments: {message}")

    def split(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        """Part our arguments, each as one word with its value, from everything else; raises InputError.

        Who starts a run writes names and values that stand among those that the job's owner has pinned. So a word
        that is one of our names always is that name, whatever stands before it, and never another's value: else the
        value of an argument that nobody knows could take a pinned name away.
        """
        names = self.names
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


class _Once(argparse.Action):
    """Take a value once: a second one could stand in for what the job's owner has pinned."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        """Store the value; raises InputError when there is one already."""
        if getattr(namespace, self.dest) is not None:
            raise InputError.of("argument given twice", option, "each argument once")
        setattr(namespace, self.dest, values)
