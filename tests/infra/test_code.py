"""What travels to the cluster: a changed file changes exactly the stacks that deploy it, a missing one is told."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from stacks import emr_stack
from stacks.components import emr_spark_cluster, glue_dp_job, job_code, paths, wheelhouse
from stacks.errors import ConfigError

from infra.scenarios import ROOT, Scenario, scenario, synthesize

COPIED = ("glue_scripts", "emr_assets", "src/dpjobs")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that is deployed, and the stacks take theirs from there."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements-cluster.txt", tmp_path)
    for module in (emr_stack, glue_dp_job, paths):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(job_code, "REQUIREMENTS", tmp_path / "requirements-cluster.txt")
    monkeypatch.setattr(job_code, "_LIBRARY", tmp_path / "src" / "dpjobs")
    monkeypatch.setattr(job_code.library_zip, "__defaults__", (tmp_path / "build",))
    for name in ("SETTINGS", "BOOTSTRAP"):
        monkeypatch.setattr(emr_spark_cluster, name, tmp_path / "emr_assets" / getattr(emr_spark_cluster, name).name)
    return tmp_path


def changed(found: Scenario) -> set[str]:
    """The stacks whose templates are not those of the defaults."""
    before = scenario("defaults").templates
    return {name for name in before | found.templates if before.get(name) != found.templates.get(name)}


def append(path: str, text: str = "\n# changed\n") -> Callable[[Path], None]:
    def write(root: Path) -> None:
        with (root / path).open("a", encoding="utf-8") as file:
            file.write(text)

    return write


def setting(root: Path) -> None:
    path = root / "emr_assets" / "software_settings.json"
    blocks = json.loads(path.read_text())
    blocks[1]["Properties"]["spark.sql.shuffle.partitions"] = "7"
    path.write_text(json.dumps(blocks))


def compiled(root: Path) -> None:
    (root / "src/dpjobs/__pycache__").mkdir()
    (root / "src/dpjobs/__pycache__" / "job.cpython-311.pyc").write_bytes(b"compiled")


CHANGES: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "nothing": (lambda root: None, set()),
    "compiled files": (compiled, set()),
    "one of Glue's scripts": (append("glue_scripts/run_tmlt_ana_spark.py"), {"glue"}),
    "the other": (append("glue_scripts/run_pipelinedp_spark.py"), {"glue"}),
    "one of EMR's scripts": (append("emr_assets/run_tmlt_ana_spark.py"), {"emr"}),
    "the bootstrap action": (append("emr_assets/emr_bootstrap.sh"), {"emr"}),
    "a setting of EMR's Spark": (setting, {"emr"}),
    "the library": (append("src/dpjobs/query.py"), {"glue", "emr"}),
    "a new file in the library": (append("src/dpjobs/new.py"), {"glue", "emr"}),
    "the pinned list": (append("requirements-cluster.txt"), {"glue", "emr"}),
}


@pytest.mark.parametrize(("change", "stacks"), CHANGES.values(), ids=CHANGES)
def test_a_changed_file_changes_exactly_the_stacks_that_deploy_it(
    copy: Path, change: Callable[[Path], None], stacks: set[str]
) -> None:
    change(copy)
    assert changed(synthesize({})) == stacks


MISSING = [
    "glue_scripts/run_tmlt_ana_spark.py",
    "glue_scripts/run_pipelinedp_spark.py",
    "emr_assets/run_tmlt_ana_spark.py",
    "emr_assets/run_pipelinedp_spark.py",
    "emr_assets/emr_bootstrap.sh",
    "emr_assets/software_settings.json",
    "requirements-cluster.txt",
]


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_file_is_told_in_one_line(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ConfigError) as error:
        synthesize({})
    assert str(error.value).isprintable()
    assert "a file to deploy is missing" in str(error.value)
    assert Path(name).name in str(error.value)


@pytest.mark.parametrize("options", [{"dp.network": "isolated"}, {"dp.glue.python_modules": "wheelhouse"}])
def test_a_missing_wheelhouse_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    monkeypatch.setattr(wheelhouse, "FOLDER", tmp_path)
    with pytest.raises(ConfigError) as error:
        synthesize(options)
    assert str(error.value).isprintable()
    assert "make wheelhouse" in str(error.value)
    assert synthesize({}).templates  # nobody else needs it


def test_the_library_is_dpjobs_alone_and_packed_alike_each_time(tmp_path: Path) -> None:
    one, two = (job_code.library_zip(tmp_path / name) for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        names = archive.namelist()
    wanted = [p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src/dpjobs").rglob("*") if p.is_file()]
    assert sorted(names) == sorted(name for name in wanted if "__pycache__" not in name)
    assert "dpjobs/job.py" in names
    assert "dpjobs/ledger/dynamodb.py" in names
    for stack in ("glue", "emr"):
        assert scenario("defaults").assets(stack)["Code/Library"].read_bytes() == one.read_bytes()


@pytest.mark.parametrize(("content", "said"), [(None, "damaged"), ("pandas==1.5.3\n", "of another list")])
def test_a_wheelhouse_of_another_list_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str
) -> None:
    monkeypatch.setattr(wheelhouse, "FOLDER", tmp_path)
    (tmp_path / wheelhouse.NAME).write_bytes(b"no zip")
    if content is not None:
        with zipfile.ZipFile(tmp_path / wheelhouse.NAME, "w") as archive:
            archive.writestr("wheels/requirements.txt", content)
    with pytest.raises(ConfigError, match=f"the wheelhouse is {said}: .*`make wheelhouse`"):
        synthesize({"dp.network": "isolated"})
