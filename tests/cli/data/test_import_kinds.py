"""`dpcloud data import` of JSON, Excel and Parquet."""

import datetime
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.data.importing import COUNTS, OWNER, Importer

RECORDS = [
    {"x": 1, "y": 1.234, "z": "1,5", "ok": True, "name": "Ann"},
    {"x": 2, "y": 2, "z": None, "ok": False, "name": "two\nlines"},
    {"x": None, "z": "2.000,25", "name": "", "more": "NA"},
]
CELLS = {
    "x": [1, 2, None],
    "y": [1.234, 2.0, None],
    "z": [1.5, None, 2000.25],
    "ok": [True, False, None],
    "name": ["Ann", "two\nlines", None],
    "more": [None, None, None],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.jsonl", "\n".join(map(json.dumps, RECORDS))),
        ("t.ndjson", "\r\n".join(map(json.dumps, RECORDS)) + "\r\n"),
        ("t.json", json.dumps(RECORDS)),
        ("t.json", json.dumps(RECORDS, indent=4)),
        ("t.json", "".join(json.dumps(record, indent=1) for record in RECORDS)),
    ],
)
def test_json(imported: Importer, name: str, text: str) -> None:
    """A number of JSON has a decimal point whatever it looks like; a text is looked at as a cell of CSV."""
    done = imported(text, name=name)
    assert done.cells == CELLS
    assert done.said("y") == "number"
    assert done.said("z") == "number: decimal comma; '.' between thousands taken out"
    assert done.said("more") == f"text: 'NA' read as empty; no cell is filled; {COUNTS}"


def test_json_of_many_pieces_keeps_every_object_and_its_line(imported: Importer) -> None:
    """More than is read at a time; objects and numbers are cut at every place."""
    records = [{"i": i, "text": "x" * (i % 97), "y": i / 8} for i in range(20_000)]
    text = ",\n".join(map(json.dumps, records))
    assert len(text) > 1 << 20
    done = imported(f"[{text}]", name="t.json")
    assert done.cells["i"] == list(range(20_000))
    assert done.cells["y"] == [i / 8 for i in range(20_000)]
    long = json.dumps({"text": "x" * (1 << 19)})
    assert imported(f"[{text}, {long}]", "--overwrite", name="t.json").cells["text"][-1] == "x" * (1 << 19)
    line = imported.refused(f'[{text},\n{{"i": "n.k."}}]', "--overwrite", name="t.json")
    assert line.startswith("t.json, line 20001, column 'i': 'n.k.' is no whole number")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a": 1}\n{"a": [2]}\n',
            "t.json, line 2, 'a': a list or an object; allowed: plain values; --lenient makes",
        ),
        ('{"a": 1}\n{"a": 2,}\n', "line 2 is not JSON"),
        ('{"a": 1}\n{"a": 2', "line 2 is not JSON"),
        ('[{"a": 1}, 5]', "line 1 holds a JSON value that is no object"),
        ("[[1, 2]]", "line 1 holds a JSON value that is no object"),
        ('{"a": 1, "A": 2}', "a column whose name differs from 'a' by capitals alone, in t.json: given 'A'"),
        ("", "nothing to read"),
        ("[]", "nothing to read"),
        ('[{"a": 1},\n', "an array that is not closed"),
        ('{"a": 1}\n{"a": 2, "a": 3}', "line 2 holds an object with one key twice"),
        ('{"a": 1}\n{"": 2}', "line 2: a name that is empty or not printable"),
        ('{"a": 1}\n{"b\\u0000": 2}', "line 2: a name that is empty or not printable"),
        ('{"a": 1}\n{"\\ud800": 2}', "line 2: a name that is empty or not printable"),
        ('{"a": 1}\n{"a": "\\ud800"}', "line 2, 'a': no character"),
        ('{"a": 1}\n{"a": ' + "[" * 100_000, "line 2 is nested too deeply"),
    ],
)
def test_json_that_is_no_table(imported: Importer, text: str, message: str) -> None:
    assert message in imported.refused(text, name="t.json")


def test_a_number_that_does_not_fit_is_shown_as_it_stands(imported: Importer) -> None:
    line = imported.refused('{"x": "5%"}\n{"x": "6%"}\n{"x": 0.07}\n', name="t.jsonl")
    assert line.startswith("t.jsonl, line 3, column 'x': '0.07' is no number as other cells of it are (% taken out")


