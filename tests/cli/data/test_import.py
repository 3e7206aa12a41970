"""`dpcloud data import` of CSV of every habit: what comes out, what the screen says, what is refused and where."""

import bz2
import datetime
import gzip
import json
import lzma
import random
import re
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from cli.data.importing import COUNTS, OWNER, Done, Importer
from dpcloud.cli import main
from dpjobs.backends.base import Backend
from dpjobs.backends.duckdb import DuckDBBackend
from dpjobs.query import Bounds, Query
from dpjobs.source import LocalFiles, inspect
from library.plans import plan

AMERICAN = """,County,TotalPop,Share,Income,Ok,Day,Zip,Delta,Note
0,Ann,"55,036",13.7%,"$1,000.50",yes,2019-01-01,01234,(5),"two
lines, a ""quote"" too"
1,Bob,"203,360",8%,$5,no,2019-12-31,90210,7,NA
2,Cid,999,0.5%,NA,yes,2020-02-29,00001,-3,
"""
GERMAN = "Stadt;Preis;Menge;Zahl\nKöln;1.234,50;3;-1.000.000\nBonn;2,5;4;12\n"


def totals(backend: Backend, path: Path, column: str) -> list[int]:
    """What a run would count: the exact tokens of a sum and of a count of the column."""
    table = inspect(str(path), "csv" if path.suffix == ".csv" else "parquet", LocalFiles())
    asked = [(Query.SUM, Bounds(-300_000, 300_000)), (Query.MEAN, Bounds(-10, 20)), (Query.COUNT, None)]
    return [
        total
        for query, bounds in asked
        for total in backend.totals(table, plan(query, bounds, Decimal(1), column=column))
    ]


def test_an_american_table(imported: Importer) -> None:
    done = imported(AMERICAN)
    assert done.cells == {
        "column1": [0, 1, 2],
        "County": ["Ann", "Bob", "Cid"],
        "TotalPop": [55036, 203360, 999],
        "Share": [13.7, 8.0, 0.5],
        "Income": [1000.5, 5.0, None],
        "Ok": [True, False, True],
        "Day": [datetime.date(2019, 1, 1), datetime.date(2019, 12, 31), datetime.date(2020, 2, 29)],
        "Zip": ["01234", "90210", "00001"],
        "Delta": [-5, 7, -3],
        "Note": ['two\nlines, a "quote" too', None, None],
    }
    assert "encoding UTF-8; separator ','; names in line 1." in done.screen
    assert done.said("column1") == "whole number: had no name (pandas' index?)"
    assert done.said("TotalPop") == "whole number: ',' between thousands taken out"
    assert done.said("Share") == "number: % taken out: 13.7% is 13.7"
    assert done.said("Income") == "number: 'NA' read as empty; ',' between thousands taken out; '$' taken out"
    assert done.said("Ok") == "true/false: counts as 1 and 0"
    assert done.said("Zip") == f"text: codes with leading zeros; {COUNTS}"
    assert done.said("Delta") == "whole number: (5) is −5"
    assert "--dataset" in done.screen
    assert f"Next:  dpcloud run --file {done.path} --query MEAN --column Share --lower LOWER" in done.screen


PLAIN = {  # what anyone would read right
    "column1": "0 1 2",
    "TotalPop": "55036 203360 999",
    "Share": "13.7 8 0.5",
    "Income": "1000.5 5 x",
    "Ok": "true false true",
    "Zip": "01234 90210 00001",
    "Delta": "-5 7 -3",
}


def check_backend(backend: Backend, done: Done, columns: Iterable[str]) -> None:
    for column in columns:
        cells = PLAIN[column]
        plain = done.path.with_name("plain.csv")
        plain.write_text("\n".join([column, *cells.replace("x", '""').split()]) + "\n")
        assert totals(backend, done.path, column) == totals(backend, plain, column), column


def test_duckdb_counts_the_same_whole_numbers(imported: Importer) -> None:
    with DuckDBBackend.open() as backend:
        check_backend(backend, imported(AMERICAN), PLAIN)


@pytest.mark.slow
def test_spark_counts_the_same_whole_numbers(imported: Importer, spark: object) -> None:
    from dpjobs.backends.spark.backend import SparkBackend

    check_backend(SparkBackend(spark), imported(AMERICAN), ("TotalPop", "Share", "Ok", "Zip"))


