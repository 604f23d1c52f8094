"""The state folder (CIXML_HOME): where things lie, and the passwords and ports that are chosen once and kept.

`state.json` is the memory of this module (0600). `cixml.env` (0600) is what the running stack uses, written anew at
each start by `environment.py`; `resources.settings` reads it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from pydantic import BaseModel, Field

from cixml.embedded.files import write_atomically
from cixml.embedded.ports import choose_port, is_free

PORT_NAMES = ("postgres", "redis", "embedding", "api", "metrics", "webserver", "code_server", "sample")
_LONGEST_SOCKET_FOLDER = 70  # a socket path may have 107 bytes; names below take up to 30


def _secret() -> str:
    return secrets.token_urlsafe(24)


class Kept(BaseModel):
    """What survives a restart. Changing a password here changes it in the server at the next start."""

    superuser_password: str = Field(default_factory=_secret)
    owner_password: str = Field(default_factory=_secret)
    api_password: str = Field(default_factory=_secret)
    pipeline_password: str = Field(default_factory=_secret)
    dagster_password: str = Field(default_factory=_secret)
    redis_password: str = Field(default_factory=_secret)
    embedding_key: str = Field(default_factory=_secret)
    key_pepper: str = Field(default_factory=_secret)
    ports: dict[str, int] = {}
    sockets: Path | None = None


class Home:
    """Paths below one state folder, made absolute so that children in another folder find them."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.state_file = self.root / "state.json"
        self.env_file = self.root / "cixml.env"
        self.keys_file = self.root / "keys.json"
        self.local_key_file = self.root / "local.key"
        self.postgres = self.root / "postgres"
        self.valkey = self.root / "valkey"
        self.dagster = self.root / "dagster"
        self.logs = self.root / "logs"
        self.run = self.root / "run"
        self.metrics = self.root / "metrics"
        self.lock_file = self.run / "up.lock"
        self.ready_file = self.run / "ready"
        self.supervisor_file = self.run / "supervisor.pid"

    def make_folders(self) -> None:
        """Create the folders, private ones: logs and the stores name addresses of pages.

        The root and Postgres' own are passable for the uid it runs under; secrets are 0600 themselves.
        """
        passable = (self.root, self.postgres)
        for folder in (*passable, self.valkey, self.dagster, self.logs, self.run, self.metrics):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711 if folder in passable else 0o700)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """Return the last lines of a process's log, or a word saying that there is none."""
        path = self.logs / f"{name}.log"
        if not path.exists():
            return "(no log yet)"
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def load_kept(home: Home) -> Kept:
    """Return the kept state, made and stored now if this folder is new."""
    if home.state_file.exists():
        return Kept.model_validate_json(home.state_file.read_text(encoding="utf-8"))
    kept = Kept()
    save_kept(home, kept)
    return kept


def save_kept(home: Home, kept: Kept) -> None:
    write_atomically(home.state_file, kept.model_dump_json(indent=1))


def settle_ports(kept: Kept) -> Kept:
    """Keep the ports that are still free and choose the others. Call it only while the stack is down."""
    ports: dict[str, int] = {}
    for name in PORT_NAMES:
        port = kept.ports.get(name)
        ports[name] = port if port and is_free(port) else choose_port(ports.values())
    return kept.model_copy(update={"ports": ports})


def settle_sockets(kept: Kept) -> Kept:
    """Return the state with a short folder for unix sockets that exists and is ours."""
    if kept.sockets and kept.sockets.is_dir() and kept.sockets.stat().st_uid == os.geteuid():
        return kept
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="cixml-", dir=parent if len(parent) < _LONGEST_SOCKET_FOLDER else "/tmp"))  # noqa: S108  # the one short folder every Unix has
    folder.chmod(0o711)
    return kept.model_copy(update={"sockets": folder})
