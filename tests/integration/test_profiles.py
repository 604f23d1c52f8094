"""Profiles of the product's processes, as a Pyroscope server gets them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

WORK = """
import os, sys, time
from resources.settings import Settings
from resources.telemetry import process, profiling

process.begin(Settings.load(), "cixml-test", forks=sys.argv[1] == "child")

def cut_texts_for_a_while():
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        sum(number * number for number in range(1000))

if sys.argv[1] == "child":
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    profiling.start(Settings.load(), "cixml-child")
cut_texts_for_a_while()
print("pyroscope" in sys.modules)
"""


class Server(ThreadingHTTPServer):
    """A small real server that takes what agents push."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Takes)
        self.pushed: list[bytes] = []


class _Takes(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/push.v1.PusherService/Push"
        self.server.pushed.append(gzip.decompress(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
        yield found
        found.shutdown()


def work(kind: str, url: str | None) -> str:
    given = {"CIXML_TELEMETRY__PYROSCOPE_URL": url} if url else {}
    done = subprocess.run(
        [sys.executable, "-c", WORK, kind],
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("kind", "service"), [("plain", b"cixml-test"), ("child", b"cixml-child")])
def test_a_process_is_profiled_by_its_service_also_after_a_fork(server: Server, kind: str, service: bytes) -> None:
    assert work(kind, f"http://127.0.0.1:{server.server_port}") == "True"
    pushed = b"".join(server.pushed)
    assert service in pushed
    assert b"service_name" in pushed
    assert b"cut_texts_for_a_while" in pushed


def test_without_the_setting_the_agent_is_not_even_imported(server: Server) -> None:
    assert work("plain", None) == "False"
    assert not server.pushed


def test_a_server_that_is_gone_holds_nobody_up() -> None:
    assert work("plain", "http://127.0.0.1:1") == "True"
