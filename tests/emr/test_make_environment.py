"""tools/environment.py: what it makes, refuses and leaves; the real one under both engines."""

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pyspark
import pytest
from tools import environment, pins
from tools.environment import ARCHIVE, FACTS, PACKAGES, PackingError

from dpcloud.java import use_java
from dpjobs.epsilon import Epsilon
from dpjobs.ledger import SQLiteLedger
from emr.node import BOOTSTRAP, ROOT, Wheel, pins_of

HASH = "--hash=sha256:" + 64 * "a"
WHEELS = [Wheel("tiny-thing", "2.1"), Wheel("another")]


class Room:
    """A project of two small wheels, which pip finds in a folder instead of on PyPI."""

    def __init__(self, root: Path) -> None:
        (root / "wheels").mkdir()
        self.root, self.wheels = root, root / "wheels"
        self.requirements = root / "requirements.txt"
        self.folder = root / "build" / "environment"
        self.target = self.folder / ARCHIVE
        self.requirements.write_text(pins_of(WHEELS, self.wheels))

    def make(self) -> bool:
        return environment.make(self.requirements, self.folder)

    def left(self) -> list[str]:
        build = self.root / "build"
        return sorted(str(path.relative_to(build)) for path in build.rglob("*"))

    def members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(self.target) as archive:
            return {member.name: member for member in archive}


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(room.wheels))  # a laptop's own mirror is honoured
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return room


WHOLE = ["environment", f"environment/{FACTS}", f"environment/{ARCHIVE}"]


def test_the_same_pins_give_the_same_bytes(room) -> None:
    assert room.make()
    first, facts = room.target.read_bytes(), environment.look(room.folder, room.requirements)
    assert facts.content == hashlib.sha256(gzip.decompress(first)).hexdigest()
    assert facts.archive == hashlib.sha256(first).hexdigest()
    shutil.rmtree(room.folder)
    assert room.make()
    assert room.target.read_bytes() == first
    assert room.left() == WHOLE


def test_it_is_laid_out_as_venv_pack_lays_out_an_environment_of_amazon_linux(room) -> None:
    """What AWS documents for Glue 5.1: `python3.11 -m venv` in amazonlinux:2023, packed by venv-pack."""
    room.make()
    members = room.members()
    links = {name: member.linkname for name, member in members.items() if member.issym()}
    assert links == {
        "bin/python": "python3.11",
        "bin/python3": "python3.11",
        "bin/python3.11": "/usr/bin/python3.11",
        "lib64": "lib",
    }
    assert {"pyvenv.cfg", "bin/activate"} <= set(members)
    with tarfile.open(room.target) as archive:
        settings = archive.extractfile("pyvenv.cfg").read().decode()
    assert "home = /usr/bin\n" in settings
    assert "include-system-site-packages = false\n" in settings
    packages = {name.removeprefix(f"{PACKAGES}/") for name in members if name.startswith(PACKAGES)}
    assert {"another.py", "another-1.0.dist-info/METADATA", "tiny_thing.py"} <= packages
    assert {name.split("/")[0] for name in members} == {"bin", "lib", "lib64", "pyvenv.cfg"}
    assert {(m.uid, m.gid, m.uname, m.mtime) for m in members.values()} == {(0, 0, "", 315532800)}
    assert {m.mode for m in members.values()} <= {0o644, 0o755, 0o777}


EXTRAS = (
    ("extra-1.0.data/purelib/pure/inner.py", ""),
    ("extra-1.0.data/platlib/native.so", ""),
    ("extra-1.0.data/scripts/tool", "#!python"),
    ("extra-1.0.data/data/share/man.1", ""),
    ("extra-1.0.data/headers/extra.h", ""),
    ("__pycache__/extra.cpython-311.pyc", ""),
)


def test_what_wheels_hold_besides_goes_where_pip_would_put_it_or_nowhere(room) -> None:
    room.requirements.write_text(pins_of([Wheel("extra", files=EXTRAS)], room.wheels))
    room.make()
    packages = {name.removeprefix(f"{PACKAGES}/") for name in room.members() if name.startswith(PACKAGES)}
    assert {name for name in packages if "dist-info" not in name} == {"extra.py", "pure/inner.py", "native.so"}


@pytest.mark.parametrize(
    ("wheels", "said"),
    [
        ([Wheel("one", files=(("../out.py", ""),))], "a wheel has a file outside of itself: ../out.py"),
        ([Wheel("one", files=(("/out.py", ""),))], "a wheel has a file outside of itself: /out.py"),
        ([Wheel("one"), Wheel("two", files=(("one.py", ""),))], f"has a file of another wheel: {PACKAGES}/one.py"),
    ],
)
def test_wheels_that_are_refused(room, wheels, said) -> None:
    room.requirements.write_text(pins_of(wheels, room.wheels))
    with pytest.raises(PackingError, match=re.escape(said)):
        room.make()
    assert room.left() == []


