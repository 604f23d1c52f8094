"""Fixtures for every test: a real Postgres, started once, and a migrated copy per test."""

from tests.database import database, postgres_server
from tests.places import places
from tests.rows import owner, pipeline

__all__ = ["database", "owner", "pipeline", "places", "postgres_server"]