def test_run_answers_about_it(imported: Importer, capfd: pytest.CaptureFixture[str]) -> None:
    done = imported("x;y\n" + "1.234,5;a\n" * 1000)
    words = ["--query", "MEAN", "--column", "x", "--lower", "0", "--upper", "2000", "--epsilon", "10"]
    main(["run", "--file", str(done.path), *words, "--engine", "opendp", "--json"])
    [release] = json.loads(capfd.readouterr().out)
    assert abs(release["value"] - 1234.5) < 5  # noise of scale 0.2


def test_a_german_table(imported: Importer) -> None:
    done = imported(GERMAN.encode("cp1252"))
    cells = {"Stadt": ["Köln", "Bonn"], "Preis": [1234.5, 2.5], "Menge": [3, 4], "Zahl": [-1_000_000, 12]}
    assert done.cells == cells
    assert "encoding Latin-1 (cp1252), as it is not UTF-8 (--encoding where letters look wrong); sep" in done.screen
    assert "separator ';'; names in line 1." in done.screen
    assert done.said("Preis") == "number: decimal comma; '.' between thousands taken out"
    assert imported(GERMAN, "--overwrite").cells == cells
    for encoding, words in (("utf-16", ()), ("utf-16-le", ("--encoding", "utf-16-le")), ("utf-8-sig", ())):
        assert imported(GERMAN.encode(encoding), "--overwrite", *words).cells == cells


@pytest.mark.parametrize(
    ("cells", "mark", "values"),
    [
        ("1.234 2.345", ".", [1.234, 2.345]),
        ("1.234 2.345", ",", [1234, 2345]),
        ('"1,234" 7', ".", [1234, 7]),
        ('"1,234" 7', ",", [1.234, 7]),
    ],
)
def test_what_may_mean_either_is_refused_and_the_option_decides(
    imported: Importer, cells: str, mark: str, values: list[float]
) -> None:
    content = "x;y\n" + "".join(f"{cell};a\n" for cell in cells.split())
    first = cells.split()[0].strip('"')
    line = imported.refused(content)
    point, comma = ("1.234", "1234") if "." in first else ("1234", "1.234")
    assert line == (
        f"t.csv, line 2, column 'x': '{first}' may be 1234 or 1.234, and no cell of the column tells: --decimal . "
        f"reads {point}, --decimal , reads {comma} (--decimal 'x=.' for this column alone) {OWNER}"
    )
    assert imported(content, "--decimal", mark).cells["x"] == values
    assert imported(content, "--decimal", f"x={mark}", "--overwrite").cells["x"] == values


def test_the_mark_of_a_column_goes_before_that_of_all_others(imported: Importer) -> None:
    done = imported("x;z;y\n1.234;1.234;a\n", "--decimal", ",", "--decimal", "x=.")
    assert (done.cells["x"], done.cells["z"]) == ([1.234], [1234])


def test_one_late_cell_tells_what_the_others_mean(imported: Importer) -> None:
    many = "x;y\n" + "1.234;a\n" * 3000
    assert imported(many + "1.234,5;a\n").cells["x"] == [1234] * 3000 + [1234.5]
    assert imported(many + "1.5;a\n", "--overwrite").cells["x"] == [1.234] * 3000 + [1.5]
    line = imported.refused(many + "1.5;a\n2,5;a\n", "--overwrite")
    assert "'1.5' (t.csv, line 3002) has a decimal point and '2,5' (t.csv, line 3003) a decimal comma" in line


