import csv
import hashlib
import re
import statistics
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dpcloud.data import generate as module
from dpcloud.data.commands import data
from dpcloud.data.generate import MACROS, check, generate, select
from dpcloud.data.hashing import all_steps, hash_of
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
def default(tmp_path_factory):
    """The default table, as its file."""
    path = tmp_path_factory.mktemp("default") / "tracts.csv"
    generate(output=path, format="csv")
    return path


@pytest.fixture(scope="module")
def rows(default):
    with default.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def numbers(rows, column):
    return [float(row[column]) for row in rows if row[column]]


def test_default_table_has_the_shape_of_the_real_one(default, rows):
    text = default.read_bytes()
    assert b"\r" not in text
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 74_002
    assert default.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    assert len(COLUMNS) == 37
    assert len(rows) == 74_001
    assert all(None not in row and None not in row.values() for row in rows)


def test_header_is_the_county_files_with_another_id(census):
    with census.open(newline="") as file:
        assert list(COLUMNS[1:]) == next(csv.reader(file))[1:]


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in TEXTS])
def test_cells_are_plain_numbers_with_some_empty(rows, column):
    form = r"\d+" if column in INTEGERS else r"\d+\.\d"
    cells = [row[column] for row in rows]
    assert all(re.fullmatch(form, cell) for cell in cells if cell)
    empty = cells.count("") / len(cells)
    assert empty == 0 if column in NEVER_EMPTY else 0.005 < empty < 0.03
    if column not in INTEGERS:
        assert max(numbers(rows, column)) <= 100


def test_names_are_real_and_some_need_quotes(default, rows):
    assert len({row["State"] for row in rows}) == 52
    assert {"California", "Puerto Rico", "District of Columbia"} <= {row["State"] for row in rows}
    with_comma = sum("," in row["County"] for row in rows)
    assert 0.02 < with_comma / len(rows) < 0.3
    assert default.read_bytes().count(b'"') == 2 * with_comma
    ids = [int(row["TractId"]) for row in rows]
    assert ids == sorted(set(ids))
    assert all(10**9 < number < 73 * 10**9 for number in ids)
    assert ids[0] // 10**9 == 1
    assert ids[-1] // 10**9 == 72


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


def test_usual_values_are_those_of_the_counties(rows, census):
    with census.open(newline="") as file:
        counties = list(csv.DictReader(file))
    # Tracts are much smaller than counties, and so more uncertain and more mixed.
    for column in set(COLUMNS[12:]) - COUNTS - {"IncomeErr", "IncomePerCapErr"}:
        ours, theirs = (statistics.median(numbers(table, column)) for table in (rows, counties))
        assert abs(ours - theirs) <= max(1.5, 0.35 * theirs), column


def rows_of(**asked) -> list[tuple]:
    with duckdb.connect() as connection:
        for macro in MACROS:
            connection.execute(macro)
        return connection.execute(select(**asked)).fetchall()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        generate(rows=2_000, seed=seed, output=tmp_path / f"{name}.csv", format="csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert (tmp_path / "one.csv").read_bytes() != (tmp_path / "two.csv").read_bytes()


def test_the_bytes_are_those_that_spark_made(default):
    """The first tables were made by Spark 3.5, from its `xxhash64`, `exp` and `rint`: a seed still means the same."""
    digest = hashlib.sha256(default.read_bytes()).hexdigest()
    assert digest == "0552049ec1f914ef2c4598494cae1c25a33bd74721650159f391f504864d7c64"


def test_the_hash_is_that_of_spark(spark):
    values = [0, 1, 5, 2**31, 2**32 + 7, 2**63 - 1, 2**64 - 1, 2**64 - 12345]
    with duckdb.connect() as connection:
        for macro in MACROS:
            connection.execute(macro)
        for value in values:
            signed = value - 2**64 if value >= 2**63 else value
            for before in (42, 2**64 - 1):
                want = connection.execute(f"select {all_steps(f'{value}::ubigint', before)}").fetchone()
                assert want == (hash_of(value, before),)
            [[sparks]] = spark.sql(f"select xxhash64(cast('{signed}' as bigint), 7L)").collect()
            assert sparks % 2**64 == hash_of(7, hash_of(value, 42))


def test_parts_and_chosen_columns_do_not_change_a_cell():
    columns = ["Poverty", "TractId", "County", "Pacific", "id"]
    one = rows_of(rows=3_000, seed=5, columns=columns, last=3_000)
    two = [
        *rows_of(rows=3_000, seed=5, columns=columns, last=1_234),
        *rows_of(rows=3_000, seed=5, columns=columns, first=1_234, last=3_000),
    ]
    all_ = [*COLUMNS, "id"]
    cells = [dict(zip(all_, row, strict=True)) for row in rows_of(rows=3_000, seed=5, columns=all_, last=3_000)]
    assert one == two == [tuple(row[name] for name in columns) for row in cells]
    assert [row[-1] for row in one] == list(range(3_000))


def test_parquet_has_big_integers_and_doubles(tmp_path):
    generate(rows=20, output=tmp_path / "t.parquet", format="parquet")
    generate(rows=0, output=tmp_path / "none.parquet", format="parquet", columns=["id", "State"])
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "t.parquet")}
    expected = {name: "int64" if name in INTEGERS else "string" if name in TEXTS else "double" for name in COLUMNS}
    assert types == expected
    none = pq.read_schema(tmp_path / "none.parquet")
    assert [(field.name, str(field.type)) for field in none] == [("id", "int64"), ("State", "string")]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["none.parquet", "t.parquet"]


