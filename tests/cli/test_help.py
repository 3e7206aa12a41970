"""Every command's help has an example, and what runs no query imports nothing slow."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dpcloud.cli import cli, main

SLOW = (
    "pyspark",
    "tmlt",
    "pipeline_dp",
    "pydp",
    "boto3",
    "botocore",
    "pyarrow",
    "numpy",
    "pandas",
    "urllib3",
    "openpyxl",
)


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


@pytest.mark.parametrize("words", ALL, ids=[" ".join(("dpcloud", *words)) for words in ALL])
def test_no_option_can_be_given_twice(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Of every command, those to come as well: click takes the last of two without a word."""
    command: click.Command = cli
    for word in words:
        command = command.commands[word]
    if isinstance(command, click.Group):
        return
    options = [p for p in command.params if isinstance(p, click.Option) and not p.multiple]
    for option in options:
        value = [] if option.is_flag else ["1"]
        with pytest.raises(SystemExit) as left:
            main([*words, option.opts[0], *value, option.opts[0], *value])
        assert left.value.code == 2
        said = f"{option.opts[0]} is given 2 times, allowed is once; see `dpcloud {' '.join(words)} --help`"
        assert said in capsys.readouterr().err


def test_the_help_says_exit_codes_places_and_completion(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    for code in ("  2  ", "  3  ", "130  "):
        assert code in shown
    assert "a run that failed on Glue or EMR, too" in shown  # 3, whatever it has spent
    for word in ("DPCLOUD_HOME", "~/.local/share/dpcloud", "_DPCLOUD_COMPLETE=bash_source"):
        assert word in shown
    main(["run", "--help"])
    assert "Not read: other separators, cells that span lines" in capsys.readouterr().out
    main(["plan", "--help"])
    assert "A margin in percent is of the range" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """As the help says to set it up, and what a shell then asks."""

    def asked(how: str, **words: str) -> str:
        environment = {**os.environ, "_DPCLOUD_COMPLETE": f"{shell}_{how}", **words}
        program = str(Path(sys.executable).with_name("dpcloud"))
        return subprocess.run([program], env=environment, capture_output=True, text=True, check=True).stdout

    assert "_DPCLOUD_COMPLETE" in asked("source")
    words = {"bash": "dpcloud run --eng", "zsh": "dpcloud run --eng", "fish": "dpcloud run --eng"}[shell]
    number = "--eng" if shell == "fish" else "2"
    assert "--engine" in asked("complete", COMP_WORDS=words, COMP_CWORD=number)


def test_python_m() -> None:
    done = subprocess.run([sys.executable, "-m", "dpcloud", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("dpcloud, version ")
