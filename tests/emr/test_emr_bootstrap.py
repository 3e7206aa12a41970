"""emr_bootstrap.sh run for real; that its libraries answer queries is in test_make_environment.py."""

import io
import tarfile

import pytest
from tools.environment import PACKAGES, PYTHON

from emr.node import BOOTSTRAP, ENVIRONMENT


def archive(**files: str) -> bytes:
    """A packed environment that holds these modules, and borrows the interpreter that is named as `python`."""
    python = files.pop("python", PYTHON)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as target:
        for name, text in {
            **{f"{PACKAGES}/{k}.py": v for k, v in files.items()},
            "pyvenv.cfg": "home = /usr/bin",
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            target.addfile(entry, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, python
        target.addfile(link)
    return packed.getvalue()


@pytest.mark.parametrize("content", [b"no archive", b"", archive()[:40]], ids=["text", "nothing", "cut"])
def test_what_is_no_archive(node, content) -> None:
    node.put(ENVIRONMENT, content)
    assert failed(node.boot(ENVIRONMENT)) == f"not the archive of 'make environment': given {ENVIRONMENT}"


def test_an_archive_that_is_not_there(node) -> None:
    done = node.boot(ENVIRONMENT)
    assert failed(done) == f"cannot read {ENVIRONMENT}: does it exist, and may the instance role read it?"
    assert not node.python.parent.exists()
    assert [call.split()[0] for call in node.calls] == ["aws"]


def test_what_does_not_load_is_told_by_name(node) -> None:
    node.put(ENVIRONMENT, archive(dill="raise ImportError('GLIBC_9 not found')", boto3="", python=python_here()))
    done = node.boot(ENVIRONMENT)
    assert failed(done) == "the libraries are there but do not work; the reasons stand above"
    assert "emr_bootstrap: dill does not load: ImportError: GLIBC_9 not found\n" in done.stderr
    assert "emr_bootstrap: numpy does not load: ModuleNotFoundError" in done.stderr
    assert "boto3" not in done.stderr


def test_what_was_there_goes(node) -> None:
    node.put(ENVIRONMENT, archive(old="", python=python_here()))
    node.boot(ENVIRONMENT)
    packages = node.python.parents[1] / PACKAGES
    assert (packages / "old.py").exists()
    node.put(ENVIRONMENT, archive(new="", python=python_here()))
    node.boot(ENVIRONMENT)
    assert [path.name for path in packages.glob("*.py")] == ["new.py"]


def test_an_image_without_such_a_python(node, tmp_path) -> None:
    node.put(ENVIRONMENT, archive(python="/nowhere/python3.11"))
    said = "no Python 3.11: given /nowhere/python3.11; allowed: an image with it, such as emr-7.13.0"
    assert failed(node.boot(ENVIRONMENT)) == said
    node.stand_in("python3.9", "echo 3.9")
    node.put(ENVIRONMENT, archive(python=f"{tmp_path}/bin/python3.9"))
    assert failed(node.boot(ENVIRONMENT)) == f"wrong Python: given 3.9 at {tmp_path}/bin/python3.9; allowed: 3.11"


def test_another_architecture(node) -> None:
    node.stand_in("uname", "echo aarch64")
    done = node.boot(ENVIRONMENT)
    assert failed(done) == "wrong architecture: given aarch64; allowed: x86_64, as python-dp has no other wheels"
    assert node.calls == ["uname -m"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "wrong arguments: given 0"),
        ([ENVIRONMENT, "s3://bucket/more.tar.gz"], "wrong arguments: given 2"),
        (["environment.tar.gz"], "no S3 address: given 'environment.tar.gz'"),
        ([""], "no S3 address: given ''"),
        (["s3://bucket"], "no S3 address: given 's3://bucket'"),
        (["s3://bucket/environment.zip"], "no S3 address: given 's3://bucket/environment.zip'"),
    ],
)
def test_arguments(node, words, said) -> None:
    done = node.boot(*words)
    assert failed(done).startswith(said)
    assert done.stderr.count("\n") == 1
    assert node.calls == []


@pytest.mark.parametrize("place", ["/bin/python", "/usr/bin/python3.11", "relative/bin/python", ""])
def test_nothing_but_a_folder_of_its_own_is_cleared(node, place) -> None:
    """What stands in the way is removed as root: never /, never the system's Python."""
    node.environment["PYSPARK_PYTHON"] = place
    if not place:
        text = BOOTSTRAP.read_text()  # unset: the settings' own place
        assert "PYTHON=${PYSPARK_PYTHON:-/opt/dpcloud/bin/python}" in text
        return
    assert failed(node.boot(ENVIRONMENT)).startswith(f"no place for the environment: given PYSPARK_PYTHON={place}")
    assert not [call for call in node.calls if call.startswith("sudo")]


def test_it_is_bash_in_strict_mode() -> None:
    lines = BOOTSTRAP.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert BOOTSTRAP.stat().st_mode & 0o111  # EMR runs it as a program


def python_here() -> str:
    import sys

    return sys._base_executable


def failed(done) -> str:
    """The last line of a run that failed, in the script's own words."""
    assert done.returncode == 1, done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("emr_bootstrap: ")
    return last.removeprefix("emr_bootstrap: ")