def test_no_rows_give_a_header_alone(tmp_path):
    generate(rows=0, output=tmp_path / "none.csv", format="csv", columns=["TotalPop", "State"])
    assert (tmp_path / "none.csv").read_text() == "TotalPop,State\n"


def test_a_large_table_is_a_folder_of_parts(tmp_path):
    options = {"rows": 1_201, "format": "csv", "columns": ["id", "County"]}
    generate(output=tmp_path / "one.csv", **options)
    generate(output=tmp_path / "many", rows_per_file=500, **options)
    parts = sorted(file.name for file in (tmp_path / "many").iterdir())
    assert parts == ["part-00000.csv", "part-00001.csv", "part-00002.csv"]
    lines = [(tmp_path / "many" / part).read_text().splitlines() for part in parts]
    assert all(part[0] == "id,County" for part in lines)
    assert (tmp_path / "one.csv").read_text().splitlines()[1:] == [line for part in lines for line in part[1:]]


def test_a_quote_in_the_name_of_the_file_is_a_quote(tmp_path):
    generate(rows=1, output=tmp_path / "it's.csv", columns=["id"])
    assert (tmp_path / "it's.csv").read_text() == "id\n0\n"


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    failing = [["if(id < 900, id, error('broken')) as id"]]
    monkeypatch.setattr(module, "layers", lambda columns, rows, seed: failing)
    with pytest.raises(InputError, match="cannot be written"):
        generate(rows=1_000, output=tmp_path / "t.csv", format="csv", columns=["id"])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_nothing(tmp_path):
    code = (
        "import os, signal, threading; from pathlib import Path; from dpcloud.data.generate import generate\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: generate(rows=10**9, output=Path('t'), columns=['id'])\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout == "interrupted\n"
    assert list(tmp_path.iterdir()) == []


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
def test_bad_arguments_are_refused(tmp_path, monkeypatch, changed, message):
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
        "print({'duckdb', 'pyspark', 'rich', 'urllib3', 'numpy', 'pandas'} & sys.modules.keys())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_the_command_refuses_a_column_in_one_line(tmp_path):
    told = CliRunner().invoke(data, ["generate", "--output", str(tmp_path / "t.csv"), "--columns", "Men, Mann"])
    assert isinstance(told.exception, InputError)
    assert "'Mann'" in str(told.exception)


def test_the_command_writes_what_the_library_writes_and_needs_no_java(tmp_path):
    arguments = ["generate", "--rows", "50", "--seed", "3", "--columns", "State, County,Men", "--output", "c.PARQUET"]
    code = (
        "import sys; from dpcloud.data.commands import data; data(standalone_mode=False); "
        "print('pyspark' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={"DPCLOUD_HOME": str(tmp_path / "home"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (told.stdout, told.stderr) == ("c.PARQUET\nFalse\n", "")
    written = pq.read_table(tmp_path / "c.PARQUET").to_pylist()
    asked = rows_of(rows=50, seed=3, columns=["State", "County", "Men"], last=50)
    assert [tuple(row.values()) for row in written] == asked