COLUMNS = {"x": {"0": 1, "1": 2}, "y": {"0": "a", "1": "b"}}
SPLIT = {"columns": ["x"], "index": [0, 1], "data": [[1], [2]]}


@pytest.mark.parametrize("words", [[], ["--lenient"]])
@pytest.mark.parametrize("made", [COLUMNS, SPLIT])
def test_columns_of_pandas_are_no_row(imported: Importer, made: dict[str, object], words: list[str]) -> None:
    line = imported.refused(json.dumps(made), *words, name="t.json")
    assert line.startswith(
        "one object of lists or objects, which is no row; pandas' to_json of columns? write it with orient='records'"
    )


def test_columns_of_pandas_that_are_long(imported: Importer) -> None:
    long = json.dumps({"x": {"0": "x" * (1 << 25)}})
    line = imported.refused(long, name="t.json")
    assert line.startswith("an object longer than 16,777,216 characters; pandas' to_json of columns? write it with")


def test_an_object_is_told_by_the_line_that_it_begins_in(imported: Importer) -> None:
    line = imported.refused('{\n"x": 1\n}\n\n{\n"x": "?"\n}', name="t.json")
    assert line.startswith("t.json, line 5, column 'x': '?' is no whole number")


def test_json_with_lists_leniently(imported: Importer) -> None:
    done = imported('{"a": 1, "b": {"c": 2}}\n{"a": 2, "b": "x"}\n', "--lenient", name="t.json")
    assert done.cells == {"a": [1, 2], "b": [None, "x"]}
    assert done.said("b") == f"text: lists and objects are empty; {COUNTS}"


@pytest.fixture
def book(imported: Importer) -> Path:
    """A sheet as people make them: blank rows, percents, dates, errors, texts that look like numbers."""
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "Data"
    for row in (
        [],
        ["Name", "Share", "Born", "Seen", "Paid", "Ok", "Code", "Odd", None],
        ["Ann", 0.137, datetime.date(1990, 5, 1), datetime.datetime(2020, 1, 1, 10, 30), 1.234, True, "007", "#N/A"],
        [],
        ["Bob", 0.5, datetime.date(1991, 12, 31), datetime.datetime(2020, 1, 2), 5, False, "010", 3],
    ):
        sheet.append(row)
    sheet["B3"].number_format = "0.0%"
    made.create_sheet("Empty")
    path = imported.folder / "t.xlsx"
    made.save(path)
    return path


def test_excel(imported: Importer, book: Path) -> None:
    done = imported(None, book)
    assert done.cells == {
        "Name": ["Ann", "Bob"],
        "Share": [0.137, 0.5],
        "Born": [datetime.date(1990, 5, 1), datetime.date(1991, 12, 31)],
        "Seen": [datetime.datetime(2020, 1, 1, 10, 30), datetime.datetime(2020, 1, 2)],
        "Paid": [1.234, 5.0],
        "Ok": [True, False],
        "Code": ["007", "010"],
        "Odd": [None, 3],
    }
    assert "sheet 'Data'; names in row 2." in done.screen
    share = done.said("Share")
    assert share == "number: Excel shows it as percent and stores the fraction, which is kept: 13.7 % is 0.137"
    assert done.said("Odd") == "whole number: '#N/A' read as empty"


def test_excel_with_several_sheets(imported: Importer, book: Path) -> None:
    opened = openpyxl.load_workbook(book)
    opened["Empty"].append(["a", "b"])
    opened["Empty"].append([1, "x"])
    opened.save(book)
    line = imported.refused(None, book)
    assert line.startswith("several sheets: given ")
    assert line.endswith("--sheet and one of 'Data', 'Empty'")
    assert imported(None, book, "--sheet", "Empty").cells == {"a": [1], "b": ["x"]}
    assert "no such sheet: given 'data'; allowed: 'Data', 'Empty'" in imported.refused(
        None, book, "--sheet", "data", "--overwrite"
    )


def test_a_formula_that_was_never_computed_is_no_empty_cell(imported: Importer, book: Path) -> None:
    """Programs write formulas without their values; Excel stores these."""
    opened = openpyxl.load_workbook(book)
    opened["Data"]["E5"] = "=2+3"
    opened.save(book)
    line = imported.refused(None, book)
    assert line == (
        "t.xlsx, row 5, cell 5: the formula '=2+3' without a stored value; open the file in Excel and save it "
        + OWNER
    )
    whole = book.read_bytes()
    _rewrite(book, {b"<f>2+3</f>": b"<x:f>2+3</x:f>", b"<worksheet ": b'<worksheet xmlns:x="%s" ' % _MAIN})
    assert imported.refused(None, book) == line  # as other programs name it
    book.write_bytes(whole)
    _rewrite(book, {b"<f>2+3</f><v />": b"<f>2+3</f><v>7</v>"})  # as Excel stores it
    assert imported(None, book).cells["Paid"] == [1.234, 7]


_MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _rewrite(book: Path, changes: dict[bytes, bytes]) -> None:
    """Change the first sheet's XML."""
    with zipfile.ZipFile(book) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(book, "w") as archive:
        for name, content in files.items():
            if name.endswith("sheet1.xml"):
                for old, new in changes.items():
                    assert content.count(old) == 1, content
                    content = content.replace(old, new)
            archive.writestr(name, content)


def test_a_formula_is_seen_wherever_it_stands_in_the_file(imported: Importer) -> None:
    """A sheet is looked at piece by piece: here one piece ends within the mark of a formula."""
    made = openpyxl.Workbook()
    made.active.append(["a", "b"])
    made.active.append([1, "=2+3"])
    path = imported.folder / "t.xlsx"
    made.save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sheet = files["xl/worksheets/sheet1.xml"]
    for before in (1, 2):
        blanks = b" " * ((1 << 20) - before - sheet.index(b"<f>"))
        padded = sheet.replace(b"<sheetData>", blanks + b"<sheetData>")
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, padded if content is sheet else content)
        assert "the formula '=2+3' without a stored value" in imported.refused(None, path)


def test_a_sheet_without_names_and_one_that_says_it_is_smaller_keep_their_rows(imported: Importer) -> None:
    made = openpyxl.Workbook()
    for row in ([1, "a"], [2, "b"], [3, "c"]):
        made.active.append(row)
    path = imported.folder / "t.xlsx"
    made.save(path)
    assert imported(None, path, "--no-header").cells == {"column1": [1, 2, 3], "column2": ["a", "b", "c"]}
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert b'<dimension ref="A1:B3"' in files["xl/worksheets/sheet1.xml"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1:A2"'))
    done = imported(None, path, "--no-header", "--overwrite")
    assert done.cells == {"column1": [1, 2, 3], "column2": ["a", "b", "c"]}


def test_years_as_names_and_cells_beyond_the_names_in_excel(imported: Importer) -> None:
    made = openpyxl.Workbook()
    made.active.append(["Country", 2019, 2020])
    made.active.append(["Peru", 1, 2])
    made.save(imported.folder / "t.xlsx")
    path = imported.folder / "t.xlsx"
    assert "sheet 'Sheet', row 1: '2019' may be a name or a value: --header 1" in imported.refused(None, path)
    assert imported(None, path, "--header", "1").cells == {"Country": ["Peru"], "2019": [1], "2020": [2]}
    made.active.insert_rows(1)
    made.active["A1"] = "Table 1"
    made.save(path)
    done = imported(None, path, "--header", "2", "--overwrite")
    assert done.cells == {"Country": ["Peru"], "2019": [1], "2020": [2]}
    made.active.delete_rows(1)
    made.active.append(["Chile", 1, 2, 3])
    made.save(path)
    line = imported.refused(None, path, "--header", "1", "--overwrite")
    assert line.startswith("t.xlsx, row 3: a cell beyond the 3 that are named")
    done = imported(None, path, "--header", "1", "--lenient", "--overwrite")
    assert done.cells["2020"] == [2, 2]
    assert "cells beyond the names are left out" in done.screen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"x":1},{"x":2},', "an array that is not closed"),
        ('{"y":1}\n{"x":1,"x":2}\n', "line 2 holds an object with one key twice"),
        ('{"x":Infinity}\n{"x":2}\n', "'Infinity' is no whole number"),
        ('{"x":"\\ud800"}\n', "line 1, 'x': no character"),
        ('{"":1}\n', "line 1: a name that is empty or not printable"),
        ('{"x":' * 100_000, "line 1 is nested too deeply"),
    ],
)
def test_json_that_would_lose_something(imported: Importer, text: str, message: str) -> None:
    assert message in imported.refused(text, name="t.json")


@pytest.mark.parametrize(("name", "other"), [("t[1].parquet", "t1.parquet"), ("t*.parquet", "tt.parquet")])
def test_the_name_of_a_parquet_file_is_no_pattern(imported: Importer, name: str, other: str) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), imported.folder / name)
    pq.write_table(pa.table({"x": [7]}), imported.folder / other)
    assert imported(None, imported.folder / name).cells == {"x": [1, 2]}


