"""Brings the database to head: roles, migrations, the mirror of models.toml and its vector relations.

Migrations are plain SQL files, `NNNN_verb_object.sql`, applied in order, each in its own transaction, never edited
after merge (their checksum is stored). The lock is polled: a runner blocked in pg_advisory_lock would deadlock with a
concurrent index build.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import Connection

from resources.errors import ConfigurationError, DatabaseUnavailableError
from resources.postgres import roles, vector_relations
from resources.postgres.models import ModelEntry, mirror_models
from resources.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x6369786D6C  # "cixml"
LOCK_WAIT_SECONDS = 60.0
MINIMUM_PGVECTOR = (0, 8, 4)  # before it, vacuum may corrupt an HNSW index


def migrate(settings: Settings, models: list[ModelEntry]) -> list[str]:
    """Bring the database to head and return the names of the migrations applied now. Idempotent."""
    url = settings.require(settings.database_url, "DATABASE_URL")
    try:
        with psycopg.connect(url, autocommit=True) as connection, _locked(connection):
            prepare_server(connection, settings)
            applied = apply_migrations(connection)
            with connection.transaction():
                for row in mirror_models(connection, models):
                    vector_relations.ensure(connection, relation=row.relation, dimension=row.dimension)
            return applied
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(f"DATABASE_URL: {error}") from error
    except psycopg.Error as error:
        raise ConfigurationError(f"DATABASE_URL: the database refuses a step of the migration: {error}") from error


def prepare_server(connection: Connection[tuple[object, ...]], settings: Settings) -> None:
    """Make what a schema stands on: pgvector, the roles its grants name, and Dagster's database. Idempotent."""
    api_url = settings.require(settings.api.database_url, "CIXML_API__DATABASE_URL")
    pipeline_url = settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL")
    _ensure_pgvector(connection)
    roles.ensure_groups(connection)
    roles.ensure_login(connection, api_url, group=roles.API_GROUP)
    roles.ensure_login(connection, pipeline_url, group=roles.PIPELINE_GROUP)
    if settings.dagster.database_url is not None:
        roles.ensure_database(connection, settings.dagster.database_url.get_secret_value())


def apply_migrations(connection: Connection[tuple[object, ...]]) -> list[str]:
    """Apply what is missing, in order. Raises ConfigurationError when an applied file was edited."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS cixml")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS cixml.schema_migrations "
        "(name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = connection.execute("SELECT name, checksum FROM cixml.schema_migrations").fetchall()
    known = {str(name): str(checksum) for name, checksum in rows}
    applied, here = [], checksums()
    for path in migration_files():
        checksum = here[path.name]
        if path.name in known:
            if known[path.name] != checksum:
                raise ConfigurationError(
                    f"{path.name} was edited after it was applied: restore it, add a new migration"
                )
            continue
        with connection.transaction():
            connection.execute(path.read_bytes())
            connection.execute(
                "INSERT INTO cixml.schema_migrations (name, checksum) VALUES (%s, %s)", [path.name, checksum]
            )
        applied.append(path.name)
    connection.execute("GRANT SELECT ON cixml.schema_migrations TO cixml_api, cixml_pipeline")
    return applied


def checksums() -> dict[str, str]:
    """Return the checksum of each migration that this version has."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in migration_files()}


def migration_files() -> list[Path]:
    """Return the migration files in the order they apply."""
    return sorted(MIGRATIONS.glob("[0-9]*.sql"))


@contextmanager
def _locked(connection: Connection[tuple[object, ...]]) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while not _scalar(connection, "SELECT pg_try_advisory_lock(%s)", LOCK_KEY):
        if time.monotonic() > deadline:
            raise DatabaseUnavailableError("another 'migrate' holds the lock for over a minute")
        time.sleep(0.2)
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])


def _ensure_pgvector(connection: Connection[tuple[object, ...]]) -> None:
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError("pgvector is missing: let a superuser run CREATE EXTENSION vector") from error
    except psycopg.errors.FeatureNotSupported as error:
        raise ConfigurationError("this Postgres has no pgvector: install pgvector 0.8.4 or newer") from error
    version = str(_scalar(connection, "SELECT extversion FROM pg_extension WHERE extname = %s", "vector"))
    if tuple(int(part) for part in version.split(".")) < MINIMUM_PGVECTOR:
        raise ConfigurationError(f"pgvector {version} is too old: ALTER EXTENSION vector UPDATE to 0.8.4 or newer")


def _scalar(connection: Connection[tuple[object, ...]], statement: str, value: object) -> object:
    row = connection.execute(statement.encode(), [value]).fetchone()
    return row[0] if row else None
