"""`dpcloud data import`: a refusal says what the file most likely is, and what helps."""

import pytest

from cli.data.importing import OWNER, Importer

BELOW = "a total or a note below the table is no row: delete it"


@pytest.mark.parametrize("last", ["Total", "Total\n3", "Total\n3\n4"])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_total_or_a_note_below_the_table(imported: Importer, last: str, width: int) -> None:
    """Cells that do not fit, and lines of another width, in the last three lines."""
    lines = [f"{cell};a" for cell in ["x", "1", "2", *last.split("\n")]]
    lines[3] = ";".join(lines[3].split(";")[:1] + ["a"] * (width - 1))
    assert BELOW in imported.refused("\n".join(lines))
    assert BELOW not in imported.refused("\n".join([*lines, "5;a", "6;a", "7;a"]))


@pytest.mark.parametrize(
    ("content", "words", "space"),
    [
        ('"x" "g"\n"1" 1 "a"\n"2" 2 "b"\n', [], True),
        ('"x"\n"1" 1\n"2" 2\n', [], True),
        ("x g\n1 1 a\n2 2 b\n", ["--separator", "space"], False),
        ('"x","g"\n"1",1,"a"\n"2",2,"b"\n', [], False),
        ("x\tg\n1\t1\ta\n2\t2\tb\n", ["--lenient"], False),
        ("x\tg\n1\t1\ta\n2\t2\tb\n", ["--separator", "tab"], False),
    ],
)
def test_row_names_of_r(imported: Importer, content: str, words: list[str], space: bool) -> None:
    assert imported.refused(content, *words) == (
        "t.csv: every line has one cell more than there are names: R's row names? put a name before the others in "
        f"line 1{'; then --separator space' if space else ''}"
    )


def test_separators_at_the_end_of_all_lines_are_no_row_names(imported: Importer) -> None:
    line = imported.refused("x,g\n1,a,\n2,b,\n")
    assert "R's row names" not in line


@pytest.mark.parametrize("words", [[], ["--lenient"]])
def test_a_column_called_one_of_numbers_that_has_none(imported: Importer, words: list[str]) -> None:
    line = imported.refused("x;tf\n1;T\n2;F\n", "--number", "tf", *words)
    assert line == (
        "t.csv, line 2, column 'tf': 'T' is no number, nor is any other cell of the column, which --number calls one "
        f"of numbers; leave out --number tf {OWNER}"
    )
