"""A proxy before DynamoDB Local that has faults: it drops answers, delays them, or gives others."""

import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

DROPPED = "dropped"
"""The server did what was asked; its answer is lost with the connection."""


class Faulty(http.server.ThreadingHTTPServer):
    """Forwards to `upstream`. `faults` holds, by operation, what becomes of its next calls in their order.

    None forwards, DROPPED forwards and hangs up, a pair (status, body) answers that and forwards nothing.
    """

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.faults: dict[str, list[Any]] = {}
        self.calls: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Faulty

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append(operation)
        self.server.bodies.append(json.loads(body))
        planned = self.server.faults.get(operation, [])
        fault = planned.pop(0) if planned else None
        # what is planned looks like DynamoDB's unless it is no JSON
        named = {"x-amzn-RequestId": "planned"}
        if isinstance(fault, tuple):
            status, answer, headers = *fault, named if fault[1].startswith(b"{") else {}
        else:
            status, answer, headers = self._forward(body)
        if fault == DROPPED:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _forward(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        with contextlib.closing(http.client.HTTPConnection(self.server.upstream, timeout=30)) as upstream:
            upstream.request("POST", "/", body, dict(self.headers))
            answer = upstream.getresponse()
            kept = {k: v for k, v in answer.getheaders() if k.lower().startswith(("x-amz", "content-type"))}
            return answer.status, answer.read(), kept

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def faulty(upstream: str) -> Iterator[Faulty]:
    """Run the proxy for the length of a block."""
    with Faulty(upstream) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


def refusal(code: str, status: int = 400, **more: Any) -> tuple[int, bytes]:
    """An error as DynamoDB words it, with a text that no user must see."""
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return status, json.dumps({"__type": kind, "message": "SECRET in AWS's own text", **more}).encode()


def cancelled(*codes: str) -> tuple[int, bytes]:
    """A transaction that was cancelled, with the reason for each of its actions."""
    reasons = [{"Code": code, "Message": "SECRET"} for code in codes]
    return refusal("TransactionCanceledException", CancellationReasons=reasons)