@pytest.mark.parametrize("folder", ["x=7", "year=2020"])
def test_the_name_of_a_folder_is_no_column(imported: Importer, folder: str) -> None:
    """DuckDB would put a folder's value in the place of the file's own."""
    (imported.folder / folder).mkdir()
    pq.write_table(pa.table({"x": [1, None]}), imported.folder / folder / "t.parquet")
    assert imported(None, imported.folder / folder / "t.parquet").cells == {"x": [1, None]}


def test_parquet_keeps_its_types_and_its_texts_are_looked_at(imported: Importer) -> None:
    table = pa.table(
        {
            "i": pa.array([1, None], pa.uint16()),
            "f": [1.5, None],
            "d": pa.array([datetime.date(2020, 1, 1), None]),
            "t": pa.array([datetime.datetime(2020, 1, 1), None], pa.timestamp("ns")),
            "p": ["13.7%", " "],
            "b": [True, None],
            "s": pa.array(["a", "b"]).dictionary_encode(),
        }
    )
    path = imported.folder / "in.parquet"
    pq.write_table(table, path)
    done = imported(None, path)
    assert done.cells == {**table.to_pydict(), "p": [13.7, None], "t": [datetime.datetime(2020, 1, 1), None]}
    assert [done.said(name) for name in "ifdtbs"] == [
        "whole number",
        "number",
        "date",
        "date and time",
        "true/false",
        f"text: {COUNTS}",
    ]
    pq.write_table(pa.table({"i": [[1]]}), path)
    assert "no column of plain values: given " in imported.refused(None, path, "--overwrite")

    pq.write_table(pa.table({"File_Row_Number": [1]}), path)
    assert "a column of a name that DuckDB gives to its own: given" in imported.refused(None, path, "--overwrite")
    pq.write_table(pa.table({"p": ["1%", "2%", "?"]}), path)
    line = imported.refused(None, path, "--overwrite")
    assert line.startswith("in.parquet, line 3, column 'p': '?' is no whole number as other cells of it are (% taken")


def test_lists_in_parquet_are_left_out_which_is_said(imported: Importer) -> None:
    path = imported.folder / "in.parquet"
    decimals = pa.array([[Decimal(1)], None], pa.list_(pa.decimal128(5, 2)))
    pq.write_table(pa.table({"i": [1, 2], "tags": [["a"], []], "d": decimals, "s": [{"a": 1}, None]}), path)
    done = imported(None, path)
    assert done.cells == {"i": [1, 2]}
    for name, type_ in (("tags", "VARCHAR[]"), ("d", "DECIMAL(5,2)[]"), ("s", "STRUCT(a BIGINT)")):
        assert f"column '{name}' is left out: {type_} is no plain value" in done.screen


def test_names_that_differ_by_capitals_alone(imported: Importer) -> None:
    path = imported.folder / "in.parquet"
    pq.write_table(pa.table({"a": [1], "A": [2]}), path)
    assert "a column whose name differs from another's by capitals alone" in imported.refused(None, path)
    for number, key in enumerate("aA"):
        (imported.folder / f"{number}.json").write_text(f'{{"{key}": 1}}')
    line = imported.refused(None, imported.folder / "*.json")
    assert line.startswith("a column whose name differs from 'a' by capitals alone, in 1.json: given 'A'")


def test_parquet_files_whose_columns_differ_and_parquet_beside_others(imported: Importer) -> None:
    for name, columns in (("a", ["x"]), ("b", ["x", "y"])):
        pq.write_table(pa.table({column: [1] for column in columns}), imported.folder / f"{name}.parquet")
    a, b = imported.folder / "a.parquet", imported.folder / "b.parquet"
    assert "b.parquet has a column 'y': given" in imported.refused(None, a, b)
    assert "a.parquet has no column 'y': given" in imported.refused(None, b, a)
    (imported.folder / "c.csv").write_text("x\n1\n")
    assert "Parquet beside other files" in imported.refused(None, a, imported.folder / "c.csv")


def test_files_of_two_kinds_are_one_table(imported: Importer) -> None:
    (imported.folder / "a.csv").write_text("x,y\n1,a\n")
    (imported.folder / "b.jsonl").write_text('{"y": "b", "x": 2.5}\n')
    done = imported(None, imported.folder / "a.csv", imported.folder / "b.jsonl")
    assert sorted(zip(done.cells["x"], done.cells["y"], strict=True)) == [(1, "a"), (2.5, "b")]
