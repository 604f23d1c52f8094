"""The lock files a killed Postgres leaves behind, and when they may go.

Postgres removes a lock whose pid is dead. It can't tell when that pid is a zombie nobody reaps (pid 1 of many
containers) or belongs by now to another process. Those two cases are ours; all others are left to Postgres, because
its lock also guards against backends of a dead postmaster that still write.
"""

from __future__ import annotations

import time
from pathlib import Path

import psutil

_WAIT_SECONDS = 10.0


def clear_stale_lock(data: Path, sockets: Path) -> None:
    """Remove `postmaster.pid` and the socket's lock if their pid is no postmaster of this data folder."""
    for lock in [data / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock")]:
        pid = _read_pid(lock)
        if pid and psutil.pid_exists(pid) and not _is_postmaster(pid, data) and _is_deserted(data):
            lock.unlink(missing_ok=True)


def _read_pid(lock: Path) -> int | None:
    try:
        return int(lock.read_text(encoding="ascii").splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _is_postmaster(pid: int, data: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(data) in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _is_deserted(data: Path) -> bool:
    """Wait until no process works in the data folder: backends end by themselves when their postmaster is gone."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if not any(_works_in(process, data) for process in psutil.process_iter()):
            return True
        time.sleep(0.1)
    return False


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.name() == "postgres" and process.cwd() == str(data)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
