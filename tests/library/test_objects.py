"""Objects of a store that has no folders: one may be a file and a folder, and a key may hold dots."""

from dataclasses import dataclass, field

import pytest

from dpjobs.errors import InputError
from dpjobs.source import Entry, inspect

ROOT = "s3://bucket/t"


@dataclass
class Objects:
    """What lies in a bucket, as Hadoop shows it: an object where there is one, else a folder."""

    contents: dict[str, bytes] = field(default_factory=dict)

    def look(self, uri: str) -> Entry | None:
        if uri in self.contents:
            return Entry(uri, len(self.contents[uri]), False)
        return Entry(uri, 0, True) if any(key.startswith(f"{uri}/") for key in self.contents) else None

    def children(self, uri: str) -> list[Entry]:
        below = {key.removeprefix(f"{uri}/").split("/")[0] for key in self.contents if key.startswith(f"{uri}/")}
        found = [entry for name in sorted(below) if (entry := self.look(f"{uri}/{name}"))]
        folders = [
            Entry(entry.path, 0, True)
            for entry in found
            if not entry.is_folder and any(key.startswith(f"{entry.path}/") for key in self.contents)
        ]
        return found + folders or [Entry(uri, len(self.contents[uri]), False)]

    def read(self, path: str, start: int, size: int) -> bytes:
        return self.contents[path][start : start + size]


CSV = b"x\n1\n"


def test_an_object_that_is_a_folder_too_is_refused_and_no_other() -> None:
    """Spark reads what lies in it instead, and once more by its own path: each row twice, with the noise for one."""
    plain = {f"{ROOT}/a=1/x.csv": CSV, f"{ROOT}/a=2/x.csv": CSV}
    assert len(inspect(ROOT, "csv", Objects(plain)).paths) == 2
    both = Objects({**plain, f"{ROOT}/a=1/x.csv/a=1/y.csv": CSV})
    with pytest.raises(InputError, match=r"a file that is a folder, too: given 's3://bucket/t/a=1/x.csv'"):
        inspect(f"{ROOT}/a=1/x.csv", "csv", both)


def test_in_a_folder_of_parquet(parquet: bytes) -> None:
    both = Objects({f"{ROOT}/p.parquet": parquet, f"{ROOT}/p.parquet/q.parquet": parquet})
    with pytest.raises(InputError, match=r"a file that is a folder, too: given 's3://bucket/t/p.parquet'"):
        inspect(ROOT, "parquet", both)
    assert len(inspect(f"{ROOT}/p.parquet/q.parquet", "parquet", both).paths) == 1


def test_a_key_with_dots_is_refused_by_the_folders_name_alone() -> None:
    class Dotted(Objects):
        def children(self, uri: str) -> list[Entry]:
            return [Entry("s3://bucket/another-table", 0, True)]

    with pytest.raises(InputError, match=r"an object in it whose key has '\.\.': given 's3://bucket/t'") as e:
        inspect(ROOT, "parquet", Dotted({f"{ROOT}/x": b""}))
    assert "another-table" not in str(e.value)


@pytest.fixture
def parquet() -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), file)
    return file.getvalue()
