"""The command `dpcloud`, and `python -m dpcloud`: Ctrl-C while it is still being imported is one line, too."""

import sys
from collections.abc import Sequence

INTERRUPTED = 130  # dpjobs.errors has it, too, and is imported within the guard


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and end the process (see `dpcloud.cli.main`)."""
    try:
        from dpcloud import cli
    except KeyboardInterrupt:
        print("dpcloud: was interrupted; nothing is spent", file=sys.stderr)
        sys.exit(INTERRUPTED)
    cli.main(argv)


if __name__ == "__main__":
    main()