def test_another_column_tells_of_commas_between_thousands_and_of_nothing_else(imported: Importer) -> None:
    assert imported('x,y\n"1,234",1.5\n').cells["x"] == [1234]
    # a German file with columns that a machine wrote
    assert "may be 1459 or 1.459" in imported.refused("x;y\n1,459;52.5\n", "--overwrite")
    assert "may be 1234 or 1.234" in imported.refused("x;y\n1.234;2,5\n", "--overwrite")
    (imported.folder / "american.csv").write_text("x,y\n7,52.5\n")
    (imported.folder / "german.csv").write_text("x;y\n1,459;52.5\n")
    line = imported.refused(None, imported.folder / "american.csv", imported.folder / "german.csv", "--overwrite")
    assert "may be 1459 or 1.459" in line


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ("1 234,5|12", [1234.5, 12]),
        ("1\u202f234|1\u00a0234\u00a0567", [1234, 1234567]),
        ("1'234.50|1\u2019000", [1234.5, 1000]),
        ("€ 5,50|-€ 1,25|€-0,5", [5.5, -1.25, -0.5]),
        ("5 EUR|1.000,10 EUR", [5, 1000.1]),
        ("($1,000.25)|$2", [-1000.25, 2]),
        ("\u22125|+3", [-5, 3]),
        ("1,00,000|12,34,567.5", [100000, 1234567.5]),
        ("1.5e3|2E-1", [1500, 0.2]),
        (".5|5.", [0.5, 5]),
        ("12,5 %|3,0 %", [12.5, 3]),
        ("-|7", [None, 7]),
        ("#N/A|NULL|n/a|7", [None, None, None, 7]),
        (" 7 |\u00a08", [7, 8]),
        ("0|-0|10", [0, 0, 10]),
        ("1e308|2", [1e308, 2]),
    ],
)
def test_how_people_write_numbers(imported: Importer, cells: str, values: list[float]) -> None:
    done = imported("x\ty\n" + "".join(f"{cell}\ta\n" for cell in cells.split("|")), name="t.tsv")
    assert done.cells["x"] == values
    assert "separator tab" in done.screen


HABITS = [
    (mark, group, digits, before, after)
    for mark in ".,"
    for group in ("", "," if mark == "." else ".", "\u202f", "'")
    for digits, before, after in ((0, "", ""), (1, "$", ""), (2, "", " €"), (3, "", ""), (4, "", "%"))
]


def written(value: Decimal, habit: tuple[str, str, int, str, str]) -> str:
    """A number in a habit, negative ones in parentheses."""
    mark, group, digits, before, after = habit
    text = f"{abs(value):,.{digits}f}".translate(str.maketrans({",": group, ".": mark}))
    return f"({before}{text}{after})" if value < 0 else f"{before}{text}{after}"


@pytest.mark.parametrize("told", [True, False])
def test_every_habit_of_writing_a_number_gives_the_number(imported: Importer, told: bool) -> None:
    """Told the mark; and untold, where some cell of the column tells it, as one of a million and a fraction does."""
    random_ = random.Random(7)
    values = [Decimal(random_.randrange(-(10**k), 10**k)) / 10**4 for k in range(1, 12) for _ in range(5)]
    habits = [h for h in HABITS if told != (h[2] not in (0, 3) and h[1] != "")]
    columns = {f"c{i}": habit for i, habit in enumerate(habits)}
    rows = [[written(value, habit) for habit in columns.values()] for value in [*values, Decimal("1234567.1234")]]
    marks = [word for name, habit in columns.items() for word in ("--decimal", f"{name}={habit[0]}")] if told else []
    done = imported("\n".join("\t".join(row) for row in [list(columns), *rows]), *marks, name="t.tsv")
    for name, habit in columns.items():
        right = [float(round(value, habit[2])) for value in [*values, Decimal("1234567.1234")]]
        assert done.cells[name] == right, habit


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("ann|7 rue|bob|cyd|dan|eve|fay|guy|hal|ian|jim", "text"),
        ("K1A|007", "text: codes with leading zeros"),
        ("12345678901234567890|1", "text: digits too many for a number"),
        ("1/2/2019|13/2/2019", "text: dates that are not year-month-day: which is the day is not guessed"),
        ("2019-02-28 10:00|2020-01-01T00:00:01.5", "date and time"),
        ("TRUE|no|Yes", "true/false: counts as 1 and 0"),
        ("|", "text: no cell is filled"),
        ("M|F", "text"),
        ("yes|no|maybe", "text"),
        ("1.2.3|4.5.6", "text: dates that are not year-month-day: which is the day is not guessed"),
    ],
)
def test_what_is_no_number(imported: Importer, cells: str, said: str) -> None:
    done = imported("x;y\n" + "".join(f"{cell};a\n" for cell in cells.split("|")))
    counts = (f"; {COUNTS}" if ":" in said else f": {COUNTS}") if said.startswith("text") else ""
    assert done.said("x") == said + counts
    if said.startswith("text") and cells != "|":
        assert done.cells["x"] == cells.split("|")


