"""What the stack of a state folder is doing, in the shape scripts rely on (`cixml status --json`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum

from cixml.embedded import supervisor
from cixml.embedded.environment import read_env_file
from cixml.embedded.state import Home, load_kept
from cixml.embedded.supervisor import ProcessState


class StackState(StrEnum):
    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """`running` means: it became ready once and every process runs now. Addresses are null before the first start."""

    state: StackState
    api_url: str | None
    metrics_url: str | None
    dagster_url: str | None
    database_url: str | None
    redis_url: str | None
    embedding_url: str | None
    supervisor_pid: int | None
    processes: list[ProcessState] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def read_status(home: Home) -> StackStatus:
    """Look at the supervisor and the addresses of the last start."""
    pid = supervisor.living_supervisor(home)
    processes = _processes(home) if pid else []
    values = read_env_file(home)
    return StackStatus(
        state=_state(home, pid, processes),
        api_url=_local(values.get("CIXML_API__PORT")),
        metrics_url=_local(values.get("CIXML_API__METRICS_PORT"), "/metrics"),
        dagster_url=_local(values.get("CIXML_DAGSTER__WEBSERVER_PORT")),
        database_url=values.get("DATABASE_URL"),
        redis_url=values.get("REDIS_URL"),
        embedding_url=values.get("EMBEDDING_API_BASE_URL"),
        supervisor_pid=pid,
        processes=processes,
    )


def _processes(home: Home) -> list[ProcessState]:
    sockets = load_kept(home).sockets
    try:
        return supervisor.Control(sockets).states(home) if sockets else []
    except OSError:  # the supervisor is just starting or stopping
        return []


def _state(home: Home, pid: int | None, processes: list[ProcessState]) -> StackState:
    if pid is None:
        return StackState.STOPPED
    is_whole = bool(processes) and all(process.pid for process in processes)
    return StackState.RUNNING if is_whole and home.ready_file.exists() else StackState.STARTING


def _local(port: str | None, path: str = "") -> str | None:
    return f"http://127.0.0.1:{port}{path}" if port else None
