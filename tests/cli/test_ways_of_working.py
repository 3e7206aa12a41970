"""Six ways in which people work, from their file to an answer, judged by the screen: what it says comes next."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import openpyxl
import pandas
import pytest

pytestmark = pytest.mark.slow

ROWS = 4000
INCOMES = [20_000 + 7 * i % 60_000 for i in range(ROWS)]
TRUTH = sum(INCOMES) / ROWS
ASK = ["--query", "MEAN", "--epsilon", "1", "--lower", "0", "--upper", "100000"]
IMPORT = "dpcloud data import"


class Desk:
    """A person's folder, and the command as their shell starts it; standard error is part of what they see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, code: int = 0, env: dict[str, str] | None = None) -> str:
        home = {"DPCLOUD_HOME": str(self.folder / "home"), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "dpcloud", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=home | (env or {}), capture_output=True, text=True, timeout=300, check=False
        )
        screen = done.stdout + done.stderr
        assert done.returncode == code, screen
        assert "Traceback" not in screen
        return screen

    def answer(self, *words: str) -> float:
        """The mean of the incomes, by JSON: it must be the truth but for noise of 25 · ln 20 a side at 4,000 rows."""
        [release] = json.loads(self.run("run", *ASK, *words, "--json").partition("\nthe data set is new")[0])
        assert release["value"] == pytest.approx(TRUTH, abs=600)  # wrong by chance in e^-24 of runs
        return float(release["value"])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_excel(desk: Desk) -> None:
    """Saved as CSV on a German machine, and as a workbook."""
    lines = ["Nr;Einkommen;Anteil", *(f"{i};{x:,}".replace(",", ".") + ",50;3,5 %" for i, x in enumerate(INCOMES))]
    (desk.folder / "umsatz.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    screen = desk.run("run", *ASK, "--column", "Einkommen", "--file", "umsatz.csv", code=2)
    assert IMPORT in screen
    assert "umsatz" in screen
    screen = desk.run("data", "import", "umsatz.csv", "--output", "umsatz.parquet")
    assert "Einkommen" in screen
    assert "% taken out: 13.7% is 13.7" in screen
    assert "dpcloud run --file umsatz.parquet" in screen
    desk.answer("--column", "Einkommen", "--file", "umsatz.parquet")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["id", "income"])
    for i, x in enumerate(INCOMES):
        sheet.append([i, x])
    book.save(desk.folder / "book.xlsx")
    assert IMPORT in desk.run("run", *ASK, "--column", "income", "--file", "book.xlsx", code=2)
    desk.run("data", "import", "book.xlsx", "--output", "book.parquet")
    desk.answer("--column", "income", "--file", "book.parquet")


def test_pandas(desk: Desk) -> None:
    """`to_csv` writes its index as a first column without a name; `to_parquet` is read as it is."""
    frame = pandas.DataFrame({"income": INCOMES, "works": [i % 4 > 0 for i in range(ROWS)]})
    frame.to_csv(desk.folder / "people.csv")
    screen = desk.run("run", *ASK, "--column", "income", "--file", "people.csv", code=2)
    assert "index" in screen
    assert IMPORT in screen
    desk.run("data", "import", "people.csv", "--output", "imported.parquet")
    desk.answer("--column", "income", "--file", "imported.parquet")
    frame.to_csv(desk.folder / "plain.csv", index=False)
    desk.answer("--column", "income", "--file", "plain.csv")
    frame.to_parquet(desk.folder / "people.parquet")
    desk.answer("--column", "income", "--file", "people.parquet")
    screen = desk.run(
        *("run", "--query", "MEAN", "--column", "works", "--epsilon", "1", "--lower", "0", "--upper", "1"),
        *("--file", "people.parquet"),
    )
    assert "│ 0.7" in screen  # a mean of truths is a share


