"""A real Postgres for tests: one server a session, migrated once into a template, one copy a test.

    from tests.database import database, postgres_server  # noqa: F401  # fixtures

`database.settings()` has the three logins' URLs. Nothing is kept: fsync is off and the folder goes at the end.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg import sql

from cixml.embedded import postgres
from cixml.embedded.state import Home, load_kept, settle_ports
from resources.embedding.registry import Model, load_registry
from resources.postgres.migrate import migrate
from resources.postgres.models import ModelEntry
from resources.settings import Settings
from tests.folders import server_folder

START_SECONDS = 30.0
TEMPLATE = "cixml"
PEPPER = "pepper of the tests"

_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Database:
    """One migrated database. The logins are the product's own: owner, api and pipeline."""

    name: str
    owner_url: str
    api_url: str
    pipeline_url: str

    def settings(self, **overrides: Any) -> Settings:
        """Return settings that point here; `api` and other groups may be overridden as dicts."""
        api = {"database_url": self.api_url, "key_pepper": PEPPER} | overrides.pop("api", {})
        return Settings.load(
            database_url=self.owner_url, api=api, pipeline={"database_url": self.pipeline_url}, **overrides
        )


class PostgresServer:
    """The embedded server in a folder of its own. `stop()` and `start()` keep the port and the data."""

    def __init__(self) -> None:
        self._root = server_folder("cixml-test-")
        self._home = Home(self._root)
        self._home.make_folders()
        sockets = self._root / "sockets"
        sockets.mkdir()
        sockets.chmod(0o711)  # Postgres may run under a uid that the private folders are closed to
        self._kept = settle_ports(load_kept(self._home)).model_copy(update={"sockets": sockets})
        self._folders = postgres.locate(self._home, self._kept)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        postgres.prepare_data(self._folders, self._kept)
        with (self._folders.data / "cixml.conf").open("a", encoding="utf-8") as file:
            file.write("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off\n")
        account = self._folders.account
        rights: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
        with (self._root / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                postgres.server_command(self._folders), cwd=self._folders.data, stdout=log, stderr=log, **rights
            )
        deadline = time.monotonic() + START_SECONDS
        while not postgres.is_ready(self._folders, self._kept):
            assert self._process.poll() is None, (self._root / "postgres.log").read_text()
            assert time.monotonic() < deadline, "Postgres does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown: sessions are cut off
            self._process.wait()
            self._process = None

    def bootstrap(self) -> None:
        """Make the owner and the template database, migrated."""
        postgres.bootstrap(self._folders, self._kept)
        migrate(self.database(TEMPLATE).settings(), [model_entry(default_model())])

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._root, ignore_errors=True)
        if self._root not in self._folders.data.parents:
            shutil.rmtree(self._folders.data.parent, ignore_errors=True)

    @property
    def superuser_url(self) -> str:
        return self._url("postgres", self._kept.superuser_password, "postgres")

    def database(self, name: str) -> Database:
        return Database(
            name=name,
            owner_url=self._url("cixml_owner", self._kept.owner_password, name),
            api_url=self._url("cixml_api_login", self._kept.api_password, name),
            pipeline_url=self._url("cixml_pipeline_login", self._kept.pipeline_password, name),
        )

    def _url(self, user: str, password: str, name: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self._kept.ports['postgres']}/{name}"


def default_model() -> Model:
    settings = Settings.load()
    return load_registry(settings.embedding.models_file).get("all-MiniLM-L6-v2")


def model_entry(model: Model) -> ModelEntry:
    return ModelEntry(
        name=model.id,
        slug=model.slug,
        revision=model.revision,
        fingerprint=model.fingerprint,
        dimension=model.dimension,
        max_tokens=model.max_tokens,
        is_enabled=True,
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        server.bootstrap()
        yield server
    finally:
        server.remove()


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A copy of the template, dropped afterwards."""
    found = postgres_server.database(f"test_{next(_numbers)}")
    name, template = sql.Identifier(found.name), sql.Identifier(TEMPLATE)
    with psycopg.connect(postgres_server.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER cixml_owner STRATEGY file_copy").format(name, template)
        )
    try:
        yield found
    finally:
        with psycopg.connect(postgres_server.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
