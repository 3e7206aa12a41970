"""emr_bootstrap.sh run for real: its pip installs real wheels into an empty environment."""

import re
import subprocess
from pathlib import Path

import pytest

from emr.node import BOOTSTRAP, REQUIREMENTS, ROOT, WHEELHOUSE, Node, Wheel, pins_of, zipped

WHEELS = [Wheel("dill"), Wheel("tiny-thing", "2.1")]
AT_PINS = {"dill": "1.0", "tiny-thing": "2.1"}


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def offer(node: Node, wheels: Path, what: list[Wheel] = WHEELS) -> str:
    """Put the wheelhouse of these wheels and its list on the stand-in's S3."""
    pins = pins_of(what, wheels)
    node.put(REQUIREMENTS, pins.encode())
    node.put(WHEELHOUSE, zipped(pins, wheels))
    return pins


def test_from_the_wheelhouse_then_nothing_left_to_do(node, wheels) -> None:
    offer(node, wheels)
    done = node.boot(REQUIREMENTS, WHEELHOUSE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"emr_bootstrap: the libraries are at their pins for {node.python}\n"
    assert node.installed() == AT_PINS
    assert [call for call in node.calls if call.startswith("sudo")] == [c for c in node.calls if " -m pip " in c]
    assert "dnf" not in " ".join(node.calls)

    again = node.boot(REQUIREMENTS, WHEELHOUSE)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "emr_bootstrap: all libraries are already at their pins\n"
    assert [call.split()[0] for call in node.calls] == ["aws"]  # for the list alone


def test_another_version_is_replaced(node, wheels) -> None:
    offer(node, wheels, [Wheel("dill", "0.9"), *WHEELS[1:]])
    assert node.boot(REQUIREMENTS, WHEELHOUSE).returncode == 0
    offer(node, wheels)
    assert node.boot(REQUIREMENTS, WHEELHOUSE).returncode == 0
    assert node.installed() == AT_PINS


def test_no_network_and_no_setting_of_pips_is_used(node, wheels, trap, tmp_path) -> None:
    offer(node, wheels)
    done = node.boot(REQUIREMENTS, WHEELHOUSE, **trap.lures(tmp_path))
    assert (done.returncode, trap.visits) == (0, 0), done.stderr
    assert node.installed() == AT_PINS
    assert not (tmp_path / "elsewhere").exists()


def test_a_wheel_that_is_not_there_is_not_looked_for_elsewhere(node, wheels, trap, tmp_path) -> None:
    pins = offer(node, wheels)
    (wheels / WHEELS[1].file).unlink()
    node.put(WHEELHOUSE, zipped(pins, wheels))
    done = node.boot(REQUIREMENTS, WHEELHOUSE, **trap.lures(tmp_path))
    assert failed(done) == "pip could not install the pinned libraries; its reason stands above"
    assert "tiny-thing==2.1" in done.stderr
    assert (trap.visits, node.installed()) == (0, {})
    # the trap can catch: pip left to itself walks into it
    lured = {k: v for k, v in trap.lures(tmp_path).items() if "_proxy" not in k and k != "PIP_PROXY"}
    subprocess.run([node.python, "-m", "pip", "install", "-q", "--retries=0", "tiny-thing"], env=lured, check=False)
    assert trap.visits > 0


def test_a_wheel_with_another_hash_is_refused(node, wheels) -> None:
    pins = offer(node, wheels)
    Wheel("dill", module="planted = True\n").write(wheels)
    node.put(WHEELHOUSE, zipped(pins, wheels))
    done = node.boot(REQUIREMENTS, WHEELHOUSE)
    assert failed(done) == "pip could not install the pinned libraries; its reason stands above"
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert node.installed() == {}


def test_a_list_without_hashes_is_refused(node, wheels) -> None:
    pins = "".join(line for line in offer(node, wheels).splitlines(True) if "--hash" not in line).replace("\\", "")
    node.put(REQUIREMENTS, pins.encode())
    node.put(WHEELHOUSE, zipped(pins, wheels))
    assert failed(node.boot(REQUIREMENTS, WHEELHOUSE)).startswith("pip could not install")
    assert node.installed() == {}


def test_a_wheelhouse_of_another_list_is_refused(node, wheels) -> None:
    pins = offer(node, wheels)
    node.put(REQUIREMENTS, pins.replace("via us", "via them").encode())
    assert failed(node.boot(REQUIREMENTS, WHEELHOUSE)).startswith("the wheelhouse is of another list")


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_what_is_no_wheelhouse(node, wheels, content) -> None:
    offer(node, wheels)
    node.put(WHEELHOUSE, content)
    assert failed(node.boot(REQUIREMENTS, WHEELHOUSE)).startswith(f"no zip: given {WHEELHOUSE}")


def test_a_list_without_pins(node, wheels) -> None:
    node.put(REQUIREMENTS, b"# nothing\n")
    node.put(WHEELHOUSE, zipped("# nothing\n", wheels))
    done = node.boot(REQUIREMENTS, WHEELHOUSE)
    assert failed(done) == "the libraries are installed but do not work; the reasons stand above"
    assert "no pins in the requirements" in done.stderr


@pytest.mark.parametrize("missing", [REQUIREMENTS, WHEELHOUSE])
def test_a_file_that_is_not_there(node, wheels, missing) -> None:
    offer(node, wheels)
    (node.home / "s3" / missing.removeprefix("s3://")).unlink()
    done = node.boot(REQUIREMENTS, WHEELHOUSE)
    assert failed(done) == f"cannot read {missing}: does it exist, and may the instance role read it?"
    assert node.installed() == {}


def test_what_is_installed_but_does_not_load(node, wheels) -> None:
    offer(node, wheels, [Wheel("dill", module="raise ImportError('GLIBC_9 not found')\n")])
    done = node.boot(REQUIREMENTS, WHEELHOUSE)
    assert "dill does not load: ImportError: GLIBC_9 not found" in done.stderr
    assert failed(done) == "the libraries are installed but do not work; the reasons stand above"


def test_what_is_installed_by_half(node, wheels) -> None:
    offer(node, wheels)
    assert node.boot(REQUIREMENTS, WHEELHOUSE).returncode == 0
    next(node.home.glob("python/lib/python3.11/site-packages/tiny_thing.py")).unlink()
    done = node.boot(REQUIREMENTS, WHEELHOUSE)
    assert done.returncode == 1
    assert "emr_bootstrap: tiny-thing 2.1 is not whole\n" in done.stderr


@pytest.mark.parametrize(("dnf", "words"), [("works", 0), ("fails", 1)])
def test_pip_comes_from_dnf_or_else_from_python(bare_node, wheels, dnf, words) -> None:
    offer(bare_node, wheels)
    done = bare_node.boot(REQUIREMENTS, WHEELHOUSE, DNF=dnf)
    assert done.returncode == 0, done.stderr
    assert "sudo dnf install -y -q python3.11-pip" in bare_node.calls
    assert sum("-m ensurepip" in call for call in bare_node.calls) == words
    assert AT_PINS.items() <= bare_node.installed().items()


def test_no_pip_to_be_had(bare_node, wheels) -> None:
    offer(bare_node, wheels)
    done = bare_node.boot(REQUIREMENTS, WHEELHOUSE, NO_SUDO="1")
    assert failed(done) == "no pip: neither dnf install python3.11-pip nor ensurepip worked"


def test_another_architecture(node) -> None:
    node.stand_in("uname", "echo aarch64")
    done = node.boot(REQUIREMENTS)
    assert failed(done) == "wrong architecture: given aarch64; allowed: x86_64, as python-dp has no other wheels"
    assert node.calls == ["uname -m"]


def test_another_python(node, tmp_path) -> None:
    gone = node.boot(REQUIREMENTS, PYSPARK_PYTHON="/nowhere/python3.11")
    assert failed(gone) == "no Python 3.11: given /nowhere/python3.11; allowed: an image with it, such as emr-7.13.0"
    node.stand_in("python3.9", "echo 3.9")
    old = node.boot(REQUIREMENTS, PYSPARK_PYTHON=str(tmp_path / "bin" / "python3.9"))
    assert failed(old) == f"wrong Python: given 3.9 at {tmp_path}/bin/python3.9; allowed: 3.11"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "wrong arguments: given 0"),
        ([REQUIREMENTS, WHEELHOUSE, "more"], "wrong arguments: given 3"),
        (["requirements.txt"], "no S3 address: given 'requirements.txt'"),
        ([REQUIREMENTS, ""], "no S3 address: given ''"),
        (["s3://bucket"], "no S3 address: given 's3://bucket'"),
    ],
)
def test_arguments(node, words, said) -> None:
    done = node.boot(*words)
    assert failed(done).startswith(said)
    assert done.stderr.count("\n") == 1
    assert node.calls == []


