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

_POLL_SECONDS = 0.2
# A program that dies this often before it was ever ready will not get ready.
_MOST_STARTS = 3
_LASTING_SECONDS = 2.0


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


def has_lasted(home: Home, name: str) -> bool:
    """Say whether a program without an address has lived long enough to have read its settings."""
    starts = _starts(home, name)
    return bool(starts) and time.time() - starts[-1] > _LASTING_SECONDS


def _starts(home: Home, name: str) -> list[float]:
    path = pids_file(home.run, name)
    return [float(line.split()[1]) for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []


def wait_for_all(
    home: Home, probes: Mapping[str, Callable[[], bool]], *, timeout_seconds: float, say: Callable[[str], None]
) -> None:
    """Poll until every program is ready. Raises StackError with the log's end of one that can't get there."""
    deadline = time.monotonic() + timeout_seconds
    waiting = dict(probes)
    while waiting:
        say(", ".join(waiting))
        waiting = {name: is_ready for name, is_ready in waiting.items() if not is_ready()}
        for name in waiting:
            if len(_starts(home, name)) >= _MOST_STARTS:
                raise StackError(_complaint(home, name, "keeps dying"))
            if time.monotonic() > deadline:
                raise StackError(_complaint(home, name, f"was not ready after {timeout_seconds:.0f} s"))
        if waiting:
            time.sleep(_POLL_SECONDS)


def _complaint(home: Home, name: str, reason: str) -> str:
    return f"{name} {reason}; the end of {home.logs / name}.log:\n{home.log_tail(name)}"
