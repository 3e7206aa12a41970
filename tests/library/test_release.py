"""What a release says of its data set, and what becomes of its copies."""

import json
from decimal import Decimal
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from dpjobs.draws import Draws
from dpjobs.engines.base import Noisy
from dpjobs.errors import CopyError, InputError
from dpjobs.noise import RoundedLaplace
from dpjobs.query import Bounds, JobSpec, PrivacyBudget, Query
from dpjobs.release import Copies, given_bounds, to_json
from dpjobs.statistics import STATISTICS
from library.plans import plan, separate


def release(dataset: str, uri: str) -> str:
    spec = JobSpec(
        run_id="r",
        dataset=dataset,
        engine="pipelinedp",
        query=Query.COUNT,
        column=None,
        budget=PrivacyBudget(Decimal(1)),
        uri=uri,
        format="csv",
    )
    of = plan(spec.query, None, spec.budget.epsilon)
    [m] = of.cells
    noisy = [Noisy(m, 7, RoundedLaplace(m.scale))]
    draws = Draws(tuple(noisy), "1", "duckdb", "DuckDB 2")
    return to_json(spec, of, draws, STATISTICS[spec.query].estimate(of, noisy, 0.95), "1", None)


@pytest.mark.parametrize(
    ("dataset", "shown"),
    [
        ("/home/alice/hiv-clinic/patients 2017.csv", "patients 2017.csv"),
        ("/home/alice/tables/", "tables"),
        ("/", "/"),
        ("census", "census"),
        ("health/census", "health/census"),
        ("s3://bucket/data/census.csv", "s3://bucket/data/census.csv"),
        ("hdfs://host/data/census", "hdfs://host/data/census"),
    ],
)
def test_a_release_shows_no_folder_of_the_users_machine(dataset: str, shown: str) -> None:
    text = release(dataset, dataset if dataset.startswith("/") else "/home/alice/t.csv")
    assert json.loads(text)["dataset"] == shown
    assert "alice" not in text


def test_a_cell_is_told_in_the_columns_unit_and_the_confidence_is_the_one_that_was_asked() -> None:
    """Who holds a release against its noise has these numbers alone."""
    bounds, budget = Bounds(0, 2.0**30), PrivacyBudget(Decimal("0.9"))
    spec = JobSpec("r", "d", "pipelinedp", Query.VARIANCE, "x", budget, "/t.csv", "csv", bounds, confidence=0.75)
    for make, sensitivities, share in (
        (plan, (2**30, 2**30, 2**30), 0.9),
        (separate, (1, 2**29, 2**57), 0.3),
    ):
        of = make(spec.query, bounds, budget.epsilon)
        noisy = [Noisy(c, 12345, RoundedLaplace(c.scale)) for c in of.cells]
        draws = Draws(tuple(noisy), "1", "duckdb", "DuckDB 2")
        answer = STATISTICS[spec.query].estimate(of, noisy, 0.75)
        told = json.loads(to_json(spec, of, draws, answer, "1", given_bounds(bounds.lower, bounds.upper)))
        assert (told["confidence"], told["epsilon"], told["delta"]) == (0.75, 0.9, 0)
        assert (told["backend"], told["backend_version"], told["recipe"]) == ("duckdb", "DuckDB 2", of.recipe)
        assert (told["origin"], told["rounding_per_row"]) == (0 if make is plan else 2**29, of.rounding_per_row)
        for said, c, sensitivity in zip(told["cells"], of.cells, sensitivities, strict=True):
            assert (said["name"], said["epsilon"], said["value"]) == (c.name, share, float(12345 * c.step))
            assert said["sensitivity"] == pytest.approx(sensitivity, rel=1e-6)
            assert said["scale"] == pytest.approx(sensitivity / share, rel=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_copies_are_created_once_and_all_or_none(folder: Path) -> None:
    for _ in range(2):  # an equal one that is there already will do
        Copies(str(folder)).write({"a": "{}", "b": "[]"})
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.json": "{}\n", "b.json": "[]\n"}
    for other in ("{ }", "\n"):
        with pytest.raises(CopyError, match="the release itself is safe in the ledger") as e:
            Copies(str(folder)).write({"a": other, "c": "{}"})
        assert e.value.exit_code == 3
        assert "the same command with the run id 'a', 'c' gives the release again, at no further cost" in str(e.value)
        assert not isinstance(e.value, InputError)
    assert (folder / "a.json").read_text() == "{}\n"


@pytest.mark.parametrize("there", [b"{}", b"\xff\xfe binary"])
def test_a_copy_never_takes_another_files_place(there: bytes, folder: Path) -> None:
    (folder / "r.json").write_bytes(there)
    with pytest.raises(CopyError, match="the copy could not be created"):
        Copies(str(folder / "r.json")).write({"r": "{}"})
    assert (folder / "r.json").read_bytes() == there
    assert [path.name for path in folder.iterdir()] == ["r.json"]


def test_a_bucket_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    for endpoint in ("http://127.0.0.1:9", "no address"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(CopyError, match=r"given 's3://bucket/place/r\.json'"):
            Copies("s3://bucket/place/").write({"r": "{}"})


def test_another_object_in_s3_is_neither_replaced_nor_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bkt")
        copies = Copies("s3://bkt/releases")
        copies.write({"ours": "{}"})
        copies.write({"ours": "{}"})
        assert s3.get_object(Bucket="bkt", Key="releases/ours.json")["Body"].read() == b"{}\n"
        Copies("s3://bkt/of#1?x=2").write({"ours": "{}"})  # an address is no URL
        assert s3.get_object(Bucket="bkt", Key="of#1?x=2/ours.json")["Body"].read() == b"{}\n"
        s3.put_object(Bucket="bkt", Key="releases/theirs.json", Body=b"another")
        with pytest.raises(CopyError, match=r"theirs\.json"):
            copies.write({"theirs": "{}"})
        assert s3.get_object(Bucket="bkt", Key="releases/theirs.json")["Body"].read() == b"another"
