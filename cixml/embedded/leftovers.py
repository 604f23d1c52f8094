"""Processes of this state folder whose supervisor died (kill -9): found by the environment they were started with."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil

from cixml.embedded.environment import MARK
from cixml.embedded.state import Home

_GRACE_SECONDS = 15.0


def find_leftovers(home: Home) -> list[psutil.Process]:
    """Return the living processes that a supervisor of this very folder started, and their children."""
    return [process for process in psutil.process_iter() if _belongs(process, home.root)]


def _belongs(process: psutil.Process, root: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment = process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return MARK in environment and environment.get("CIXML_HOME") == str(root)


def stop_leftovers(home: Home) -> int:
    """Ask them to end, then kill what stays. Returns how many there were."""
    found = find_leftovers(home)
    for process in found:
        _signal(process, signal.SIGINT if _is_postmaster(process) else signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
    return len(found)


def _is_postmaster(process: psutil.Process) -> bool:
    """SIGTERM would make Postgres wait for its clients."""
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
