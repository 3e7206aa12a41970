"""`dpcloud`: the commands, and how whatever goes wrong becomes one line and an exit code."""

import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from dpcloud.budget import budget
from dpcloud.cloud.emr import emr
from dpcloud.cloud.runs import logs, rerun, result, runs, status, stop
from dpcloud.cloud.upload import upload
from dpcloud.command import Group, unexpected
from dpcloud.cost import cost
from dpcloud.data.commands import data
from dpcloud.plan_command import plan_command
from dpcloud.running import run
from dpjobs import __version__
from dpjobs.errors import INTERRUPTED, NOTHING_SPENT, DpError

_EPILOG = """\b
Example:
  dpcloud run --engine pipelinedp,opendp --query MEAN --column TotalPop --epsilon 1 \\
    --lower 0 --upper 20000 --file census.csv

\b
Exit codes:
    0  done
    2  refused or failed before any epsilon was spent
    3  failed when epsilon was spent, or may have been; the same run id pays once;
       a run that failed on Glue or EMR, too: the line says whether epsilon is spent
  130  interrupted (143 by SIGTERM, 129 by SIGHUP); the line says whether epsilon is spent

\b
Files lie in ~/.local/share/dpcloud (or the folder DPCLOUD_HOME): the ledger, downloads, the S3 connector.
The ledger is what remembers the epsilon that was spent: to delete it is to forget that.
Shell completion:  eval "$(_DPCLOUD_COMPLETE=bash_source dpcloud)"    (zsh_source, fish_source)
"""


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="dpcloud")
def cli() -> None:
    """Differentially private statistics of tables too large for one machine."""


for command in (run, plan_command, budget, data, cost, upload, runs, status, logs, stop, result, rerun, emr):
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and end the process: 0, or one line on standard error and a code of `dpjobs.errors`."""
    ended: list[int] = []

    def end(number: int, _: object) -> NoReturn:
        """As Ctrl-C does: what is said of epsilon is the same, and Spark's temporary files are removed."""
        ended.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="dpcloud", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(NOTHING_SPENT)
    except click.UsageError as error:
        command_path = error.ctx.command_path if error.ctx else "dpcloud"
        _fail(f"{error.format_message().rstrip('.')}; see `{command_path} --help`", NOTHING_SPENT)
    except click.ClickException as error:
        _fail(error.format_message(), NOTHING_SPENT)
    except DpError as error:
        interrupted = error.exit_code == INTERRUPTED and ended
        _fail(str(error), 128 + ended[0] if interrupted else error.exit_code)
    except (KeyboardInterrupt, click.Abort):  # after a reservation it is an InterruptError by now
        _fail("was interrupted; nothing is spent", 128 + ended[0] if ended else INTERRUPTED)
    except Exception as error:  # where epsilon may be spent, it is a DpError by the time that it comes here
        _fail(unexpected(error), NOTHING_SPENT)


def _fail(message: str, code: int) -> NoReturn:
    click.echo("dpcloud: " + " ".join(message.split()), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
