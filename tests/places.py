"""Installations for tests of backup, restore and upgrade: state folders and pairs of databases on the test's Postgres.

from tests.places import Places, places  # noqa: F401  # fixture
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from cixml.backup.make import make_backup
from cixml.backup.manifest import Manifest
from cixml.backup.restore import restore_backup
from cixml.embedded.state import Home
from tests.database import PEPPER, Database, PostgresServer

LOGIN = "cixml_dagster_login"
SHAPE = {
    "indices": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'cixml'",
    "policies": "SELECT tablename, policyname, roles::text, qual FROM pg_policies WHERE schemaname = 'cixml'",
    "row-level security": "SELECT relname, relrowsecurity, relforcerowsecurity, relacl::text, relowner::regrole::text, "
    "reloptions::text FROM pg_class WHERE relnamespace = 'cixml'::regnamespace AND relkind = 'r'",
    "columns": "SELECT c.relname, a.attname, a.attstorage FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "WHERE c.relnamespace = 'cixml'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped",
    "functions": "SELECT proname, prosecdef, proacl::text, proconfig::text, md5(prosrc) FROM pg_proc "
    "WHERE pronamespace = 'cixml'::regnamespace",
    "constraints": "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'cixml'::regnamespace",
    "migrations": "SELECT name, checksum FROM cixml.schema_migrations",
}
_folders = count(1)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A state folder and a pair of databases that the environment names."""

    home: Home
    database: Database

    @property
    def keys(self) -> Path:
        return self.home.root / "keys.json"


class Places:
    """Makes installations on the test's server, and says which of them the commands mean."""

    def __init__(self, server: PostgresServer, environment: pytest.MonkeyPatch, root: Path) -> None:
        self._server, self._environment, self._root = server, environment, root
        self.made: list[str] = []

    def new(self) -> Installation:
        """Make an empty database, as an administrator gives it to the owner."""
        database = self._server.database(f"empty_{next(_folders)}")
        self._as_superuser(
            "postgres", sql.SQL("CREATE DATABASE {} OWNER cixml_owner").format(sql.Identifier(database.name))
        )
        self._as_superuser(database.name, sql.SQL("CREATE EXTENSION vector"))
        self.made.append(database.name)
        return self.at(database)

    def at(self, database: Database) -> Installation:
        home = Home(self._root / database.name)
        home.make_folders()
        self.made.append(f"{database.name}_dagster")
        return Installation(home=home, database=database)

    def choose(self, place: Installation) -> None:
        """Let the environment name it, as an SRE's shell would."""
        dagster = place.database.owner_url.replace("postgresql://", "postgresql+psycopg2://")
        user = dagster.partition("//")[2].partition("@")[0]
        for name, value in {
            "CIXML_HOME": str(place.home.root),
            "DATABASE_URL": place.database.owner_url,
            "CIXML_API__DATABASE_URL": place.database.api_url,
            "CIXML_PIPELINE__DATABASE_URL": place.database.pipeline_url,
            "CIXML_DAGSTER__DATABASE_URL": dagster.replace(user, f"{LOGIN}:secret") + "_dagster",
            "CIXML_API__KEY_PEPPER": PEPPER,
            "REDIS_URL": "redis://127.0.0.1:1/0",
        }.items():
            self._environment.setenv(name, value)

    def remove(self) -> None:
        for name in self.made:
            self._as_superuser(
                "postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _as_superuser(self, database: str, statement: sql.Composed | sql.SQL) -> None:
        url = self._server.superuser_url.rpartition("/")[0] + f"/{database}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture
def places(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Places]:
    found = Places(postgres_server, monkeypatch, tmp_path)
    yield found
    found.remove()


def back_up(place: Installation, folder: Path) -> Manifest:
    return make_backup(place.home, folder, jobs=2, say=lambda _: None)


def restore(place: Installation, folder: Path, *, overwrite: bool = False) -> list[str]:
    return restore_backup(place.home, folder, overwrite=overwrite, jobs=2, say=lambda _: None)


def shape(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url) as connection:
        return {name: sorted(connection.execute(query.encode()).fetchall(), key=str) for name, query in SHAPE.items()}
