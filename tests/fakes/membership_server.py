"""A small real Membership service on loopback: `POST /auth`, a list of keys, failure switches, a log of questions.

    with MembershipServer() as membership:
        membership.keys["secret"] = {"caller_type": "service", "tenant": "t1"}
        membership.broken = (503, b"")           # every answer, until it is None again
        membership.stop(); membership.start()    # gone, and back on the same port

From a shell: `python -m tests.fakes.membership_server --port 8098 KEY...`.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class MembershipServer:
    """`keys`: key -> what the answer says beside `valid`. `asked` holds the keys of all questions."""

    def __init__(self, *, port: int = 0) -> None:
        self.keys: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.broken: tuple[int, bytes] | None = None
        self.delay_seconds = 0.0
        self.refuses_with_200 = False
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if owner._server is None:  # stopped: a connection that was kept open ends too
                    self.close_connection = True
                    return
                status, content = owner._answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing: a request log would hold keys."""

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing of clients that went away."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="membership", daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path != "/auth":
            return 404, b"{}"
        key = json.loads(body)["api_key"]
        self.asked.append(key)
        if self.delay_seconds:
            time.sleep(self.delay_seconds)
        if self.broken is not None:
            return self.broken
        if key in self.keys:
            return 200, json.dumps({"valid": True} | self.keys[key]).encode()
        return (200, b'{"valid": false}') if self.refuses_with_200 else (401, b'{"detail": "unknown key"}')


def _main() -> None:
    parser = argparse.ArgumentParser(description="Serve a Membership service on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("keys", nargs="*")
    arguments = parser.parse_args()
    server = MembershipServer(port=arguments.port)
    server.keys = {key: {"caller_type": "service"} for key in arguments.keys}
    with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    _main()