@pytest.mark.parametrize(
    ("cells", "place", "cell", "values"),
    [
        ("1|2|n.k.", 4, "n.k.", [1, 2, None]),
        ("13.7%|8%|0.4", 4, "0.4", [13.7, 8, None]),
        ("13.7%|8%|4", 4, "4", [13.7, 8, None]),
        ("$5|$6|€7", 4, "€7", [5, 6, None]),
        ("1|2|(X)|(X)", 4, "(X)", [1, 2, None, None]),
        ("1|2|#DIV/0!", 4, "#DIV/0!", [1, 2, None]),
        ("1|2.5|1e999", 4, "1e999", [1, 2.5, None]),
        ("1|2|3_000", 4, "3_000", [1, 2, None]),
        ("1|2|12 34", 4, "12 34", [1, 2, None]),
        ("1|2|1,23,45", 4, "1,23,45", [1, 2, None]),
        ("1|2|(a)|(a)|(a)|(a)|(a)", 4, "(a)", [1, 2, None, None, None, None, None]),
    ],
)
def test_a_cell_that_does_not_fit_is_refused_or_made_empty(
    imported: Importer, cells: str, place: int, cell: str, values: list[float]
) -> None:
    content = "x;y\n" + "".join(f"{cell};a\n" for cell in cells.split("|"))
    line = imported.refused(content)
    assert line.startswith(f"t.csv, line {place}, column 'x': '{cell}' is no ")
    assert f"--empty {shlex.quote(cell)} reads this one as empty" in line
    assert line.endswith(OWNER)
    done = imported(content, "--lenient")
    assert done.cells["x"] == values
    assert done.said("x").endswith("cells that do not fit are empty")
    assert imported(content, "--empty", cell, "--overwrite").cells["x"] == values
    text = imported(content, "--text", "x", "--overwrite")
    assert text.cells["x"] == cells.split("|")
    assert text.said("y") == f"text: {COUNTS}"


def test_a_word_for_empty_can_be_a_word(imported: Importer) -> None:
    content = "country;x\nNA;1\nDE;2\n"
    done = imported(content)
    assert done.cells["country"] == [None, "DE"]
    assert done.said("country") == f"text: 'NA' read as empty; {COUNTS}"
    assert imported(content, "--keep-words", "--overwrite").cells["country"] == ["NA", "DE"]
    done = imported("x;y\n999;a\n-1;b\n5;c\n", "--empty", "999", "--empty", "-1", "--overwrite")
    assert done.cells["x"] == [None, None, 5]
    assert done.said("x") == "whole number: '-1', '999' read as empty"


@pytest.mark.parametrize(
    ("cells", "true", "false"),
    [("Y|N|y|NA", ["Y"], ["N"]), ("T|F|T|", ["t"], ["f"]), ("ja|nein|no", ["ja", "oui"], ["nein"])],
)
def test_the_owner_says_what_is_true_and_false(
    imported: Importer, cells: str, true: list[str], false: list[str]
) -> None:
    content = "x;z\n" + "".join(f"{cell};a\n" for cell in cells.split("|"))
    words = [word for name, given in (("--true", true), ("--false", false)) for w in given for word in (name, w)]
    done = imported(content)
    assert done.types["x"] == "string"
    told = f"--true {true[0].upper()} --false {false[0].upper()} reads it as true/false"
    assert (told in " ".join(done.screen.replace("│", " ").split())) == (len(true) == 1)
    done = imported(content, *words, "--overwrite")
    lowered = [word.lower() for word in true]
    right = [None if cell in ("NA", "") else cell.lower() in lowered for cell in cells.split("|")]
    assert done.cells == {"x": right, "z": ["a"] * len(right)}
    assert f"'{true[0]}' may be a name or a value" in imported.refused(f"Ann;{true[0]}\n", *words, "--overwrite")


def test_letters_among_others_are_text(imported: Importer) -> None:
    done = imported("a;b\nY;T\nN;N\nU;Y\n")
    assert done.said("a") == done.said("b") == f"text: {COUNTS}"
    told = imported("a;b\nY;T\nN;N\nU;Y\n", "--true", "Y", "--false", "N", "--overwrite")
    assert told.cells == done.cells