@pytest.mark.slow
def test_from_pypi(node, pypi, trap, tmp_path) -> None:
    """One real pin of the cluster's list; what the environment says of pip changes nothing here either."""
    whole = (ROOT / "requirements-cluster.txt").read_text()
    (pin,) = re.findall(r"^six==.*?(?=^\S)", whole, re.MULTILINE | re.DOTALL)
    node.put(REQUIREMENTS, pin.encode())
    lures = {k: v for k, v in trap.lures(tmp_path).items() if "_proxy" not in k}
    done = node.boot(REQUIREMENTS, **lures)
    assert done.returncode == 0, done.stderr
    assert (list(node.installed()), trap.visits) == (["six"], 0)
    node.put(REQUIREMENTS, re.sub("sha256:.", "sha256:f", pin.replace("six==1.17.0", "six==1.16.0")).encode())
    assert "DO NOT MATCH THE HASHES" in node.boot(REQUIREMENTS).stderr


def test_it_is_bash_in_strict_mode() -> None:
    lines = BOOTSTRAP.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert BOOTSTRAP.stat().st_mode & 0o111  # EMR runs it as a program


def failed(done) -> str:
    """The last line of a run that failed, in the script's own words."""
    assert done.returncode == 1, done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("emr_bootstrap: ")
    return last.removeprefix("emr_bootstrap: ")
