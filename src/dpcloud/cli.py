"""`dpcloud`: the commands, and how whatever goes wrong becomes one line and exit code 2."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dpcloud.budget import budget
from dpcloud.cost import cost
from dpcloud.data.commands import data
from dpcloud.planning import plan
from dpcloud.running import run
from dpjobs import __version__
from dpjobs.errors import EXIT_CODE, DpError

_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dpcloud")
def cli() -> None:
    """Differentially private statistics of tables too large for one machine.

    \b
    Example:
      dpcloud run --engine both --query MEAN --column TotalPop --epsilon 1 \\
        --lower 0 --upper 20000 --file census.csv
    """


for command in (run, plan, budget, data, cost):
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and end the process: 0, or 2 with one line on standard error."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # so that Spark's temporary files are removed
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="dpcloud", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(EXIT_CODE)
    except click.UsageError as error:
        command_path = error.ctx.command_path if error.ctx else "dpcloud"
        _fail(f"{error.format_message().rstrip('.')}; see `{command_path} --help`")
    except click.ClickException as error:
        _fail(error.format_message())
    except DpError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("dpcloud: interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_CODE)
    except Exception as error:  # its text may quote the data: only its type and our own line are shown
        _fail(f"unexpected {type(error).__name__} at {_our_line(error)}; please report it")


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)


def _fail(message: str) -> None:
    click.echo("dpcloud: " + " ".join(message.split()), err=True)
    sys.exit(EXIT_CODE)


def _our_line(error: BaseException) -> str:
    source = Path(__file__).parent.parent
    place, trace = "an unknown line", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(source):
            place = f"{path.relative_to(source)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


if __name__ == "__main__":
    main()