def test_numbers_that_begin_with_zeros_if_the_owner_says_so(imported: Importer) -> None:
    done = imported("x;y\n007;a\n12;b\n", "--number", "x")
    assert done.cells["x"] == [7, 12]
    assert done.said("x") == "whole number: leading zeros are dropped"


def test_a_quote_that_is_not_closed_and_one_that_closes_too_early(imported: Importer) -> None:
    line = imported.refused('a,b\n1,2\n3,"4\n5,6\n')
    assert line.startswith("t.csv, the record that begins in line 3: a quote that opens there is not closed")
    line = imported.refused('a,b\n"x\ny",2\n"3"4,5\n')
    assert line.startswith("t.csv, the record that begins in line 4: after a quote that closes a cell something else")
    assert imported('a,b\nx,5" pipe\ny,"6\n', "--quote", "none").cells["b"] == ['5" pipe', '"6']


def test_lines_of_another_width(imported: Importer) -> None:
    content = 'a,b\n"1\n",2\n3,4,5\n6,7\n8\n'
    line = imported.refused(content)
    assert line.startswith("t.csv, line 4: 3 cells, where 2 are named; ")
    done = imported(content, "--lenient")
    assert done.cells == {"a": [1, None, 6, None], "b": [2, None, 7, None]}
    assert "lines with another number of cells are rows whose cells are all empty" in done.screen


def test_cells_keep_their_line_breaks_and_other_quotes_hold_separators(imported: Importer) -> None:
    assert imported('a,b\n"x\r\ny",1\n').cells == {"a": ["x\r\ny"], "b": [1]}
    assert imported("a;b\n'x;\"';1\n", "--quote", "single", "--overwrite").cells == {"a": ['x;"'], "b": [1]}


