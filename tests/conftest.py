"""Fixtures for every test: a real Postgres, started once, and a migrated copy per test."""

from tests.database import database, postgres_server
from tests.rows import owner, pipeline

__all__ = ["database", "owner", "pipeline", "postgres_server"]
