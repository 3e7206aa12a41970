"""`dpcloud data import` where blanks stand between digits: cells of their own, thousands, or a code."""

import pytest

from cli.data.importing import OWNER, Importer


@pytest.mark.parametrize(
    "content",
    [
        "age score\n21 101\n22 102\n",
        "id v\n1 101\n",
        "id v\n1 101\n2\n",  # a cell that is missing
        "id v w\n1 101\n2\n",
        "age   score\n 21     101\n",
        "v\n1 101\n10 102\n",  # R's row names
        "v\n1 21 101\n2 22 102\n",
        "name score\nAnn 101\nBob 102\n",
    ],
)
def test_cells_separated_by_blanks_are_no_thousands(imported: Importer, content: str) -> None:
    line = imported.refused(content)
    name = " ".join(content.split("\n")[0].split())
    quoted = f"'{name}'" if " " in name else name
    assert "several words, and no other separator is found: --separator space where blanks separate cells" in line
    assert f"where it is one column, --number {quoted} (blanks between thousands), --text {quoted}, or" in line


def test_the_options_that_say_what_blanks_are(imported: Importer) -> None:
    content = "age score\n21 101\n22 102\n"
    assert imported(content, "--separator", " ").cells == {"age": [21, 22], "score": [101, 102]}
    assert imported(content, "--number", "age score", "--overwrite").cells == {"age score": [21101, 22102]}
    assert imported(content, "--text", "age score", "--overwrite").cells == {"age score": ["21 101", "22 102"]}
    assert imported("x\n1 234\n12\n", "--overwrite").cells == {"x": [1234, 12]}
    seen = imported("t\n2020-01-01 10:30\n2020-01-02 10:30\n", "--separator", ",", "--overwrite")
    assert seen.types == {"t": "timestamp[us]"}
    text = imported("full name\nAnn B Lee\nBob C Ray\n", "--text", "full name", "--overwrite")
    assert text.cells == {"full name": ["Ann B Lee", "Bob C Ray"]}
    assert imported("full name\nAnn Lee\nCher\n", "--overwrite").cells == {"full name": ["Ann Lee", "Cher"]}


@pytest.mark.parametrize("first", ["0 0 0", "59 2 32.1 101.0", "1 NA"])
def test_a_first_line_of_numbers_separated_by_blanks_may_be_a_row(imported: Importer, first: str) -> None:
    content = f"{first}\n{first.replace('0', '7')}\n"
    assert imported.refused(content) == (
        f"t.csv, line 1: '{first}' may be a name or a value: --header 1 where this line holds the names, "
        f"--no-header where it is a row; --separator space where blanks separate cells {OWNER}"
    )
    assert "every line holds several words" in imported.refused(content, "--no-header")
    cells = imported(content, "--no-header", "--separator", "space").cells
    assert len(cells) == len(first.split())
    assert len(cells["column1"]) == 2


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_codes_in_groups_are_not_taken_for_numbers(imported: Importer, separator: str) -> None:
    rows = ["555 101 201", "555 101 202", "", "NA"]
    content = f"x{separator}phone\n" + "".join(f"1{separator}{row}\n" for row in rows)
    assert imported.refused(content) == (
        "t.csv, line 2, column 'phone': '555 101 201' may be a number or a code, such as a phone's, for all of the "
        f"column are of one length with blanks in them: --number phone or --text phone {OWNER}"
    )
    assert imported(content, "--text", "phone").cells["phone"] == ["555 101 201", "555 101 202", None, None]
    numbers = imported(content, "--number", "phone", "--overwrite")
    assert numbers.cells["phone"] == [555101201, 555101202, None, None]
    for other in ("12", "1 234", '"1 234,5"', "-555 101 203"):
        assert imported(content.replace("NA", other), "--overwrite").types["phone"] in ("int64", "double")


@pytest.mark.parametrize("cells", ["1 234 €|1 235 €", "12 345 %|12 346 %", "1'234|1'235", "(1 234)|(1 235)"])
def test_what_is_money_or_has_apostrophes_is_no_code(imported: Importer, cells: str) -> None:
    content = "x;y\n" + "".join(f"{cell};a\n" for cell in cells.split("|"))
    assert imported(content).types["x"] == "int64"
