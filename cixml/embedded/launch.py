"""Start one program of the stack: `python -m cixml.embedded.launch NAME`, run by the supervisor, replaced by exec.

It counts the start, slows a program down that dies again and again, drops rights and stray variables, and execs.
So the program has the pid the supervisor knows. Light on purpose: it runs before each start.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TypedDict, cast

PROGRAMS_FILE = "programs.json"
_BARE = ("CIXML_HOME", "CIXML_SUPERVISED", "PATH", "LANG", "TMPDIR")
_WINDOW_SECONDS = 60.0
_LONGEST_DELAY_SECONDS = 8.0


class LaunchRecord(TypedDict):
    """One program, as the start wrote it. `account` is uid and gid; `is_bare` keeps the stack's secrets from it."""

    command: list[str]
    folder: str
    account: list[int] | None
    is_bare: bool
    postgres: list[str] | None


def pids_file(run: Path, name: str) -> Path:
    """Return the file that gets a line `pid time` at each start of a program."""
    return run / f"{name}.pids"


def restart_delay(starts: list[float], now: float) -> float:
    """Return the seconds to wait: none for two restarts within a minute, then doubling up to eight seconds."""
    recent = sum(1 for start in starts if now - start < _WINDOW_SECONDS)
    return 0.0 if recent < 3 else float(min(0.5 * 2 ** (recent - 3), _LONGEST_DELAY_SECONDS))


def _record_start(path: Path) -> list[float]:
    """Add this start, return the times of those before."""
    earlier = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    with path.open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()} {time.time():.3f}\n")
    return [float(line.split()[1]) for line in earlier]


def _become(account: list[int]) -> None:
    os.setgroups([])
    os.setgid(account[1])
    os.setuid(account[0])


def main(name: str) -> None:
    run = Path(os.environ["CIXML_HOME"]) / "run"
    record = cast(LaunchRecord, json.loads((run / PROGRAMS_FILE).read_text(encoding="utf-8"))[name])
    starts = _record_start(pids_file(run, name))
    time.sleep(restart_delay(starts, time.time()))
    if record["postgres"]:
        # psutil is a cost that only this program should pay at each start.
        from cixml.embedded.postgres_lock import clear_stale_lock

        clear_stale_lock(*map(Path, record["postgres"]))
    os.chdir(record["folder"])
    if record["account"]:
        _become(record["account"])
    environment = {key: os.environ[key] for key in _BARE if key in os.environ} if record["is_bare"] else os.environ
    os.execve(record["command"][0], record["command"], environment)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1])
