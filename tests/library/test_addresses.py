"""One table, one name: spellings of addresses, links, moves and mounts, each held against what is really read."""

import contextlib
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpjobs import identity
from dpjobs.addresses import dataset_of, is_address, is_local, normalized, place_of, spelled, within
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, InputError
from dpjobs.ledger import Reservation, SQLiteLedger
from dpjobs.query import PrivacyBudget
from dpjobs.source import LocalFiles, inspect

# -- spellings

PARTS = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)
PLAIN_PARTS = PARTS.filter(lambda part: part not in (".", ".."))
NOISE = ("//", "/./", "///", "/a/../", "/%2e/../", "/././/")


@settings(max_examples=300, deadline=None)
@given(st.lists(PLAIN_PARTS, min_size=1, max_size=5), st.randoms())
def test_each_spelling_of_an_object_gives_one_name(parts: list[str], draw: random.Random) -> None:
    name = "/".join(["s3://bkt", *parts])
    for _ in range(5):
        spelling = draw.choice(["s3", "s3a", "s3n", "S3", "s3A"]) + "://bkt"
        for part in parts:
            spelling += draw.choice(["/", *NOISE]) + part
        spelling += draw.choice(["", "/", "//", "/.", "/x/.."])
        assert dataset_of(normalized(spelling)) == name
    assert spelled(name) == name
    assert is_address(name)
    assert not is_local(name)


@settings(max_examples=200, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=6), st.booleans())
def test_a_name_is_what_hadoop_reads(spark, parts: list[str], slash: bool) -> None:
    """Hadoop's own Path over the address as it was given, and over the name."""
    address = "s3://bkt/" + "/".join(parts) + "/" * slash
    java = spark._jvm.org.apache.hadoop.fs.Path
    read = java(address).toUri().getPath()
    if read == "/.." or read.startswith("/../"):
        with pytest.raises(InputError, match="above its bucket"):
            dataset_of(normalized(address))
        return
    name = dataset_of(normalized(address))
    assert java(name).toUri().getPath() == (read.rstrip("/") or "")
    assert java(name).toUri().getHost() == "bkt"


@pytest.mark.parametrize(
    ("one", "other"),
    [("s3://bkt/A", "s3://bkt/a"), ("s3://bkt/a%20b", "s3://bkt/a b"), ("s3://bkt/%61", "s3://bkt/a"),
     ("s3://bkt/é", "s3://bkt/e\u0301"), ("s3://bkt/a ", "s3://bkt/a"), ("s3://bkt/a?x", "s3://bkt/a"),
     ("s3://bkt/a#x", "s3://bkt/a"), ("s3://bkt/a", "s3://bkt2/a"), ("s3://bkt/...", "s3://bkt")],
)  # fmt: skip
def test_what_s3_tells_apart_is_told_apart(one: str, other: str) -> None:
    assert dataset_of(one) != dataset_of(other)


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3:///x", "s3://bkt/../x", "s3://bkt/a/../../x", "s3://bkt/..", "s3://:@bkt/x", "s3://user@bkt/x",
     "s3://key:secret@bkt/x", "s3://bkt:80/x", "s3://BKT/x", "s3://bkt./x", "s3://b%6bt/x", "s3://bkt\\x/y",
     "s3://things-s3alias/x", "s3://things--ol-s3/x", "s3://things.mrap/x", "s3://ab/x", "hdfs://host/x",
     "hdfs:///x", "https://bkt.s3.amazonaws.com/x", "viewfs://c/x", "har:///x", " s3://bkt/x"],
)  # fmt: skip
def test_another_name_for_a_bucket_is_none(address: str) -> None:
    """Java takes the same host out of most of these: each would be a budget of its own for one table."""
    with pytest.raises(InputError) as told:
        dataset_of(normalized(address))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "spelling",
    ["{}", "file:{}", "file://{}", "file:///{}", "FILE://{}", "file://localhost{}", "{}/", "//{}", "{}/.", "{}/x/.."],
)
def test_each_spelling_of_a_local_path_gives_one_name(tmp_path: Path, spelling: str) -> None:
    name = str(tmp_path / "a%20b é" / "Table.csv")
    assert dataset_of(normalized(spelling.format(name))) == name
    assert spelled(spelling.format(name).replace("/x/..", "")) == name


def test_a_relative_path_and_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = {
        dataset_of(normalized(uri)) for uri in ("t.csv", "./t.csv", "~/t.csv", "x/../t.csv", str(tmp_path / "t.csv"))
    }
    assert names == {str(tmp_path / "t.csv")}


@pytest.mark.parametrize("address", ["file:", "file:t.csv", "file:./t.csv", "file://host/t.csv", "file://t.csv"])
def test_a_file_address_that_spark_reads_as_nothing(address: str) -> None:
    with pytest.raises(InputError, match="a file address without a full path"):
        normalized(address)