def test_its_activate_finds_it_wherever_it_was_unpacked(room, tmp_path) -> None:
    room.make()
    place = tmp_path / "else where"
    place.mkdir()
    subprocess.run(["tar", "-xzf", room.target, "-C", place], check=True)
    said = subprocess.run(
        ["bash", "-c", 'set -eu; source "$1/bin/activate"; echo "$VIRTUAL_ENV"; command -v python', "-", place],
        env={"PATH": "/usr/bin:/bin", "PYTHONHOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.splitlines()[0] == str(place)
    assert (place / "bin" / "python").is_symlink()


def test_up_to_date_does_nothing(room, monkeypatch) -> None:
    room.make()
    before = room.target.stat()
    monkeypatch.setattr(environment, "_download", None)
    assert not room.make()
    assert room.target.stat() == before


@pytest.mark.parametrize("how", ["other list", "cut", "planted", "empty", "no facts", "other tool"])
def test_what_is_not_whole_is_made_anew(room, how, monkeypatch) -> None:
    room.make()
    good = room.target.read_bytes()
    if how == "other list":
        room.requirements.write_text("# of today\n" + room.requirements.read_text())
    elif how == "planted":
        room.target.write_bytes(gzip.compress(gzip.decompress(good).replace(b"fine = True", b"fine = Trap")))
    elif how == "no facts":
        (room.folder / FACTS).write_text("{}")
    elif how == "other tool":
        facts = json.loads((room.folder / FACTS).read_text())
        (room.folder / FACTS).write_text(json.dumps(facts | {"source": "0" * 64}))
    else:
        room.target.write_bytes(good[: len(good) // 2] if how == "cut" else b"")
    said = "of another list" if how.startswith("other") else "damaged"
    with pytest.raises(PackingError, match=f"^{said}$"):
        environment.look(room.folder, room.requirements)
    assert room.make()
    assert room.target.read_bytes() == good


def test_a_wheel_with_another_hash_is_refused(room, monkeypatch) -> None:
    Wheel("another", module="planted = True\n").write(room.wheels)
    with pytest.raises(PackingError, match=r"pip could not download the wheels: ERROR: .*HASHES"):
        room.make()
    assert room.left() == []
    # whatever pip thinks of it
    monkeypatch.setattr(environment, "_download", lambda _, folder: shutil.copytree(room.wheels, folder))
    with pytest.raises(
        PackingError, match=r"^another-1.0-py3-none-any.whl is none of the pins, or has another hash$"
    ):
        room.make()
    (room.wheels / WHEELS[1].file).unlink()
    with pytest.raises(PackingError, match=r"^pip did not bring another-1.0$"):
        room.make()
    assert room.left() == []


def test_a_pin_without_a_wheel_is_one_line(room) -> None:
    (room.wheels / WHEELS[0].file).unlink()
    with pytest.raises(PackingError, match=r"^pip could not .* tiny-thing==2\.1[^\n]*$"):
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
    with pytest.raises(PackingError) as error:
        room.make()
    assert str(error.value).startswith(said)


def test_the_clusters_list_is_read_whole() -> None:
    text = pins.CLUSTER.read_text()
    pinned = pins.read(text)
    assert "numpy-1.26.4" in {pin.wheel for pin in pinned}
    assert [pin.requirement for pin in pinned] == re.findall(r"^\S+==\S+", text, re.MULTILINE)
    assert sum(len(pin.hashes) for pin in pinned) == text.count("--hash=sha256:")
    # Spark's own come from Glue and EMR, and are never put over them
    assert not any(pin.name in ("pyspark", "py4j") for pin in pinned)


def test_a_pin_with_extras_has_the_wheel_of_its_library() -> None:
    (pin,) = pins.read(f"Some.Thing[sql,more]==1.2 {HASH}\n")
    assert (pin.requirement, pin.wheel) == ("Some.Thing[sql,more]==1.2", "some-thing-1.2")


@pytest.mark.parametrize("path", [ROOT / "requirements.txt", *sorted((ROOT / "requirements").iterdir())], ids=str)
def test_every_lock_file_can_be_read(path) -> None:
    assert len({pin.wheel for pin in pins.read(path.read_text())}) > 1


def test_an_interrupt_leaves_nothing(room) -> None:
    """Stopped while pip waits for an index that never answers; a killed one's remains go at the next run."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from tools import environment as e, pins; from pathlib import Path\n"
            f"pins.CLUSTER, e.FOLDER = Path({str(room.requirements)!r}), Path({str(room.folder)!r})\n"
            f"e.ROOT = Path({str(room.root)!r})\n"
            "sys.exit(e.main())"
        )
        command = ["env", "-u", "PIP_NO_INDEX", "-u", "PIP_FIND_LINKS", "PIP_RETRIES=0"]
        command += [f"PIP_INDEX_URL=http://127.0.0.1:{silent.getsockname()[1]}/", sys.executable, "-c", program]
        for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            tool = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            silent.accept()[0].close()  # pip has come, and will come again
            assert any(name.startswith(".environment-") for name in room.left())
            tool.send_signal(how)
            assert tool.wait(timeout=30) == code
            assert bool(room.left()) == (how == signal.SIGKILL)
    assert room.make()
    assert room.left() == WHOLE


def test_two_at_once_make_one(room) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tools import environment; from pathlib import Path\n"
        f"print(environment.make(Path({str(room.requirements)!r}), Path({str(room.folder)!r})))"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(one.communicate(timeout=60)[0].split()[-1] for one in both) == ["False", "True"]
    assert room.left() == WHOLE


# What follows needs the real wheels, 248 MB from PyPI once.


@pytest.mark.slow
def test_it_holds_the_pinned_list_whole_and_nothing_else(booted) -> None:
    installed = {pins.wheel_of(name, version) for name, version in booted.installed().items()}
    assert installed == {pin.wheel for pin in pins.read(pins.CLUSTER.read_text())}
    say = (
        "import importlib.metadata as m, json\n"
        "bad = [str(f) for d in m.distributions() for f in d.files or [] if f.hash and f.suffix != '.pyc'\n"
        "       and '.data/' not in str(f) and (not f.locate().is_file() or f.locate().stat().st_size != f.size)]\n"
        "print(json.dumps(bad))"
    )
    done = subprocess.run([booted.python, "-I", "-c", say], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.slow
def test_every_native_library_is_tried_at_boot(booted) -> None:
    packages = booted.python.parents[1] / PACKAGES
    native = {path.relative_to(packages).parts[0] for path in packages.rglob("*.so*")}
    tops = {name for name in native if (packages / name).is_dir() and not name.endswith(".libs")}
    loads = {name.split(".")[0] for name in re.findall(r'"([a-z0-9_.]+)"[,)]', BOOTSTRAP.read_text())}
    assert len(tops) >= 7
    assert tops <= loads


@pytest.mark.slow
def test_it_is_compiled_for_users_that_may_not_write_there(booted) -> None:
    packages = booted.python.parents[1] / PACKAGES
    for module in ("numpy/__init__", "tmlt/analytics/session", "pipeline_dp/__init__"):
        folder, _, name = module.rpartition("/")
        assert (packages / folder / "__pycache__" / f"{name}.cpython-311.pyc").exists()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["opendp"])  # the others run on the archive in deploy/test_smoke.py
def test_the_engines_run_on_it(booted, tmp_path, engine) -> None:
    """EMR's script under spark-submit with EMR's settings, in an environment that is empty but for what EMR sets:
    the runtime brings pyspark, the archive the rest."""
    use_java()
    settings = json.loads((ROOT / "emr_assets" / "software_settings.json").read_text())
    spark, log4j = (
        next(e["Properties"] for e in settings if e["Classification"] == f"spark-{c}") for c in ("defaults", "log4j2")
    )
    python = str(booted.python)
    lines = [f"{key} {value.replace('/opt/dpcloud/bin/python', python)}" for key, value in spark.items()]
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(
        "\n".join([*lines, f"spark.sql.warehouse.dir {tmp_path.as_uri()}/w"])
    )
    (tmp_path / "conf" / "log4j2.properties").write_text("\n".join(f"{k} = {v}" for k, v in log4j.items()))
    library = shutil.make_archive(str(tmp_path / "dpjobs"), "zip", ROOT / "src", "dpjobs")
    (tmp_path / "table.csv").write_text("x\n" + "".join(f"{i % 100}\n" for i in range(5000)))
    SQLiteLedger(tmp_path / "ledger.sqlite").set_total(str((tmp_path / "table.csv").resolve()), Epsilon(5))
    home = Path(pyspark.__file__).parent
    script = "run_tmlt_ana_spark.py" if engine == "tumult" else "run_pipelinedp_spark.py"
    words = ["-c", "x", "-e", "4", "-f", "table.csv", "-q", "mean", "--lower", "0", "--upper", "100"]
    words += ["--engine", engine]
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
