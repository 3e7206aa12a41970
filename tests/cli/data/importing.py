"""`dpcloud data import` as its user types it, and what `dpcloud run` would then read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dpcloud.cli import main

COUNTS = "counts only (COUNT), no SUM or MEAN"
OWNER = "(this line quotes your table: it is for its owner)"


@dataclass(frozen=True)
class Done:
    """A table that was made: what the screen said, and what is in the file."""

    screen: str
    path: Path

    @property
    def cells(self) -> dict[str, list[Any]]:
        return pq.read_table(self.path).to_pydict()

    @property
    def types(self) -> dict[str, str]:
        return {field.name: str(field.type) for field in pq.read_schema(self.path)}

    def said(self, column: str) -> str:
        """What the table on the screen says of a column: its type and what was done."""
        row = rf"^│ {re.escape(column)} +│ (.*) │$((?:\n│ +│ +│ .*│$)*)"
        [(first, more)] = re.findall(row, self.screen, flags=re.MULTILINE)
        said = ": ".join(part.strip() for part in first.split("│")).removesuffix(": ")
        return " ".join([said, *more.replace("│", " ").split()])


class Importer:
    """Writes files into a folder of its own, and imports them."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd

    def __call__(self, content: str | bytes | None, *words: object, name: str = "t.csv") -> Done:
        """Import a file of this content, or, without one, the files among the words."""
        self._start(content, words, name)
        shown = self._capfd.readouterr()
        assert shown.err == ""
        return Done(shown.out, self.folder / "new.parquet")

    def refused(self, content: str | bytes | None, *words: object, name: str = "t.csv") -> str:
        """Do the same and return the one line of its refusal, which leaves nothing behind."""
        output = self.folder / "new.parquet"
        before = output.read_bytes() if output.exists() else None
        with pytest.raises(SystemExit) as left:
            self._start(content, words, name)
        shown = self._capfd.readouterr()
        assert (left.value.code, shown.out) == (2, "")
        assert re.fullmatch(r"dpcloud: [^\n]+\n", shown.err)
        assert "Traceback" not in shown.err
        assert "please report" not in shown.err
        assert [path.name for path in self.folder.iterdir() if path.name.startswith(".")] == []
        assert (output.read_bytes() if output.exists() else None) == before
        return shown.err.removeprefix("dpcloud: ").rstrip("\n").replace(f"{self.folder}/", "")

    def _start(self, content: str | bytes | None, words: tuple[object, ...], name: str) -> None:
        files = [] if content is None else [str(self.folder / name)]
        if content is not None:
            (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        output = [] if "--output" in words else ["--output", str(self.folder / "new.parquet")]
        main(["data", "import", *files, *map(str, words), *output])


Importing = Callable[..., Done]
