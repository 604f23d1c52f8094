"""The programs of the stack: their names (scripts rely on them), commands, order of start, and ways to stop."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cixml.embedded import postgres, valkey
from cixml.embedded.launch import LaunchRecord
from cixml.embedded.postgres import PostgresFolders
from resources.settings import PROJECT_ROOT

INFRASTRUCTURE = ("postgres", "redis", "embedding", "extractor")
APPLICATION = ("api", "code_server", "webserver", "daemon", "lifeline", "worker")
NAMES = INFRASTRUCTURE + APPLICATION
LOGGED = "resources.orchestration.logged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One supervised process. `account` is uid and gid to become; a bare one sees none of the stack's variables."""

    name: str
    command: tuple[str, ...]
    folder: Path = PROJECT_ROOT
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    stops_as_group: bool = True
    account: tuple[int, int] | None = None
    is_bare: bool = False
    postgres: tuple[Path, Path] | None = None

    def launch_record(self) -> LaunchRecord:
        return {
            "command": list(self.command),
            "folder": str(self.folder),
            "account": list(self.account) if self.account else None,
            "is_bare": self.is_bare,
            "postgres": [str(path) for path in self.postgres] if self.postgres else None,
        }


def postgres_program(folders: PostgresFolders) -> Program:
    """SIGINT is Postgres' fast shutdown; its backends lead groups of their own and follow the postmaster."""
    account = (folders.account.uid, folders.account.gid) if folders.account else None
    return Program(
        name="postgres",
        command=postgres.server_command(folders),
        folder=folders.data,
        stop_signal="INT",
        stop_seconds=30,
        stops_as_group=False,
        account=account,
        is_bare=True,
        postgres=(folders.data, folders.sockets),
    )


def redis_program(configuration: Path) -> Program:
    return Program(
        name="redis", command=valkey.server_command(configuration), folder=configuration.parent, is_bare=True
    )


def python_programs(values: Mapping[str, str]) -> list[Program]:
    """Return the programs written in Python, addressed by the stack's variables."""
    workspace = str(PROJECT_ROOT / "workspace.yaml")
    webserver_port = values["CIXML_DAGSTER__WEBSERVER_PORT"]
    code_server_port = values["CIXML_DAGSTER__CODE_SERVER_PORT"]
    return [
        _python("embedding", "cixml.model_server", "--host", "127.0.0.1", "--port", _embedding_port(values)),
        _python("extractor", "cixml_assets.extractor"),
        _python("api", "cixml_api"),
        # One thread for each waiting sensor, and as many for the questions of UI and daemon.
        _python(
            "code_server",
            *(LOGGED, "cixml-code-server", "dagster", "api", "grpc", "-m", "cixml_assets.definitions", "-a", "defs"),
            *("--host", "127.0.0.1", "--port", code_server_port, "--max-workers", "16"),
            stop_seconds=5,
        ),
        _python(
            "webserver",
            *(LOGGED, "cixml-webserver", "dagster_webserver"),
            *("-h", "127.0.0.1", "-p", webserver_port, "-w", workspace),
            stop_seconds=5,
        ),
        _python("daemon", LOGGED, "cixml-daemon", "dagster._daemon", "run", "-w", workspace, stop_seconds=5),
        _python("lifeline", "resources.orchestration.lifeline"),
        # Only the main process gets the signal: it lets its children finish their runs, or give them back.
        _python("worker", "resources.orchestration.worker", stop_seconds=30, stops_as_group=False),
    ]


def _python(name: str, module: str, *arguments: str, stop_seconds: int = 20, stops_as_group: bool = True) -> Program:
    command = (sys.executable, "-m", module, *arguments)
    return Program(name=name, command=command, stop_seconds=stop_seconds, stops_as_group=stops_as_group)


def _embedding_port(values: Mapping[str, str]) -> str:
    """Return the port in EMBEDDING_API_BASE_URL; the local server is started only when that is ours."""
    return values["EMBEDDING_API_BASE_URL"].rpartition(":")[2].partition("/")[0]
