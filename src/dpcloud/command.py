"""What all commands share: an option may be given once; an unexpected error shows its place, not its text."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from dpcloud.aws import DEFAULT_STACK
from dpcloud.targets import IN_AWS
from dpjobs.errors import DpError

_OF_A_STACK = re.compile(
    r"`(dpcloud (?:(?:runs|status|logs|stop|result|rerun|upload|emr [a-z]+)|(budget [a-z]+))\b[^`]*)`"
)


def typed(text: str, stack: str | None) -> str:
    """Return a text in which every command of ours between backticks works for this deployment when it is typed.

    `dpcloud budget` is told of every deployment, as it means this machine's ledger otherwise.
    """

    def completed(found: re.Match[str]) -> str:
        line, budget = found[1], found[2]
        needless = stack == DEFAULT_STACK and not budget
        return found[0] if needless or "--help" in line or "--stack" in line else f"`{line} --stack {stack}`"

    return text if stack is None else _OF_A_STACK.sub(completed, text)


class Command(click.Command):
    """A command that refuses an option that is given twice: click takes the last one without a word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; raises UsageError."""
        if not ctx.resilient_parsing:  # when a shell completes a command, its words are not complete
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for given, times in Counter(order).items():
                if times > 1 and isinstance(given, click.Option) and not given.multiple:
                    raise click.UsageError(f"{given.opts[0]} is given {times} times, allowed is once", ctx=ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the commands that an error names are those for the deployment that was asked."""
        try:
            return super().invoke(ctx)
        except DpError as error:
            stack = ctx.params.get("stack")
            if str(ctx.params.get("target")).strip().lower() in IN_AWS:
                stack = stack or DEFAULT_STACK
            error.args = (typed(str(error), stack),)
            raise


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


def one_of(words: Iterable[str]) -> str:
    """Return a list for a help text: "COUNT, SUM or MEAN"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def unexpected(error: Exception) -> str:
    """Say where in our code an unexpected error came up. Its own text may quote the data and is never shown."""
    source = Path(__file__).parent.parent
    place, trace = "an unknown line", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(source):
            place = f"{path.relative_to(source)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"unexpected {type(error).__name__} at {place}; please report it"
