import hashlib
import http.server
import socket
import threading
from itertools import chain, repeat

import pytest
from click.testing import CliRunner

from dpcloud.data import fetch as module
from dpcloud.data.commands import data
from dpcloud.data.fetch import FILE_NAME, fetch, git_blob_id
from dpjobs.errors import InputError

CONTENT = b"TractId,TotalPop\n" + b"1001020100,1845\n" * 20_000
BLOB_ID = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers with the given statuses in turn, the last one for ever, and notes the paths asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/acs.csv"
        self.asked = []
        self.content = CONTENT
        self.cut_after = repeat(None)
        self.statuses = repeat(200)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        status, cut = next(self.server.statuses), next(self.server.cut_after)
        self.send_response(status)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[:cut])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "data"


def refused(folder, url, message):
    """The download is refused in one line that says what to do, and leaves nothing."""
    with pytest.raises(InputError, match=message) as caught:
        fetch(folder, url=url, blob_id=BLOB_ID)
    assert "\n" not in str(caught.value)
    assert f"by hand as {folder / FILE_NAME}" in str(caught.value)
    assert "dpcloud data generate" in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_download_is_kept_and_shows_progress(server, folder):
    seen = []
    path = fetch(folder, url=server.url, blob_id=BLOB_ID, progress=lambda done, total: seen.append((done, total)))
    assert path == folder / FILE_NAME
    assert path.read_bytes() == CONTENT
    assert [file.name for file in folder.iterdir()] == [FILE_NAME]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) > 2
    assert seen == sorted(seen)


def test_a_kept_file_needs_no_network(server, folder):
    first = fetch(folder, url=server.url, blob_id=BLOB_ID)
    assert fetch(folder, url="http://127.0.0.1:1/", blob_id=BLOB_ID) == first
    assert len(server.asked) == 1


def test_a_spoilt_file_is_downloaded_again(server, folder):
    path = fetch(folder, url=server.url, blob_id=BLOB_ID)
    path.write_bytes(CONTENT[:-1])
    assert fetch(folder, url=server.url, blob_id=BLOB_ID) == path
    assert path.read_bytes() == CONTENT


def test_another_content_is_not_kept(server, folder):
    server.content = CONTENT.replace(b"1845", b"1846", 1)
    refused(folder, server.url, "not the expected file")


def test_a_page_that_is_not_there(server, folder):
    server.statuses = repeat(404)
    refused(folder, server.url, "HTTP status 404")
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again_without_waiting_as_long_as_it_says(server, folder):
    server.statuses = chain([503, 429], repeat(200))
    assert fetch(folder, url=server.url, blob_id=BLOB_ID).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_server_that_stays_busy(server, folder):
    server.statuses = repeat(503)
    refused(folder, server.url, "HTTP status 503")
    assert len(server.asked) == 4


def test_a_broken_off_download_is_tried_again_from_the_start(server, folder):
    server.cut_after = chain([100_000, 5], repeat(None))
    assert fetch(folder, url=server.url, blob_id=BLOB_ID).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_download_that_always_breaks_off(server, folder):
    server.cut_after = repeat(100_000)
    refused(folder, server.url, "broke off")
    assert len(server.asked) == 3


def test_an_endless_answer_is_not_read_to_its_end(server, folder, monkeypatch):
    monkeypatch.setattr(module, "_MAX_BYTES", 100_000)
    refused(folder, server.url, "not the expected file")


def test_nobody_listens(folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused(folder, f"http://127.0.0.1:{unused.getsockname()[1]}/", "cannot be reached")


def test_a_server_that_never_answers_is_given_up(folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for_ever = threading.Timer(60, lambda: silent.shutdown(socket.SHUT_RDWR))
        for_ever.start()
        refused(folder, f"http://127.0.0.1:{silent.getsockname()[1]}/", "cannot be reached")
        assert for_ever.is_alive()  # not the end of the server ended it
        for_ever.cancel()


def test_the_limits_end_within_twenty_seconds():
    assert module._ANSWER_SECONDS + module._READ_SECONDS <= 20
    assert 3 * module._READ_SECONDS <= 20


def test_an_unusable_address(folder):
    refused(folder, "http://[broken/", "cannot be reached")


def test_the_environments_proxy_is_used(server, folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    fetch(folder, url="http://example.invalid/acs.csv", blob_id=BLOB_ID)
    assert server.asked == ["http://example.invalid/acs.csv"]


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match=r"cannot be kept.*DPCLOUD_HOME"):
        fetch(tmp_path / "file", url=server.url, blob_id=BLOB_ID)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_full_disk(server, folder, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_receive", full)
    with pytest.raises(InputError, match="cannot be kept"):
        fetch(folder, url=server.url, blob_id=BLOB_ID)
    assert list(folder.iterdir()) == []


def test_the_id_is_gits(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert git_blob_id(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_command_prints_the_path(server, tmp_path, monkeypatch):
    monkeypatch.setenv("DPCLOUD_HOME", str(tmp_path))
    real = fetch
    monkeypatch.setattr(
        module, "fetch", lambda folder, progress: real(folder, url=server.url, blob_id=BLOB_ID, progress=progress)
    )
    told = CliRunner().invoke(data, ["fetch", "acs2017"])
    assert told.output == f"{tmp_path / 'data' / FILE_NAME}\n"
    assert CliRunner().invoke(data, ["fetch", "other"]).exit_code == 2
