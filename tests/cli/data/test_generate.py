import csv
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dpcloud.data import generate as module
from dpcloud.data.commands import data
from dpcloud.data.generate import check, generate, table
from dpcloud.data.schema import COLUMNS
from dpjobs.errors import InputError

COUNTS = {"TotalPop", "Men", "Women", "VotingAgeCitizen", "Employed"}
INTEGERS = COUNTS | {"TractId", "Income", "IncomeErr", "IncomePerCap", "IncomePerCapErr"}
TEXTS = {"State", "County"}
NEVER_EMPTY = COUNTS | TEXTS | {"TractId"}
GROUPS = {
    ("Hispanic", "White", "Black", "Native", "Asian", "Pacific"): (80, 100.3),
    ("Professional", "Service", "Office", "Construction", "Production"): (99.7, 100.3),
    ("Drive", "Carpool", "Transit", "Walk", "OtherTransp", "WorkAtHome"): (99.7, 100.3),
    ("PrivateWork", "PublicWork", "SelfEmployed", "FamilyWork"): (99.7, 100.3),
}


@pytest.fixture(scope="module")
def whole(spark, tmp_path_factory):
    """The default table, as its file."""
    path = tmp_path_factory.mktemp("whole") / "tracts.csv"
    generate(spark, output=path, format="csv")
    return path


@pytest.fixture(scope="module")
def rows(whole):
    with whole.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def numbers(rows, column):
    return [float(row[column]) for row in rows if row[column]]


@pytest.mark.slow
def test_default_table_has_the_shape_of_the_real_one(whole, rows):
    text = whole.read_bytes()
    assert b"\r" not in text
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 74_002
    assert whole.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    assert len(COLUMNS) == 37
    assert len(rows) == 74_001
    assert all(None not in row and None not in row.values() for row in rows)


def test_header_is_the_county_files_with_another_id(census):
    with census.open(newline="") as file:
        assert list(COLUMNS[1:]) == next(csv.reader(file))[1:]


@pytest.mark.slow
@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in TEXTS])
def test_cells_are_plain_numbers_with_some_empty(rows, column):
    form = r"\d+" if column in INTEGERS else r"\d+\.\d"
    cells = [row[column] for row in rows]
    assert all(re.fullmatch(form, cell) for cell in cells if cell)
    empty = cells.count("") / len(cells)
    assert empty == 0 if column in NEVER_EMPTY else 0.005 < empty < 0.03
    if column not in INTEGERS:
        assert max(numbers(rows, column)) <= 100


@pytest.mark.slow
def test_names_are_real_and_some_need_quotes(whole, rows):
    assert len({row["State"] for row in rows}) == 52
    assert {"California", "Puerto Rico", "District of Columbia"} <= {row["State"] for row in rows}
    with_comma = sum("," in row["County"] for row in rows)
    assert 0.02 < with_comma / len(rows) < 0.3
    assert whole.read_bytes().count(b'"') == 2 * with_comma
    ids = [int(row["TractId"]) for row in rows]
    assert ids == sorted(set(ids))
    assert all(10**9 < number < 73 * 10**9 for number in ids)
    assert ids[0] // 10**9 == 1
    assert ids[-1] // 10**9 == 72


@pytest.mark.slow
def test_numbers_are_plausible_and_fit_together(rows):
    people = numbers(rows, "TotalPop")
    assert 3_700 < statistics.median(people) < 4_400
    assert min(people) == 0
    assert 30_000 < max(people) <= 65_535
    assert 50_000 < statistics.median(numbers(rows, "Income")) < 60_000
    assert all(int(row["Men"]) + int(row["Women"]) == int(row["TotalPop"]) for row in rows)
    assert all(int(row["VotingAgeCitizen"]) <= int(row["TotalPop"]) for row in rows)
    assert all(int(row["Employed"]) <= int(row["TotalPop"]) for row in rows)
    assert all(bool(row["Income"]) == bool(row["IncomeErr"]) for row in rows)
    nobody = [row for row in rows if row["TotalPop"] == "0"]
    assert 300 < len(nobody) < 1_000
    empty = set(COLUMNS) - NEVER_EMPTY
    assert all(row[column] == "" for row in nobody for column in empty)
    for columns, (least, most) in GROUPS.items():
        sums = [sum(float(row[column]) for column in columns) for row in rows if row["TotalPop"] != "0"]
        assert least <= min(sums)
        assert max(sums) <= most
        assert 97 < statistics.mean(sums) < 100.1