def test_what_lies_in_what() -> None:
    assert within("/a/b", "/a")
    assert within("/a", "/a")
    assert within("/a", "/")
    assert within("s3://bkt/a", "s3://bkt")
    for inner, outer in (("/a", "/a/b"), ("/ab", "/a"), ("s3://bkt2", "s3://bkt"), ("s3://bkt/a", "/")):
        assert not within(inner, outer)


# -- files of this machine


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "ledger.sqlite")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "t.csv"
    path.parent.mkdir()
    path.write_text("a\n1\n")
    return path


_ids = iter(range(10**9))


def charge(ledger: SQLiteLedger, path: Path | str, dataset: str | None = None) -> None:
    """As `dpcloud run --file PATH [--dataset NAME]` asks the ledger."""
    place = place_of(normalized(str(path)))
    run_id = f"run-{next(_ids)}"
    asked = Reservation(run_id, dataset or place.address, PrivacyBudget(Decimal("0.000001")), run_id, place)
    ledger.check([asked])
    ledger.reserve([asked])


def is_refused(ledger: SQLiteLedger, path: Path | str, name: Path | str, dataset: str | None = None) -> None:
    with pytest.raises(BudgetError, match=f"the data set '{name}'"):
        charge(ledger, path, dataset)


def _hard(table: Path, there: Path) -> None:
    there.hardlink_to(table)


def _hard_in_folder(table: Path, there: Path) -> None:
    there.mkdir()
    (there / "x.csv").hardlink_to(table)


def _links_in_folder(table: Path, there: Path) -> None:
    there.mkdir()
    (there / "x.csv").symlink_to(table)


def _link_deep_in_folder(table: Path, there: Path) -> None:
    (there / "p=1").mkdir(parents=True)
    (there / "p=1" / "deep").symlink_to(table.parent)


def _moved(table: Path, there: Path) -> None:
    table.rename(there)


def _folder_moved(table: Path, there: Path) -> None:
    table.parent.rename(there)


def _moved_and_replaced(table: Path, there: Path) -> None:
    table.rename(there)
    table.write_text("a\n2\n")


def _moved_and_grown(table: Path, there: Path) -> None:
    table.rename(there)
    with there.open("a") as file:
        file.write("2\n")


LINKS = [_hard, _hard_in_folder, _links_in_folder, _link_deep_in_folder]
MOVES = [_moved, _folder_moved, _moved_and_replaced, _moved_and_grown]


@pytest.mark.parametrize("way", [*LINKS, *MOVES], ids=lambda way: way.__name__)
@pytest.mark.parametrize("named", [None, "census"])
def test_the_same_file_has_one_budget(
    ledger: SQLiteLedger, table: Path, tmp_path: Path, way: Callable[[Path, Path], None], named: str | None
) -> None:
    charge(ledger, table, named)
    way(table, tmp_path / "there")
    is_refused(ledger, tmp_path / "there", named or table)
    is_refused(ledger, tmp_path / "there", named or table, "sensus")
    charge(ledger, tmp_path / "there", named or str(table))
    assert ledger.datasets() == [named or str(table)]


@pytest.mark.parametrize(
    "way", [_hard, _hard_in_folder, _links_in_folder, _link_deep_in_folder], ids=lambda w: w.__name__
)
def test_and_the_other_way_round(
    ledger: SQLiteLedger, table: Path, tmp_path: Path, way: Callable[[Path, Path], None]
) -> None:
    there = tmp_path / "there"
    way(table, there)
    charge(ledger, there)
    is_refused(ledger, table, there)
    is_refused(ledger, table.parent, there)


