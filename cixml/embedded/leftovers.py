"""Processes of this state folder whose supervisor died (kill -9).

They are known by the environment they were started with; servers that write their title over it (Valkey, Postgres)
by the pid and time that `launch.py` recorded.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import psutil

from cixml.embedded.environment import MARK
from cixml.embedded.state import Home

_GRACE_SECONDS = 5.0  # daemon and code server would wait for their listening sensors, half a minute
_SERVER_GRACE_SECONDS = 15.0
_SERVERS = ("postgres", "valkey-server")
_CLOCK_SECONDS = 3.0  # a pid used again has another time of birth


def find_leftovers(home: Home) -> list[psutil.Process]:
    """Return the living processes that a supervisor of this very folder started, and their children."""
    launched = _launched(home)
    return [process for process in psutil.process_iter() if _belongs(process, home.root, launched)]


def _launched(home: Home) -> dict[int, float]:
    """Return the pids that were started here and when."""
    lines = [line.split() for path in home.run.glob("*.pids") for line in path.read_text(encoding="ascii").splitlines()]
    return {int(pid): float(started) for pid, started in lines}


def _belongs(process: psutil.Process, root: Path, launched: Mapping[int, float]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if abs(launched.get(process.pid, 0.0) - process.create_time()) < _CLOCK_SECONDS:
            return True
        environment = process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return MARK in environment and environment.get("CIXML_HOME") == str(root)


def stop_leftovers(home: Home) -> int:
    """Ask them to end, then kill what stays; the servers last, or the others would wait for them to come back.

    Returns how many there were.
    """
    found = find_leftovers(home)
    servers = [process for process in found if _name(process) in _SERVERS]
    others = [process for process in found if process not in servers]
    for group, grace_seconds in ((others, _GRACE_SECONDS), (servers, _SERVER_GRACE_SECONDS)):
        for process in group:
            # SIGTERM would make Postgres wait for its clients.
            _signal(process, signal.SIGINT if _name(process) == "postgres" else signal.SIGTERM)
        _, alive = psutil.wait_procs(group, timeout=grace_seconds)
        for process in alive:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=grace_seconds)
    return len(found)


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
