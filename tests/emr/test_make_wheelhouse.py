"""tools/wheelhouse.py: what it makes, refuses and leaves; the real one under both engines."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyspark
import pytest

from dpcloud.java import use_java
from dpjobs.ledger import SQLiteLedger
from emr.node import BOOTSTRAP, REQUIREMENTS, ROOT, WHEELHOUSE, Node, Wheel, pins_of

TOOL = ROOT / "tools" / "wheelhouse.py"
specification = importlib.util.spec_from_file_location("wheelhouse", TOOL)
wheelhouse = importlib.util.module_from_spec(specification)
specification.loader.exec_module(wheelhouse)

HASH = "--hash=sha256:" + 64 * "a"
WHEELS = [Wheel("tiny-thing", "2.1"), Wheel("another")]


class Room:
    """A project of two small wheels, which pip finds in a folder instead of on PyPI."""

    def __init__(self, root: Path) -> None:
        (root / "wheels").mkdir()
        self.root, self.wheels = root, root / "wheels"
        self.requirements = root / "requirements.txt"
        self.target = root / "build" / "wheelhouse" / "dpcloud.gluewheels.zip"
        self.requirements.write_text(pins_of(WHEELS, self.wheels))

    def make(self) -> bool:
        return wheelhouse.make(self.requirements, self.target)

    def left(self) -> list[str]:
        build = self.root / "build"
        return sorted(str(path.relative_to(build)) for path in build.rglob("*"))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(room.wheels))  # a laptop's own mirror is honoured
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return room


WHOLE = ["wheelhouse", "wheelhouse/dpcloud.gluewheels.zip"]


def test_the_same_pins_give_the_same_bytes(room) -> None:
    assert room.make()
    first = room.target.read_bytes()
    with zipfile.ZipFile(room.target) as archive:
        assert archive.namelist() == sorted(["wheels/requirements.txt", *(f"wheels/{w.file}" for w in WHEELS)])
        assert archive.read("wheels/requirements.txt") == room.requirements.read_bytes()
        assert {(e.date_time, e.compress_type, e.external_attr) for e in archive.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 0o100644 << 16)
        }
    room.target.unlink()
    assert room.make()
    assert room.target.read_bytes() == first
    assert room.left() == WHOLE


def test_up_to_date_does_nothing(room, monkeypatch) -> None:
    room.make()
    before = room.target.stat()
    monkeypatch.setattr(wheelhouse, "_download", None)
    assert not room.make()
    assert room.target.stat() == before


@pytest.mark.parametrize("how", ["other list", "cut", "planted", "empty"])
def test_what_is_not_whole_is_made_anew(room, how) -> None:
    room.make()
    good = room.target.read_bytes()
    if how == "other list":
        room.requirements.write_text("# of today\n" + room.requirements.read_text())
    elif how == "planted":
        room.target.write_bytes(good.replace(b"fine = True", b"fine = Trap"))
    else:
        room.target.write_bytes(good[: len(good) // 2] if how == "cut" else b"")
    assert wheelhouse.problem(room.target, room.requirements.read_text())
    assert room.make()
    assert (room.target.read_bytes() == good) == (how != "other list")


def test_a_wheel_with_another_hash_is_refused(room) -> None:
    Wheel("another", module="planted = True\n").write(room.wheels)
    with pytest.raises(wheelhouse.WheelhouseError, match=r"pip could not download the wheels: ERROR: .*HASHES"):
        room.make()
    assert room.left() == []


def test_a_pin_without_a_wheel_is_one_line(room) -> None:
    (room.wheels / WHEELS[0].file).unlink()
    with pytest.raises(wheelhouse.WheelhouseError, match=r"^pip could not .* tiny-thing==2\.1[^\n]*$"):
        room.make()
    assert room.left() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no pins: given an empty list"),
        ("numpy\n", "no pin: given 'numpy'"),
        ("numpy==1.26.4\n", "no pin: given 'numpy==1.26.4'"),
        (f"numpy>=1.26 {HASH}\n", "no pin: given 'numpy>=1.26'"),
        (f"numpy==1.26.4 --hash=md5:{'a' * 32}\n", "no pin: given 'numpy==1.26.4'"),
        ("--index-url https://elsewhere/\n", "no pin: given '--index-url'"),
    ],
)
def test_lists_that_are_refused(room, text, said) -> None:
    room.requirements.write_text(text)
    with pytest.raises(wheelhouse.WheelhouseError) as error:
        room.make()
    assert str(error.value).startswith(said)


def test_the_clusters_list_is_read_whole() -> None:
    text = (ROOT / "requirements-cluster.txt").read_text()
    pins = wheelhouse.pins(text)
    assert "numpy-1.26.4" in pins
    assert len(pins) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert sum(map(len, pins.values())) == text.count("--hash=sha256:")
    assert not any(name.startswith(("pyspark-", "py4j-")) for name in pins)


def test_an_interrupt_leaves_nothing(room) -> None:
    """Stopped while pip waits for an index that never answers; a killed one's remains go at the next run."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = (
            f"import sys; sys.path.insert(0, {str(TOOL.parent)!r})\n"
            "import wheelhouse as w; from pathlib import Path\n"
            f"w.REQUIREMENTS, w.WHEELHOUSE = Path({str(room.requirements)!r}), Path({str(room.target)!r})\n"
            "sys.exit(w.main())"
        )
        command = ["env", "-u", "PIP_NO_INDEX", "-u", "PIP_FIND_LINKS", "PIP_RETRIES=0"]
        command += [f"PIP_INDEX_URL=http://127.0.0.1:{silent.getsockname()[1]}/", sys.executable, "-c", program]
        for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            tool = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
            silent.accept()[0].close()  # pip has come, and will come again
            assert any(name.startswith(".wheelhouse-") for name in room.left())
            tool.send_signal(how)
            assert tool.wait(timeout=30) == code
            assert bool(room.left()) == (how == signal.SIGKILL)
    assert room.make()
    assert room.left() == WHOLE