def test_a_symbolic_link_is_the_file(ledger: SQLiteLedger, table: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(table)
    (tmp_path / "folder").symlink_to(table.parent)
    for path in (
        table,
        tmp_path / "link.csv",
        tmp_path / "folder" / "t.csv",
        tmp_path / "folder" / ".." / "data" / "t.csv",
    ):
        charge(ledger, path)
    assert ledger.datasets() == [str(table)]


def test_where_a_link_leads_is_known_after_the_file_is_replaced(
    ledger: SQLiteLedger, table: Path, tmp_path: Path
) -> None:
    charge(ledger, table)
    _links_in_folder(table, tmp_path / "links")
    table.unlink()
    table.write_text("a\n2\n")
    is_refused(ledger, tmp_path / "links", table)


def test_a_file_and_its_folder(ledger: SQLiteLedger, table: Path) -> None:
    charge(ledger, table)
    is_refused(ledger, table.parent, table)
    (table.parent / "u.csv").write_text("a\n3\n")
    charge(ledger, table.parent / "u.csv")  # another file, another table


def test_a_folder_and_its_file_and_its_partition(ledger: SQLiteLedger, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    for year in ("2025", "2026"):
        (folder / f"year={year}").mkdir(parents=True)
        (folder / f"year={year}" / "part-0.parquet").write_text(year)
    charge(ledger, folder)
    for below in ("year=2025", "year=2026/part-0.parquet"):
        is_refused(ledger, folder / below, folder)


def test_a_partition_whose_name_looks_hidden_is_read_and_so_it_is_known(ledger: SQLiteLedger, tmp_path: Path) -> None:
    part = tmp_path / "t" / "_year=2026" / "part-0.csv"
    part.parent.mkdir(parents=True)
    part.write_text("a\n1\n")
    assert inspect(str(tmp_path / "t"), "csv", LocalFiles()).paths == (str(part),)
    (tmp_path / "elsewhere.csv").hardlink_to(part)
    charge(ledger, tmp_path / "t")
    is_refused(ledger, tmp_path / "elsewhere.csv", tmp_path / "t")


@pytest.mark.parametrize("how", ["symbolic", "hard", "folder"])
def test_a_file_that_links_put_there_twice_is_refused(tmp_path: Path, how: str) -> None:
    """Each of its rows would count twice, with the noise for one."""
    file = tmp_path / "t" / "year=1" / "a.csv"
    file.parent.mkdir(parents=True)
    file.write_text("a\n1\n")
    (tmp_path / "t" / "year=2").mkdir()
    (tmp_path / "t" / "year=2" / "b.csv").write_text(file.read_text())  # a copy is another file
    inspect(str(tmp_path / "t"), "csv", LocalFiles())
    if how == "folder":
        (tmp_path / "t" / "year=3").symlink_to(file.parent)
    elif how == "hard":
        (file.parent / "latest.csv").hardlink_to(file)
    else:
        (file.parent / "latest.csv").symlink_to(file)
    with pytest.raises(InputError, match="a file that a link puts there twice"):
        inspect(str(tmp_path / "t"), "csv", LocalFiles())


def test_a_file_that_is_replaced_keeps_its_budget(ledger: SQLiteLedger, table: Path, tmp_path: Path) -> None:
    """A daily export: another file under the same name."""
    for day in range(3):
        (tmp_path / "export").write_text(f"a\n{day}\n")
        (tmp_path / "export").rename(table)
        charge(ledger, table)
    assert ledger.balance(str(table)).spent == Epsilon("0.000003")
    table.rename(tmp_path / "yesterday.csv")
    is_refused(ledger, tmp_path / "yesterday.csv", table)


def test_a_new_file_in_the_place_of_a_removed_one_is_new(ledger: SQLiteLedger, tmp_path: Path) -> None:
    """The file system gives it the inode of the old one, as likely as not."""
    seen: list[int] = []
    for i in range(20):
        path = tmp_path / f"{i}.csv"
        path.write_text(f"a\n{i}\n")
        seen.append(path.stat().st_ino)
        charge(ledger, path)
        path.unlink()
    if len(set(seen)) == len(seen):
        pytest.skip("this file system does not use an inode again")
    assert len(ledger.datasets()) == 20


def test_a_copy_is_another_table(ledger: SQLiteLedger, table: Path, tmp_path: Path) -> None:
    """As the docs say: nothing tells a copy from a table that happens to be alike."""
    charge(ledger, table)
    (tmp_path / "copy.csv").write_bytes(table.read_bytes())
    charge(ledger, tmp_path / "copy.csv")


def test_a_mounted_folder(ledger: SQLiteLedger, table: Path, tmp_path: Path) -> None:
    with mounted(table.parent, tmp_path / "mnt") as mount:
        charge(ledger, table.parent)
        is_refused(ledger, mount, table.parent)
        is_refused(ledger, mount / "t.csv", table.parent)
        (mount / "new.csv").write_text("a\n5\n")
        is_refused(ledger, mount / "new.csv", table.parent)


def test_a_folder_that_was_moved_is_known_whatever_it_holds_by_now(
    ledger: SQLiteLedger, table: Path, tmp_path: Path
) -> None:
    """What a mount shows, where nothing may be mounted: the folder has an identity of its own."""
    charge(ledger, table.parent)
    there = tmp_path / "there"
    table.parent.rename(there)
    (there / "t.csv").unlink()
    (there / "new.csv").write_text("a\n5\n")
    is_refused(ledger, there, table.parent)
    is_refused(ledger, there / "new.csv", table.parent)


@contextlib.contextmanager
def mounted(folder: Path, there: Path) -> Iterator[Path]:
    there.mkdir()
    if subprocess.run(["mount", "--bind", folder, there], capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here; test_sqlite has the same with identities written down")
    try:
        yield there
    finally:
        subprocess.run(["umount", there], check=True)


def test_a_free_name_may_have_many_tables_and_a_table_one_name(
    ledger: SQLiteLedger, table: Path, tmp_path: Path
) -> None:
    other = tmp_path / "u.csv"
    other.write_text("a\n3\n")
    charge(ledger, table, "people")
    charge(ledger, other, "people")
    for path in (table, other):
        is_refused(ledger, path, "people")
        is_refused(ledger, path, "people", "peopel")
    charge(ledger, table, "people")
    assert ledger.datasets() == ["people"]


def test_a_file_that_is_not_there_and_one_that_cannot_be_followed(tmp_path: Path) -> None:
    missing = place_of(str(tmp_path / "missing.csv"))
    assert (missing.files, missing.links) == (frozenset(), frozenset())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "loop").symlink_to("loop")
    (tmp_path / "folder" / "up").symlink_to("..")
    (tmp_path / "folder" / "t.csv").write_text("a\n")
    found = place_of(str(tmp_path / "folder"))
    assert str(tmp_path) in found.links  # the loop through `up` ends


def test_the_state_is_that_of_the_files(table: Path, tmp_path: Path) -> None:
    before = place_of(str(table)).state
    assert place_of(str(table)).state == before
    table.rename(tmp_path / "moved.csv")
    assert place_of(str(tmp_path / "moved.csv")).state == before
    os.utime(tmp_path / "moved.csv", ns=(1, 1))
    after = place_of(str(tmp_path / "moved.csv")).state
    assert after != before
    (tmp_path / "moved.csv").write_text("a\n1\n2\n")
    os.utime(tmp_path / "moved.csv", ns=(1, 1))
    assert place_of(str(tmp_path / "moved.csv")).state not in (before, after)
    whole = place_of(str(tmp_path)).state
    (tmp_path / "more.csv").write_text("a\n1\n")
    assert place_of(str(tmp_path)).state != whole
    assert place_of("s3://bkt/x").state is None


def test_where_the_time_of_birth_is_unknown_device_and_inode_tell(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").hardlink_to(table)
    born = identity.identity(str(table))
    assert "@" in born
    assert identity.identity(str(tmp_path / "link")) == born
    monkeypatch.setattr(identity, "_call", None)
    status = table.stat()
    for path in (table, tmp_path / "link"):
        assert identity.identity(str(path)) == f"{status.st_dev}:{status.st_ino}"
    assert identity.identity(str(tmp_path / "missing")) is None
    assert identity.identity("\0") is None


# -- any tree of links


def reached(path: Path) -> set[tuple[int, int]]:
    """The files that are read at a path, found in another way than the code's own."""
    if path.is_file():
        return {(path.stat().st_dev, path.stat().st_ino)}
    found = set()
    for folder, _, names in os.walk(path, followlinks=True):
        there = [Path(folder) / name for name in names if (Path(folder) / name).exists()]
        found |= {(file.stat().st_dev, file.stat().st_ino) for file in there}
    return found


@pytest.mark.parametrize("seed", range(60))
def test_in_a_random_tree_of_links_two_paths_share_a_budget_where_they_share_a_file(
    ledger: SQLiteLedger, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    root = tmp_path / "root"
    root.mkdir()
    folders, files = [root], []
    for i in range(draw.randint(4, 14)):
        path = draw.choice(folders) / f"n{i}"
        kind = draw.choice(["file", "file", "folder", "folder", "hard", "soft", "soft folder", "moved"])
        if kind == "folder":
            path.mkdir()
            folders.append(path)
        elif kind == "file" or not files:
            path.write_text(str(i))
            files.append(path)
        elif kind == "hard":
            path.hardlink_to(draw.choice(files))
            files.append(path)
        elif kind == "soft":
            path.symlink_to(draw.choice(files))
        elif kind == "soft folder":
            target = draw.choice(folders)
            if not within(str(path.parent.resolve()), str(target.resolve())):  # no loops: os.walk would not end
                path.symlink_to(target)
        elif kind == "moved":
            moved = files.pop(draw.randrange(len(files)))
            if moved.is_symlink() or not moved.exists():
                continue
            moved.rename(path)
            files.append(path)
    paths = [p for p in sorted(root.rglob("*")) if p.exists() and reached(p)]
    draw.shuffle(paths)
    charged: list[Path] = []
    for path in paths:
        near = [p for p in charged if reached(p) & reached(path)]
        names = {str(p.resolve()) for p in near}
        if not names:
            inside = [p for p in charged if within(str(path.resolve()), str(p.resolve()))]
            assert inside == []
            charge(ledger, path)
            charged.append(path)
        elif names == {str(path.resolve())}:
            charge(ledger, path)
        else:
            with pytest.raises(BudgetError) as told:
                charge(ledger, path)
            assert any(repr(name) in str(told.value) for name in names)
