"""What travels to the cluster: a changed file changes exactly the stacks that deploy it, a missing one is told."""

import gzip
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from stacks import emr_stack
from stacks.components import emr_definition, emr_spark_cluster, glue_dp_job, job_code, paths, python_environment
from stacks.config.errors import ConfigError
from tools import environment, pins

from infra.scenarios import ROOT, Scenario, pack_nothing, scenario, synthesize

COPIED = ("glue_scripts", "emr_assets", "src/dpjobs", "requirements")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that is deployed, and the stacks take theirs from there."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (emr_stack, glue_dp_job, paths):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(pins, "CLUSTER", tmp_path / "requirements/cluster.txt")
    monkeypatch.setattr(job_code, "_LIBRARY", tmp_path / "src" / "dpjobs")
    monkeypatch.setattr(job_code.library_zip, "__defaults__", (tmp_path / "build",))
    for module, name in ((emr_definition, "SETTINGS"), (emr_spark_cluster, "BOOTSTRAP")):
        monkeypatch.setattr(module, name, tmp_path / "emr_assets" / getattr(module, name).name)
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
    "requirements/cluster.txt",
]


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_file_is_told_in_one_line(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ConfigError) as error:
        synthesize({})
    assert str(error.value).isprintable()
    assert "a file to deploy is missing" in str(error.value)
    assert Path(name).name in str(error.value)


def test_another_environment_changes_exactly_the_stacks_that_deploy_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_nothing(tmp_path, text="other = True")
    monkeypatch.setattr(python_environment, "FOLDER", tmp_path)
    assert changed(synthesize({})) == {"glue", "emr"}


def test_the_same_content_is_the_same_deployment_whoever_compressed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_LEVEL", 0)
    pack_nothing(tmp_path)
    assert (tmp_path / environment.ARCHIVE).read_bytes() != environment_of("glue").read_bytes()
    monkeypatch.setattr(python_environment, "FOLDER", tmp_path)
    assert changed(synthesize({})) == set()


def environment_of(stack: str) -> Path:
    return scenario("defaults").assets(stack)["Environment"]


def test_its_key_is_the_hash_of_its_content_and_ends_as_aws_documents_it() -> None:
    content = hashlib.sha256(gzip.decompress(environment_of("glue").read_bytes())).hexdigest()
    for stack in ("glue", "emr"):
        listed = json.loads((scenario("defaults").folder / f"{stack}.assets.json").read_text())["files"]
        (file,) = [file for file in listed.values() if file["displayName"] == "Environment"]
        (place,) = file["destinations"].values()
        assert place["objectKey"] == f"{content}.tar.gz"
        assert place["bucketName"] == "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
        assert file["source"]["packaging"] == "file"
        assert not Path(file["source"]["path"]).is_absolute()  # an assembly can be deployed elsewhere


NEEDED: dict[str, tuple[dict[str, str], bool]] = {
    "as it comes": ({}, True),
    "isolated": ({"dp.network": "isolated"}, True),
    "without a cluster": ({"dp.emr.enabled": "false"}, True),
    "pins": ({"dp.glue.python_modules": "pins"}, True),
    "pins without a cluster": ({"dp.glue.python_modules": "pins", "dp.emr.enabled": "false"}, False),
}


@pytest.mark.parametrize(("options", "needed"), NEEDED.values(), ids=NEEDED)
def test_a_missing_environment_is_told_in_one_line_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], needed: bool
) -> None:
    monkeypatch.setattr(python_environment, "FOLDER", tmp_path / "not-made")
    if needed:
        with pytest.raises(ConfigError, match=r"environment is not made yet: .*`make environment`") as error:
            synthesize(options)
        assert str(error.value).isprintable()
    else:
        assert synthesize(options).templates


def spoil(folder: Path, how: str) -> None:
    archive, facts = folder / environment.ARCHIVE, folder / environment.FACTS
    if how == "cut":
        archive.write_bytes(archive.read_bytes()[:-1])
    elif how == "no facts":
        facts.write_text("{}")
    elif how == "no JSON":
        facts.write_text("")
    else:
        archive.unlink()


@pytest.mark.parametrize(
    ("how", "said"), [("cut", "damaged"), ("no facts", "damaged"), ("no JSON", "damaged"), ("gone", "not made yet")]
)
def test_an_environment_that_is_not_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    pack_nothing(tmp_path)
    monkeypatch.setattr(python_environment, "FOLDER", tmp_path)
    assert synthesize({}).templates
    spoil(tmp_path, how)
    with pytest.raises(ConfigError, match=f"the packed Python environment is {said}: .*`make environment`"):
        synthesize({})


def test_an_environment_of_another_list_is_refused(copy: Path) -> None:
    append("requirements/cluster.txt")(copy)
    with pytest.raises(ConfigError, match=r"the packed Python environment is of another list: .*`make environment`"):
        synthesize({})


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