def test_two_at_once_make_one(room) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(TOOL.parent)!r}); import wheelhouse; from pathlib import Path\n"
        f"print(wheelhouse.make(Path({str(room.requirements)!r}), Path({str(room.target)!r})))"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(one.communicate(timeout=60)[0] for one in both) == ["False\n", "True\n"]
    assert room.left() == WHOLE


# What follows needs the real wheels, 181 MB from PyPI once.


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest) -> Path:
    try:
        wheelhouse.make(wheelhouse.REQUIREMENTS, wheelhouse.WHEELHOUSE)
    except wheelhouse.WheelhouseError:
        request.getfixturevalue("pypi")  # skips where that was the reason
        raise
    return wheelhouse.WHEELHOUSE


@pytest.fixture(scope="module")
def whole_node(real, empty_python, tmp_path_factory) -> Iterator[Node]:
    """A node that the bootstrap action has set up from the wheelhouse, with every way to a network shut."""
    home = tmp_path_factory.mktemp("node")
    shutil.copytree(empty_python, home / "python", symlinks=True)
    node = Node(home, home / "python" / "bin" / "python")
    node.put(REQUIREMENTS, wheelhouse.REQUIREMENTS)
    node.put(WHEELHOUSE, real)
    dead = dict.fromkeys(("https_proxy", "http_proxy", "PIP_PROXY", "PIP_INDEX_URL"), "http://127.0.0.1:9/")
    done = node.boot(REQUIREMENTS, WHEELHOUSE, **dead)
    assert (done.returncode, done.stderr) == (0, "")
    yield node
    shutil.rmtree(home)  # pytest would keep a gigabyte of each of the last three runs


@pytest.mark.slow
def test_every_native_library_is_tried_at_boot(real) -> None:
    with zipfile.ZipFile(real) as archive:
        wheels = [Path(name).stem.split("-") for name in archive.namelist() if name.endswith(".whl")]
    native = {words[0].replace("_", "-") for words in wheels if words[-1] != "any"}
    loads = set(re.findall(r'"([\w-]+)": "[\w.]+"', BOOTSTRAP.read_text()))
    assert len(native) == 7
    assert native <= loads


@pytest.mark.slow
def test_a_second_boot_finds_all_done(whole_node) -> None:
    done = whole_node.boot(REQUIREMENTS, WHEELHOUSE)
    assert done.stdout == "emr_bootstrap: all libraries are already at their pins\n"
    assert not any(call.startswith("sudo") for call in whole_node.calls)
    found = {f"{wheelhouse._canonical(name)}-{version}" for name, version in whole_node.installed().items()}
    assert found == wheelhouse.pins(wheelhouse.REQUIREMENTS.read_text()).keys()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tumult", "pipelinedp"])
def test_both_engines_run_on_it(whole_node, tmp_path, engine) -> None:
    """EMR's script under spark-submit with EMR's settings: the runtime brings pyspark, the wheelhouse the rest."""
    use_java()
    settings = json.loads((ROOT / "emr_assets" / "software_settings.json").read_text())
    spark, log4j = (
        next(e["Properties"] for e in settings if e["Classification"] == f"spark-{c}") for c in ("defaults", "log4j2")
    )
    python = str(whole_node.python)
    lines = [f"{key} {value.replace('/usr/bin/python3.11', python)}" for key, value in spark.items()]
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(
        "\n".join([*lines, f"spark.sql.warehouse.dir {tmp_path.as_uri()}/w"])
    )
    (tmp_path / "conf" / "log4j2.properties").write_text("\n".join(f"{k} = {v}" for k, v in log4j.items()))
    library = shutil.make_archive(str(tmp_path / "dpjobs"), "zip", ROOT / "src", "dpjobs")
    (tmp_path / "table.csv").write_text("x\n" + "".join(f"{i % 100}\n" for i in range(5000)))
    SQLiteLedger(tmp_path / "ledger.sqlite").set_total(str((tmp_path / "table.csv").resolve()), Decimal(5))
    home = Path(pyspark.__file__).parent
    script = {"tumult": "run_tmlt_ana_spark.py", "pipelinedp": "run_pipelinedp_spark.py"}[engine]
    words = ["-c", "x", "-e", "4", "-f", "table.csv", "-q", "mean", "--lower", "0", "--upper", "100"]
    command = [home / "bin" / "spark-submit", "--master", "local[2]", "--py-files", library]
    done = subprocess.run(
        [*command, ROOT / "emr_assets" / script, *words, "--ledger", "ledger.sqlite"],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "JAVA_HOME": os.environ["JAVA_HOME"],
            "SPARK_HOME": str(home),
            "SPARK_CONF_DIR": str(tmp_path / "conf"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    release = json.loads(done.stdout)
    assert release["engine"] == engine
    assert 47 < release["value"] < 52  # the noise's scale is about 0.01 here