@pytest.mark.parametrize("limit", ["BATCH_CELLS", "BATCH_CHARACTERS"])
def test_no_row_is_lost_or_doubled_where_a_batch_ends(
    imported: Importer, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"dpcloud.data.importing.spool.{limit}", 10)
    rows = [(i, f"n{i}") for i in range(23)]
    (imported.folder / "a.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in rows[:12]))
    (imported.folder / "b.json").write_text("".join(json.dumps({"y": y, "x": x}) for x, y in rows[12:-1]))
    with (imported.folder / "b.json").open("a") as file:
        file.write(json.dumps({"late": 5, "y": "n22", "x": 22}))  # a name that comes up in the last batch alone
    done = imported(None, imported.folder / "a.csv", imported.folder / "b.json")
    assert sorted(zip(done.cells["x"], done.cells["y"], strict=True)) == rows
    assert dict(zip(done.cells["x"], done.cells["late"], strict=True)) == dict.fromkeys(range(22)) | {22: 5}


@pytest.mark.parametrize("piece", range(1, 9))
def test_a_letter_that_two_pieces_share_is_one(
    imported: Importer, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr("dpcloud.data.importing.text._CHUNK", piece)
    done = imported("Stadt;x\nKöln;1\n北京;2\n")
    assert done.cells == {"Stadt": ["Köln", "北京"], "x": [1, 2]}
    assert "encoding UTF-8;" in done.screen


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(imported: Importer) -> None:
    for words in ((), ("--encoding", "utf-8")):
        done = imported(b"\xef\xbb\xbfx,y\n1,a\n", *words, "--overwrite")
        assert list(done.cells) == ["x", "y"]


def test_blank_lines_and_a_second_line_of_names_are_no_rows(imported: Importer) -> None:
    done = imported("\r\na,b\r\n1,2\r\n\r\na,b\r\n3,4")
    assert done.cells == {"a": [1, 3], "b": [2, 4]}
    assert "names in line 2; lines equal to it are left out." in done.screen


@pytest.mark.parametrize("first", ["Peru,2019,2020", "Ann,2019-01-01,x", "yes,a,b", "Ann,NA,x", "$5,x,y", "1,2,3"])
def test_a_first_line_with_values_may_be_a_row(imported: Importer, first: str) -> None:
    content = f"{first}\n4,5,6\n"
    line = imported.refused(content)
    assert (
        " may be a name or a value: --header 1 where this line holds the names, --no-header where it is a row" in line
    )
    assert list(imported(content, "--header", "1").cells) == first.split(",")
    done = imported(content, "--no-header", "--overwrite", "--lenient")
    assert list(done.cells) == ["column1", "column2", "column3"]
    assert "no line of names" in done.screen
    assert len(done.cells["column1"]) == 2


def test_a_title_above_the_names(imported: Importer) -> None:
    content = "Table 1: income, by county\n\ncounty;income\nA;1\nB;2\n"
    assert "where a title stands above the names, --header and their line" in imported.refused(content)
    done = imported(content, "--header", "3")
    assert done.cells == {"county": ["A", "B"], "income": [1, 2]}
    assert "names in line 3" in done.screen


def test_names_that_are_empty_or_double(imported: Importer) -> None:
    done = imported("a,,A,a_2, b  c ,\n1,2,3,4,5,\n")
    assert list(done.cells) == ["a", "column2", "A_3", "a_2", "b c"]
    assert done.said("column2") == "whole number: had no name"
    assert done.said("A_3") == "whole number: a second 'A'"
    assert "Left out, as it has neither a name nor a filled cell: column6." in done.screen


def test_a_hidden_member_of_a_zip_is_said_to_be_left_out(imported: Importer) -> None:
    path = imported.folder / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.csv", "in/.b.csv", "__MACOSX/._a.csv"):
            archive.writestr(name, "x\n1\n")
    done = imported(None, path)
    assert done.cells == {"x": [1]}
    assert re.findall("Left out.*", done.screen) == [
        f"Left out, as its name is that of a hidden file: {path}/in/.b.csv."
    ]


def test_a_column_whose_name_says_that_it_has_none(imported: Importer) -> None:
    """Whether a column has a name is not read off what is said of it."""
    done = imported("no name,no name,b\n1,,x\n2,,y\n")
    assert done.cells == {"no name": [1, 2], "no name_2": [None, None], "b": ["x", "y"]}
    assert done.said("no name_2") == f"text: a second 'no name'; no cell is filled; {COUNTS}"
    assert "Left out" not in done.screen
    done = imported("no name;no name;b\nx;1;x\ny;2;y\n", "--overwrite")
    assert "--query MEAN --column 'no name_2' --lower LOWER" in done.screen


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_though_cells_hold_others(imported: Importer, separator: str) -> None:
    row = separator.join(['"x, y; z|w\t"', "1", '"2"'])
    assert imported(f"a{separator}b{separator}c\n{row}\n").cells == {"a": ["x, y; z|w"], "b": [1], "c": [2]}


def test_a_separator_that_is_not_clear_is_asked_for(imported: Importer) -> None:
    content = "a,b;c\n1,2;3\n"
    line = imported.refused(content)
    assert line.startswith("',' and ';' each give every line the same number of cells: given ")
    assert line.endswith("; allowed: --separator and the right one")
    assert imported(content, "--separator", ";").cells == {"a,b": [1.2], "c": [3]}


def test_what_tells_the_separator_beside_the_lines(imported: Importer) -> None:
    done = imported("sep=;\na,b;c\n1,2;3\n")
    assert done.cells == {"a,b": [1.2], "c": [3]}
    assert "names in line 2" in done.screen
    assert imported("a,b\tc\n1,2\t3\n", "--overwrite", name="t.tsv").cells == {"a,b": [1.2], "c": [3]}
    line = imported.refused('"x" "g"\n"1" "a"\n', "--overwrite", name="t.txt")
    assert line.startswith("no separator gives every line the same number of cells")
    done = imported('"x" "g"\n"1" "a"\n', "--separator", "space", "--overwrite", name="t.txt")
    assert done.cells == {"x": [1], "g": ["a"]}


def test_one_column(imported: Importer) -> None:
    done = imported("x\n1\n2\n")
    assert done.cells == {"x": [1, 2]}
    assert "one column" in done.screen


def test_packed_files_zips_and_patterns(imported: Importer) -> None:
    folder = imported.folder
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"x,y\n1,a\n") + gzip.compress(b"2,b\n"))
    (folder / "b.csv.bz2").write_bytes(bz2.compress(b"y,x\nc,3\n"))
    (folder / "c.txt.xz").write_bytes(lzma.compress(b"x;y\n4;d\n"))
    with zipfile.ZipFile(folder / "d.zip", "w") as archive:
        archive.writestr("__MACOSX/._e.csv", b"\0")
        archive.writestr("in/e.csv", "x,y\n5,e\n")
        archive.writestr("in/f.tsv", "x\ty\n6\tf\n")
    done = imported(None, folder / "[a-b].csv.*", folder / "c.txt.xz", folder / "d.zip")
    rows = sorted(zip(done.cells["x"], done.cells["y"], strict=True))  # the order of rows may be another
    assert rows == [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f")]
    assert f"{folder}/a.csv.gz and 2 more, too: encoding UTF-8; separator ','; names in line 1." in done.screen
    assert f"{folder}/d.zip/in/f.tsv: encoding UTF-8; separator tab; names in line 1." in done.screen
    assert imported.refused(None, folder / "none*.csv", "--overwrite").startswith("no such file: given ")
    assert "a file is given twice" in imported.refused(None, folder / "a.csv.gz", folder / "a*", "--overwrite")
    (folder / "linked.csv.gz").symlink_to(folder / "a.csv.gz")
    line = imported.refused(None, folder / "a.csv.gz", folder / "linked.csv.gz", "--overwrite")
    assert "a file is given twice" in line
    (folder / "g.csv").write_text("x,z\n1,a\n")
    assert "g.csv has no column 'y'" in imported.refused(None, folder / "a.csv.gz", folder / "g.csv", "--overwrite")
    (folder / "h.csv.gz").write_bytes((folder / "a.csv.gz").read_bytes()[:-9])
    assert "broken or cut" in imported.refused(None, folder / "h.csv.gz", "--overwrite")


def test_an_empty_cell_in_quotes_is_a_row_of_a_single_column(imported: Importer) -> None:
    """As pandas writes a missing value there; a blank line is no row."""
    assert imported('x\n1\n""\n\n3\n').cells == {"x": [1, None, 3]}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_members_of_one_name(imported: Importer) -> None:
    """Opened by its name, the last would be read twice, and the first never."""
    with zipfile.ZipFile(imported.folder / "d.zip", "w") as archive:
        archive.writestr("a.csv", "x,y\n1,2\n")
        archive.writestr("a.csv", "x,y\n3,4\n")
    assert "two members of one name" in imported.refused(None, imported.folder / "d.zip")


def test_the_file_of_a_cell_that_does_not_fit_is_named(imported: Importer) -> None:
    (imported.folder / "a.csv").write_text("x,y\n1,a\n")
    (imported.folder / "b.csv").write_text("y,x\na,1\na,?\n")
    line = imported.refused(None, imported.folder / "*.csv")
    assert line.startswith("b.csv, line 3, column 'x': '?' is no whole number")


def test_no_count_is_shown(imported: Importer) -> None:
    """What the screen says is the same whatever the rows are, as long as their kinds are."""
    few = imported("x;y\n1;a\nn.k.;NA\n3;c\n", "--lenient")
    few.path.unlink()
    many = imported("x;y\n" + "1;a\n" * 99 + "n.k.;NA\n" * 77, "--lenient")
    assert few.screen == many.screen
    assert few.said("x") == "whole number: cells that do not fit are empty"


def test_the_output_is_new_or_replaced_only_when_asked_for(imported: Importer) -> None:
    done = imported("x\n1\n")
    before = done.path.read_bytes()
    assert "the output exists already" in imported.refused("x\n2\n")
    assert done.path.read_bytes() == before
    assert "It is another table, with a budget of its own" in done.screen
    done = imported("x\n2\n", "--overwrite")
    assert done.cells == {"x": [2]}
    assert "It keeps the budget of its path" in done.screen
    assert "budget of its own" not in done.screen
    assert "the output is one of the files" in imported.refused(None, done.path, "--overwrite")
    assert "a name that ends in .parquet" in imported.refused("x\n", "--output", imported.folder / "t.csv")
    assert "folder is not there" in imported.refused("x\n", "--output", imported.folder / "no" / "t.parquet")


@pytest.mark.parametrize(
    ("content", "name", "words", "message"),
    [
        ("", "t.csv", [], "nothing to read, zero bytes: given"),
        ("", "t.parquet", [], "nothing to read, zero bytes: given"),
        ("\n\n", "t.csv", [], "nothing to read"),
        (b"\x00\x01\x02", "t.csv", [], "not a text file"),
        (b"a,b\n\x8d\xff,1\n", "t.csv", [], "neither UTF-8 nor Latin-1"),
        (b"a,b\n\xff,1\n", "t.csv", ["--encoding", "utf-8"], "not in the encoding utf-8"),
        ("a,b\n1,2\n", "t.csv", ["--encoding", "klingon"], "unknown encoding: given 'klingon'"),
        ("a,b\n1,2\n", "t.csv", ["--encoding", "base64"], "unknown encoding: given 'base64'"),
        ("a,b\n1,2\n", "t.csv", ["--separator", "ab"], "the separator: given 'ab'"),
        ("a,b\n1,2\n", "t.csv", ["--quote", "x"], "the quote: given 'x'"),
        ("a,b\n1,2\n", "t.csv", ["--decimal", ";"], "the decimal mark: given ';'"),
        ("a,b\n1,2\n", "t.csv", ["--decimal", "a=.", "--decimal", "a=,"], "the decimal mark is given twice"),
        ("a,b\n1,2\n", "t.csv", ["--header", "1", "--no-header"], "the line of names: given '1'"),
        ("a,b\n1,2\n", "t.csv", ["--decimal", "c=."], "no such column: given 'c'; allowed: 'a', 'b'"),
        ("a,b\n1,2\n", "t.csv", ["--text", "c"], "no such column: given 'c'; allowed: 'a', 'b'"),
        ("a,b\n1,2\n", "t.csv", ["--text", "a", "--number", "a"], "both --text and --number"),
        ("a,b\n1,2\n", "t.csv", ["--true", "1"], "a word for true or false: given '1'"),
        ("a,b\n1,2\n", "t.csv", ["--false", " "], "a word for true or false: given ''"),
        ("a,b\n1,2\n", "t.csv", ["--true", "NA"], "a word for true or false: given 'NA'"),
        ("a,b\n1,2\n", "t.csv", ["--true", "NA", "--keep-words"], "a word for true or false: given 'NA'"),
        ("a,b\n1,2\n", "t.csv", ["--true", "Y", "--empty", "Y"], "is read as empty: given 'Y'"),
        ("a,b\n1,2\n", "t.csv", ["--true", "Y", "--false", "y"], "stands for true and for false: given 'y'"),
        ("a,b\n1,2\n", "t.csv", ["--false", "Yes"], "stands for true and for false: given 'yes'"),
        ("a,b\n1,2\n", "t.csv", ["--header", "0"], "the line of names: given '0'"),
        ("a,b\n1,2\n", "t.csv", ["--header", "9"], "nothing to read"),
        ("a,b\n1,2\n", "t.csv", ["/dev/zero"], "a device or a pipe"),
        ("a,b\n1,2\n", "t.doc", [], "a file of an unknown kind"),
        ("a,b\n1,2\n", "t.xls", [], "allowed: save it as .xlsx, or as CSV"),
        ("a,b\n1,2\n", "t.parquet", [], "not readable as Parquet"),
        ("a,b\n1,2\n", "t.xlsx", [], "not readable as Excel"),
        ("a,b\n1,2\n", "t.zip", [], "a packed file that is broken or cut"),
        ("a,b\n1,2\n", "t.csv.gz", [], "a packed file that is broken or cut"),
        ('a\n"' + "x" * (1 << 21), "t.csv", [], "a cell is longer than 1,048,576 characters, or a quote"),
    ],
)
def test_bad_input_is_one_line(
    imported: Importer, content: str | bytes, name: str, words: list[str], message: str
) -> None:
    assert message in imported.refused(content, *words, name=name)


def test_an_interrupted_import_leaves_nothing(tmp_path: Path) -> None:
    """A real process and a real signal, while it reads."""
    table = tmp_path / "t.csv.gz"
    table.write_bytes(gzip.compress(b"x,y\n" + b"1,2\n" * 5_000_000, 1))
    words = ["data", "import", table.name, "--output", "new.parquet"]
    with subprocess.Popen(
        [sys.executable, "-m", "dpcloud", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".new*/spool-000000.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(tmp_path.glob(".new*/*"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    said = "dpcloud: was interrupted; nothing is spent, and nothing is left of the table\n"
    assert (process.returncode, out, err) == (130, "", said)
    assert list(tmp_path.iterdir()) == [table]
