"""When a program of the stack is ready to be used by the next one."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from cixml.embedded.errors import StackError
from cixml.embedded.launch import pids_file
from cixml.embedded.state import Home

_POLL_SECONDS = 0.1
# A program that dies this often before it was ever ready will not get ready.
_MOST_STARTS = 4


def answers_http(url: str) -> bool:
    """Say whether a GET answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own loopback addresses
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def takes_connections(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def takes_unix_connections(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        return client.connect_ex(str(path)) == 0


def application_probes(values: Mapping[str, str]) -> dict[str, Callable[[], bool]]:
    """Return what to ask of each Python program; those without an address are ready when they run."""
    port = {name: int(values[name]) for name in values if name.endswith("_PORT") or name.endswith("__PORT")}
    return {
        "embedding": lambda: answers_http(values["EMBEDDING_API_BASE_URL"].removesuffix("/v1") + "/health"),
        "extractor": lambda: takes_unix_connections(Path(values["CIXML_EXTRACTOR__SOCKET"])),
        "code_server": lambda: takes_connections("127.0.0.1", port["CIXML_DAGSTER__CODE_SERVER_PORT"]),
        "webserver": lambda: takes_connections("127.0.0.1", port["CIXML_DAGSTER__WEBSERVER_PORT"]),
        "api": lambda: answers_http(f"http://127.0.0.1:{port['CIXML_API__PORT']}/readyz"),
    }


def wait_for(home: Home, name: str, is_ready: Callable[[], bool], *, timeout_seconds: float) -> None:
    """Poll until a program is ready. Raises StackError with the end of its log when it can't get there."""
    deadline = time.monotonic() + timeout_seconds
    while not is_ready():
        starts = pids_file(home.run, name)
        died_often = starts.exists() and len(starts.read_text(encoding="ascii").splitlines()) >= _MOST_STARTS
        if died_often or time.monotonic() > deadline:
            reason = "keeps dying" if died_often else f"was not ready after {timeout_seconds:.0f} s"
            raise StackError(f"{name} {reason}; the end of {home.logs / name}.log:\n{home.log_tail(name)}")
        time.sleep(_POLL_SECONDS)
