"""supervisord: its configuration, its start, and a control client over its unix socket.

The programs are told to it without secrets: it starts `launch.py`, which reads the rest from the state folder.
A program counts as started at once (startsecs 0), so there is no number of failures after which it gives up; the
pause between them is `launch.restart_delay`.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import xmlrpc.client
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from cixml.embedded.environment import MARK
from cixml.embedded.files import write_atomically
from cixml.embedded.launch import PROGRAMS_FILE, pids_file
from cixml.embedded.processes import NAMES, Program
from cixml.embedded.state import Home
from resources.settings import PROJECT_ROOT

_ALREADY_STARTED, _NOT_RUNNING = 60, 70


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """What the supervisor says of one program; `pid` is None while it does not run."""

    name: str
    pid: int | None
    restarts: int


def control_socket(sockets: Path) -> Path:
    return sockets / "supervisor.sock"


def write_configuration(home: Home, sockets: Path, programs: Sequence[Program]) -> Path:
    """Write supervisord.conf and the launch records; restart counts begin anew."""
    records = {program.name: program.launch_record() for program in programs}
    write_atomically(home.run / PROGRAMS_FILE, json.dumps(records, indent=1), mode=0o600)
    for name in NAMES:
        pids_file(home.run, name).unlink(missing_ok=True)
    path = home.run / "supervisord.conf"
    text = "\n\n".join([_head(home, sockets), *(_section(home, program) for program in programs)])
    write_atomically(path, text + "\n")
    return path


def knows(home: Home, names: Collection[str]) -> bool:
    """Say whether the running supervisor has all these programs."""
    return set(json.loads((home.run / PROGRAMS_FILE).read_text(encoding="utf-8"))) >= set(names)


def _quoted(value: object) -> str:
    return str(value).replace("%", "%%")


def _head(home: Home, sockets: Path) -> str:
    as_root = "user = root\n" if os.geteuid() == 0 else ""  # says so on purpose, else it warns at each start
    return f"""[supervisord]
nodaemon = true
silent = true
logfile = {_quoted(home.logs / "supervisord.log")}
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {_quoted(home.run / "supervisord.pid")}
childlogdir = {_quoted(home.logs)}
{as_root}
[unix_http_server]
file = {_quoted(control_socket(sockets))}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface"""


def _section(home: Home, program: Program) -> str:
    as_group = "true" if program.stops_as_group else "false"
    return f"""[program:{program.name}]
command = "{_quoted(sys.executable)}" -m cixml.embedded.launch {program.name}
directory = {_quoted(PROJECT_ROOT)}
autostart = false
autorestart = true
startsecs = 0
priority = {NAMES.index(program.name) + 1}
stopsignal = {program.stop_signal}
stopwaitsecs = {program.stop_seconds}
stopasgroup = {as_group}
killasgroup = true
redirect_stderr = true
stdout_logfile = {_quoted(home.logs / program.name)}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2"""


def start(home: Home, configuration: Path, environment: Mapping[str, str]) -> int:
    """Start supervisord in a session of its own, so that Ctrl-C reaches only the command that waits for it."""
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)]
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    redirections = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(home.logs / "supervisord.out"), appending, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=redirections, setsid=True)
    write_atomically(home.supervisor_file, f"{pid}\n")
    return pid


def reap() -> None:
    """Collect the supervisor if this process started it and it has ended: a zombie keeps its pid taken."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return


def living_supervisor(home: Home) -> int | None:
    """Return the pid of this folder's supervisor if it lives; a pid taken over by another does not count."""
    try:
        pid = int(home.supervisor_file.read_text(encoding="ascii"))
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        environment = process.environ()
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return pid if MARK in environment and environment.get("CIXML_HOME") == str(home.root) else None


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket; supervisor's own transport keeps a broken connection after a failed one."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=45)  # a worker may take 30 to end
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Control:
    """Talks to a running supervisord, one connection a call. Every method may raise OSError: it may just be gone."""

    def __init__(self, sockets: Path) -> None:
        self._path = control_socket(sockets)

    def _call(self, method: str, *arguments: object, accept: int = 0) -> Any:
        """Call a method of supervisor's namespace; a fault of kind `accept` is what was wanted anyway."""
        body = xmlrpc.client.dumps(arguments, f"supervisor.{method}")  # type: ignore[arg-type]  # str, int, bool only
        connection = _UnixConnection(self._path)
        try:
            connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
            (answer,), _ = xmlrpc.client.loads(connection.getresponse().read())
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != accept:
                raise
            return None
        except http.client.HTTPException as error:
            raise ConnectionError(f"supervisord broke off: {error}") from error
        finally:
            connection.close()
        return answer

    def is_up(self) -> bool:
        """Say whether supervisord listens already."""
        try:
            return self._call("getState") is not None
        except OSError:
            return False

    def start(self, name: str) -> None:
        self._call("startProcess", name, False, accept=_ALREADY_STARTED)

    def stop(self, name: str) -> None:
        self._call("stopProcess", name, False, accept=_NOT_RUNNING)

    def stop_and_wait(self, name: str) -> None:
        """Stop a program and return once it has ended."""
        self._call("stopProcess", name, True, accept=_NOT_RUNNING)

    def shutdown(self) -> None:
        self._call("shutdown")

    def states(self, home: Home) -> list[ProcessState]:
        """Return what runs, in the order of start."""
        answer = cast(list[dict[str, Any]], self._call("getAllProcessInfo"))
        found = [
            ProcessState(name=info["name"], pid=info["pid"] or None, restarts=count_restarts(home, info["name"]))
            for info in answer
        ]
        return sorted(found, key=lambda state: NAMES.index(state.name))


def count_restarts(home: Home, name: str) -> int:
    """Return how often a program was started again since the supervisor's start."""
    path = pids_file(home.run, name)
    return max(0, len(path.read_text(encoding="ascii").splitlines()) - 1) if path.exists() else 0