def test_r(desk: Desk) -> None:
    """`write.csv`: names in quotes, row names below an empty one, NA for what is missing."""
    cells = [f'"{i + 1}",{"NA" if i % 10 == 3 else x}' for i, x in enumerate(INCOMES)]
    (desk.folder / "survey.csv").write_text("\n".join(['"","income"', *cells]) + "\n")
    assert IMPORT in desk.run("run", *ASK, "--column", "income", "--file", "survey.csv", code=2)
    (desk.folder / "no_names.csv").write_text("\n".join(['"id","income"', *cells]) + "\n")
    screen = desk.run("run", *ASK, "--column", "income", "--file", "no_names.csv")
    share = r"about (10|9)\.\d+ % of"
    assert re.search(rf"WARNING: {share} the filled cells \(\d+ ± 3 rows\) are no numbers, and are left out", screen)
    assert IMPORT in screen
    desk.run("data", "import", "survey.csv", "--output", "survey.parquet")
    screen = desk.run("run", *ASK, "--column", "income", "--file", "survey.parquet")
    assert "are no numbers, and are left out" not in screen
    assert re.search(rf"WARNING: {share} the rows \(\d+ ± 3 rows\) have an empty cell", screen)


def test_a_sql_client(desk: Desk) -> None:
    r"""psql's `\copy … to 'x.tsv'` writes tabs, \N for NULL and no names; others write JSON, a line each."""
    lines = [f"{i}\t{x}\t{'f' if i % 2 else 't'}" for i, x in enumerate(INCOMES)]
    (desk.folder / "export.tsv").write_text("\n".join([*lines, "9999\t\\N\t\\N"]) + "\n")
    assert IMPORT in desk.run("run", *ASK, "--column", "income", "--file", "export.tsv", code=2)
    screen = desk.run("data", "import", "export.tsv", "--output", "export.parquet", code=2)
    assert "--no-header" in screen
    screen = desk.run("data", "import", "export.tsv", "--no-header", "--output", "export.parquet")
    assert "column2" in screen
    desk.answer("--column", "column2", "--file", "export.parquet")
    (desk.folder / "export.jsonl").write_text(
        "".join(f'{{"id": {i}, "income": {x}}}\n' for i, x in enumerate(INCOMES))
    )
    desk.run("data", "import", "export.jsonl", "--output", "lines.parquet")
    desk.answer("--column", "income", "--file", "lines.parquet")


def test_cron(desk: Desk) -> None:
    """No terminal, hardly an environment; the day names the run, so that a second try costs nothing."""
    pandas.DataFrame({"income": INCOMES}).to_csv(desk.folder / "daily.csv", index=False)
    words = ["run", *ASK, "--column", "income", "--file", "daily.csv", "--run-id", "income-2026-11-26"]
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    first = desk.run(*words, "--output", "release.json", "--json", env=env)
    again = desk.run(*words, "--json", env=env)
    assert json.loads(again) == json.loads((desk.folder / "release.json").read_text())
    assert first.startswith(again.rstrip("\n"))
    assert "spent 1, left 9" in desk.run("budget", "show", "--file", "daily.csv", env=env)
    (desk.folder / "daily.csv").unlink()
    screen = desk.run("run", *ASK, "--column", "income", "--file", "daily.csv", code=2, env=env)
    assert screen.count("\n") == 1  # what cron mails
    assert "no such file or folder: given 'daily.csv'" in screen


def test_a_notebook(desk: Desk) -> None:
    """`!dpcloud run …` has no terminal: no line is cut, no code of a colour; the JSON is a frame of pandas."""
    frame = pandas.DataFrame({"income": INCOMES})
    frame.loc[frame.index % 4 == 0, "income"] = 10**6
    frame.to_csv(desk.folder / "cells.csv", index=False)
    screen = desk.run("run", *ASK, "--column", "income", "--file", "cells.csv", env={"COLUMNS": "80", "TERM": "dumb"})
    assert "\x1b" not in screen
    assert "…" not in screen
    [warning] = [line for line in screen.splitlines() if line.startswith("WARNING")]
    assert re.search(
        r"about 2\d % of the numbers \([\d,]+ ± 60 rows\) lie above 100,000 and count as 100,000", warning
    )
    assert "The noise interval holds the MEAN of the values as clamped (the numbers that were read, cut" in screen
    text = desk.run("run", *ASK, "--column", "income", "--file", "cells.csv", "--json")
    table = pandas.DataFrame(json.loads(text))
    assert list(table["warnings"][0]) != []
    assert table["checks"][0]["above"]["percent"] == pytest.approx(25, abs=10)
