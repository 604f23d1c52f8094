"""Fixtures for every test: a real Postgres, started once, and a migrated copy per test."""

from tests.database import database, postgres_server

__all__ = ["database", "postgres_server"]
