"""One address for all of AWS: the ledger's calls go to DynamoDB Local, all others to moto; and it has faults.

A fault is what a real one looks like from outside: a call that never arrives, an answer that is lost, a 503, a
process that is gone. Nothing of the code under test knows of it.
"""

import contextlib
import http.client
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

FORWARD = -1
"""What a fault's `before` returns to let the call through after all, later than it came."""

_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_ARN = re.compile(rb"arn:aws:dynamodb:[a-z0-9-]+:[0-9]{12}:table/")
_KEY = re.compile(r"(Credential=)[^/]+")


@dataclass(frozen=True)
class Call:
    """One request; `operation` is DynamoDB's or Glue's, and for S3, which has none, the HTTP method."""

    operation: str
    path: str
    body: bytes

    def names(self, *words: str) -> bool:
        """Whether all the words stand in its address or its body."""
        return all(word in self.path or word.encode() in self.body for word in words)


@dataclass
class Fault:
    """What becomes of the next `times` calls that match, `skip` of them first let through.

    `before` runs in place of the call, `after` when the server has done it; where that returns None the connection
    ends without an answer, a status is answered.
    """

    matches: Callable[[Call], bool]
    before: Callable[[], int | None] | None = None
    after: Callable[[], int | None] | None = None
    times: int = 1
    skip: int = 0
    seen: int = 0
    happened: threading.Event = field(default_factory=threading.Event)


class Endpoint(http.server.ThreadingHTTPServer):
    """Forwards to `moto` and to `dynamodb`; `faults` are asked in their order."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, moto: str, dynamodb: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.moto, self.dynamodb = urlsplit(moto).netloc, urlsplit(dynamodb).netloc
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}"

    @contextlib.contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Have these faults for the length of a block; each must have happened by then."""
        with self._lock:
            self._faults += faults
        try:
            yield
        finally:
            with self._lock:
                self._faults = [fault for fault in self._faults if fault not in faults]
        for fault in faults:
            assert fault.happened.is_set(), "the fault did not happen: no such call was made"

    def fault(self, call: Call) -> Fault | None:
        """The fault that this call has, counted."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(call):
                    fault.seen += 1
                    if fault.skip < fault.seen <= fault.skip + fault.times:
                        fault.happened.set()
                        return fault
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body, target = self._body(), self.headers.get("X-Amz-Target", "")
        call = Call(target.rpartition(".")[2] or self.command, unquote(self.path), body)
        fault = self.server.fault(call)
        if fault and fault.before:
            answered = fault.before()
            if answered != FORWARD:
                self._fail(answered)
                return
        answer = self._dynamodb(body) if target.startswith("DynamoDB_") else self._forward(self.server.moto, body)
        if fault and fault.after:
            self._fail(fault.after())
            return
        status, headers, data = answer
        self.send_response(status)
        length = next((v for k, v in headers if k.lower() == "content-length"), str(len(data)))
        for name, value in headers:
            if name.lower() not in _OWN:
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

    def _fail(self, status: int | None) -> None:
        self.close_connection = True
        if status is not None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def _dynamodb(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """DynamoDB Local takes a table's ARN, but not in a transaction, and keeps a database for each access key."""
        signed = _KEY.sub(r"\1testing", self.headers.get("Authorization", ""))
        return self._forward(self.server.dynamodb, _ARN.sub(b"", body), Authorization=signed)

    def _forward(self, to: str, body: bytes, **changed: str) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "content-length")}
        with contextlib.closing(http.client.HTTPConnection(to, timeout=120)) as upstream:
            length = {"Content-Length": str(len(body))} if body or self.command in ("PUT", "POST") else {}
            upstream.request(self.command, self.path, body or None, {**headers, **changed, **length})
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def endpoint(moto: str, dynamodb: str) -> Iterator[Endpoint]:
    """Run it for the length of a block."""
    with Endpoint(moto, dynamodb) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
