"""The one path from words to a job: the same words are the same job, whoever hands them on."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dpcloud.cli import main
from dpjobs import job
from dpjobs.errors import InputError
from dpjobs.platforms import emr, glue
from dpjobs.query import Bounds, JobSpec, Query
from dpjobs.request import Request
from dpjobs.source import LocalFiles

WORDS = ["--query", "mean", "--epsilon", "0.5", "--lower", "-1", "--upper", "5", "--column", "x", "--run-id", "mine"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[JobSpec]:
    """What `dpcloud run` asks of the job."""
    seen: list[JobSpec] = []

    def run(specs: list[JobSpec], *_: Any) -> job.Outcome:
        seen.extend(specs)
        return job.Outcome({spec.run_id: "{}" for spec in specs})

    monkeypatch.setattr(job, "run", run)
    return seen


@pytest.mark.parametrize(
    "table",
    [
        ["--file", "s3://bucket/a//b/../k.csv"],
        ["--file", "S3://bucket/folder/", "--format", "Parquet"],
        ["--file", "table.csv"],
        ["--file", "linked.csv"],
        ["--file", "folder"],
        ["--file", "table.csv", "--dataset", "census"],
    ],
    ids=" ".join,
)
def test_the_same_words_are_the_same_job_everywhere(
    table: list[str], asked: list[JobSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("blob", "folder/part.csv", "table.csv"):
        (tmp_path / name).write_text("x\n1\n")
    (tmp_path / "linked.csv").symlink_to("blob")
    main(["run", *WORDS, *table, "--json"])
    files = None if "://" in table[1] else LocalFiles()
    for parse in (glue.parse, emr.parse):
        arguments = parse([*WORDS, *table])
        assert arguments.request.jobs({"pipelinedp": arguments.run_id_or(None)}, files) == asked


def test_a_job_names_what_was_asked(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x\n1\n")
    request = Request.parse(
        uri=f"file://{table}", query=" Sum", epsilon="0.5", column="x", lower="0", upper="1", confidence="0.9",
        check_share="0.2",
    )  # fmt: skip
    first, second = request.jobs({"opendp": "a", "pipelinedp": "b"}, LocalFiles())
    assert (first.engine, first.run_id, second.engine, second.run_id) == ("opendp", "a", "pipelinedp", "b")
    assert (first.uri, first.dataset, first.format) == (str(table.resolve()), str(table.resolve()), "csv")
    assert (first.query, first.column, first.bounds, first.confidence) == (Query.SUM, "x", Bounds(0, 1), 0.9)
    assert (first.budget.epsilon, first.bounds_share) == (Decimal("0.5"), Decimal("0.1"))
    assert first.check_share == second.check_share == Decimal("0.2")
    assert (first.check_budget(), first.answer_budget()) == (Decimal("0.1"), Decimal("0.4"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"uri": "ftp://host/k.csv"}, "unknown kind of address"),
        ({"uri": "s3://Bucket/k.csv"}, "no bucket's own name"),
        ({"query": "mode"}, "unknown query"),
        ({"epsilon": "0"}, "epsilon is out of range"),
        ({"lower": "0"}, "only one bound"),
        ({"confidence": "1"}, "confidence"),
        ({"dataset": ""}, "data set name"),
        ({"bounds_share": "1"}, "bounds share"),
        ({"bounds_share": "0.2", "lower": "0", "upper": "1"}, "--bounds-share where no bounds are to be found"),
    ],
)
def test_each_word_is_checked_before_anything_is_looked_at(words: dict[str, str], said: str) -> None:
    good = {"uri": "s3://bucket/k.csv", "query": "MEAN", "epsilon": "1", "column": "x"}
    Request.parse(**good)
    with pytest.raises(InputError, match=said):
        Request.parse(**(good | words))


def test_a_name_that_tells_no_format_where_nothing_can_be_looked_at() -> None:
    request = Request.parse(uri="s3://bucket/folder", query="COUNT", epsilon="1")
    with pytest.raises(InputError, match=r"unknown format: .*; allowed: --format csv or --format parquet"):
        request.jobs({"opendp": "a"}, None)
