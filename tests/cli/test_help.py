"""Every command's help has an example, and what runs no query imports nothing slow."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from dpcloud.cli import cli, main

SLOW = ("pyspark", "tmlt", "pipeline_dp", "pydp", "boto3", "botocore", "pyarrow", "numpy", "pandas", "urllib3")


def commands(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, *words, name)


ALL = list(commands(cli))


@pytest.mark.parametrize("words", ALL, ids=[" ".join(("dpcloud", *words)) for words in ALL])
def test_help_has_an_example_of_that_command(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--help", "-h"):
        main([*words, option])
        shown = capsys.readouterr()
        assert shown.err == ""
        _, _, example = shown.out.partition("Example")
        assert " ".join(("dpcloud", *words)) in example
        assert "\x08" not in shown.out


@pytest.mark.parametrize("words", ALL, ids=[" ".join(("dpcloud", *words)) for words in ALL])
def test_every_option_is_explained(words: tuple[str, ...]) -> None:
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    assert command.help
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert [p.name for p in options if not p.help] == []


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert "Example" in shown.out + shown.err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from dpjobs import __version__

    main(["--version"])
    assert capsys.readouterr().out == f"dpcloud, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["data", "generate", "--help"],
        ["plan", "--query", "VARIANCE", "--lower", "0", "--upper", "1", "--rows", "1000", "--margin", "1%"],
        ["budget", "show"],
        ["budget", "history", "--dataset", "census"],
        ["run", "--file", "nothing.csv", "--query", "COUNT", "--epsilon", "1"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_what_runs_no_query_imports_nothing_slow(arguments: list[str]) -> None:
    """Instead of a clock: importing these takes from 0.2 to 10 seconds."""
    code = (
        "import sys\n"
        "from dpcloud.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        f"print('LOADED', *(name for name in {SLOW!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