@pytest.mark.slow
def test_usual_values_are_those_of_the_counties(rows, census):
    with census.open(newline="") as file:
        counties = list(csv.DictReader(file))
    # Tracts are much smaller than counties, and so more uncertain and more mixed.
    for column in set(COLUMNS[12:]) - COUNTS - {"IncomeErr", "IncomePerCapErr"}:
        ours, theirs = (statistics.median(numbers(table, column)) for table in (rows, counties))
        assert abs(ours - theirs) <= max(1.5, 0.35 * theirs), column


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(spark, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        generate(spark, rows=2_000, seed=seed, output=tmp_path / f"{name}.csv", format="csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert (tmp_path / "one.csv").read_bytes() != (tmp_path / "two.csv").read_bytes()


@pytest.mark.slow
def test_partitions_and_chosen_columns_do_not_change_a_cell(spark):
    columns = ["Poverty", "TractId", "County", "Pacific", "id"]
    one = table(spark, rows=3_000, seed=5, columns=columns, parts=1).collect()
    seven = table(spark, rows=3_000, seed=5, columns=columns, parts=7).collect()
    whole = table(spark, rows=3_000, seed=5, columns=[*COLUMNS, "id"], parts=2).select(*columns).collect()
    assert one == seven == whole
    assert [row["id"] for row in one] == list(range(3_000))


@pytest.mark.slow
def test_parquet_has_big_integers_and_doubles(spark, tmp_path):
    generate(spark, rows=20, output=tmp_path / "t.parquet", format="parquet")
    generate(spark, rows=0, output=tmp_path / "none.parquet", format="parquet", columns=["id", "State"])
    types = dict(spark.read.parquet(str(tmp_path / "t.parquet")).dtypes)
    expected = {name: "bigint" if name in INTEGERS else "string" if name in TEXTS else "double" for name in COLUMNS}
    assert types == expected
    assert spark.read.parquet(str(tmp_path / "none.parquet")).dtypes == [("id", "bigint"), ("State", "string")]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["none.parquet", "t.parquet"]


@pytest.mark.slow
def test_no_rows_give_a_header_alone(spark, tmp_path):
    generate(spark, rows=0, output=tmp_path / "none.csv", format="csv", columns=["TotalPop", "State"])
    assert (tmp_path / "none.csv").read_text() == "TotalPop,State\n"


@pytest.mark.slow
def test_a_large_table_is_a_folder_of_parts(spark, tmp_path, monkeypatch):
    options = {"rows": 1_201, "format": "csv", "columns": ["id", "County"]}
    generate(spark, output=tmp_path / "one.csv", **options)
    monkeypatch.setattr(module, "ROWS_PER_FILE", 500)
    generate(spark, output=tmp_path / "many", **options)
    parts = sorted(file.name for file in (tmp_path / "many").iterdir())
    assert parts == ["part-00000.csv", "part-00001.csv", "part-00002.csv"]
    lines = [(tmp_path / "many" / part).read_text().splitlines() for part in parts]
    assert all(part[0] == "id,County" for part in lines)
    assert (tmp_path / "one.csv").read_text().splitlines()[1:] == [line for part in lines for line in part[1:]]


@pytest.mark.slow
def test_a_failed_run_leaves_nothing(spark, tmp_path, monkeypatch):
    failing = [["if(id < 900, id, raise_error('broken')) as id"]]
    monkeypatch.setattr(module, "layers", lambda columns, rows, seed: failing)
    before = spark.conf.get("spark.sql.codegen.wholeStage")
    with pytest.raises(InputError, match="cannot be written"):
        generate(spark, rows=1_000, output=tmp_path / "t.csv", format="csv", columns=["id"])
    assert list(tmp_path.iterdir()) == []
    assert spark.conf.get("spark.sql.codegen.wholeStage") == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rows": -1}, "number of rows.*-1.*10,000,000,000"),
        ({"rows": 10**10 + 1}, "number of rows"),
        ({"seed": 2**63}, "seed"),
        ({"format": "json"}, "unknown format.*'json'.*csv or parquet"),
        ({"columns": ["Totalpop"]}, "unknown column.*'Totalpop'.*did you mean 'TotalPop'"),
        ({"columns": ["Mne"]}, "did you mean 'Men'"),
        ({"columns": ["???"]}, r"unknown column: given '\?\?\?'; allowed: id or a column of the census file$"),
        ({"columns": ["Men", "Men"]}, "each once"),
        ({"columns": []}, "at least one"),
        ({"output": Path("missing/t.csv")}, "folder is not there"),
        ({"output": Path("there.csv")}, "exists already"),
        ({"output": Path("broken-link")}, "exists already"),
        ({"output": Path("there.csv/t.csv")}, "folder is not there"),
    ],
)
def test_bad_arguments_are_refused_before_spark_starts(tmp_path, monkeypatch, changed, message):
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("kept")
    Path("broken-link").symlink_to("nowhere")
    good = {"rows": 10, "seed": 0, "output": Path("t.csv"), "format": "csv", "columns": None}
    check(**good)
    with pytest.raises(InputError, match=message) as caught:
        check(**(good | changed))
    assert "\n" not in str(caught.value)
    assert Path("there.csv").read_text() == "kept"


def test_every_help_has_an_example():
    for command in ([], ["generate"], ["fetch"]):
        told = CliRunner().invoke(data, [*command, "--help"])
        assert told.exit_code == 0
        assert "Example" in told.output


def test_help_imports_nothing_slow():
    code = (
        "import sys, dpcloud.data.commands; "
        "print({'pyspark', 'rich', 'urllib3', 'numpy', 'pandas'} & sys.modules.keys())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_the_command_refuses_a_column_in_one_line(tmp_path):
    told = CliRunner().invoke(data, ["generate", "--output", str(tmp_path / "t.csv"), "--columns", "Men, Mann"])
    assert isinstance(told.exception, InputError)
    assert "'Mann'" in str(told.exception)


@pytest.mark.slow
def test_the_command_writes_what_the_library_writes(spark, tmp_path):
    arguments = ["generate", "--rows", "50", "--seed", "3", "--columns", "State, County,Men", "--output", "c.PARQUET"]
    told = subprocess.run(
        [sys.executable, "-c", "from dpcloud.data.commands import data; data()", *arguments],
        cwd=tmp_path,
        env=os.environ | {"DPCLOUD_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (told.stdout, told.stderr) == ("c.PARQUET\n", "")
    written = spark.read.parquet(str(tmp_path / "c.PARQUET")).collect()
    assert written == table(spark, rows=50, seed=3, columns=["State", "County", "Men"], parts=1).collect()
