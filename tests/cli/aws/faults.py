"""A small server before moto's that answers in AWS's stead, as AWS does when it is busy, refuses or is silent."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SECRET = "arn:aws:iam::123456789012:user/SECRET"
_QUERY = ("cloudformation", "sts", "iam")


@dataclass(frozen=True)
class Call:
    """What is asked: the service as it signs, and the operation; of S3 the method, and what it is about."""

    service: str
    operation: str


@dataclass(frozen=True)
class Fault:
    """An answer: its status, AWS's code and AWS's text. `hangs` gives none."""

    status: int
    code: str
    text: str = f"about {SECRET}"
    hangs: bool = False


@dataclass
class Faults:
    """What is answered in AWS's stead, by `of` (None: AWS answers); every call that came, in its order."""

    endpoint: str
    of: Callable[[Call], Fault | None] = lambda _: None
    calls: list[Call] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def first(self, fault: Fault, times: int = 1) -> None:
        """The first calls of each kind get the fault, the others AWS's answer; what the worker reads is spared."""
        seen: dict[Call, int] = {}

        def of(call: Call) -> Fault | None:
            seen[call] = seen.get(call, 0) + 1
            return fault if seen[call] <= times and call.operation not in ("GET", "HEAD") else None

        self.of = of

    def always(self, fault: Fault, *services: str) -> None:
        """Every call of these services, of all where none is named, gets the fault."""
        self.of = lambda call: fault if not services or call.service in services else None


@contextmanager
def before(aws: str) -> Iterator[Faults]:
    """Start the server before the one at this address."""
    behind = urlsplit(aws).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_all(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = self._call(body)
            faults.calls.append(call)
            fault = faults.of(call)
            if fault is None:
                self._pass(body)
            elif fault.hangs:
                faults.over.wait(60)
                self.close_connection = True
            else:
                text, kind = _written(fault, call.service)
                self._answer(fault.status, {"Content-Type": kind, "x-amzn-RequestId": "1"}, text)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_all

        def _call(self, body: bytes) -> Call:
            scope = self.headers.get("Authorization", "").partition("Credential=")[2].split(",")[0].split("/")
            service = scope[3] if len(scope) > 3 else ""
            if service == "s3":
                query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
                about = {"uploads", "uploadId", "partNumber", "list-type"} & query.keys()
                return Call(service, " ".join([self.command, *sorted(about)]))
            if service in _QUERY:
                return Call(service, parse_qs(body.decode()).get("Action", [""])[0])
            return Call(service, self.headers.get("X-Amz-Target", "").rpartition(".")[2])

        def _pass(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(behind, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            told = connection.getresponse()
            kept = {k: v for k, v in told.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
            self._answer(told.status, kept, told.read())
            connection.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() != "content-length" or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # who asked has gone away

    with Server(("127.0.0.1", 0), Handler) as server:
        faults = Faults(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield faults
        faults.over.set()
        server.shutdown()


def _written(fault: Fault, service: str) -> tuple[bytes, str]:
    inner = f"<Code>{fault.code}</Code><Message>{fault.text}</Message>"
    if service == "s3":
        return f"<?xml version='1.0'?><Error>{inner}</Error>".encode(), "application/xml"
    if service in _QUERY:
        return f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>".encode(), "text/xml"
    return json.dumps({"__type": fault.code, "message": fault.text}).encode(), "application/x-amz-json-1.1"
