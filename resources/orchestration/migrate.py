"""`python -m resources.orchestration.migrate`: the schema, the mirror of models.toml, and Dagster's own tables."""

from __future__ import annotations

import sys

from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage

from resources.embedding.registry import Model, load_registry
from resources.errors import CixmlError, ConfigurationError
from resources.orchestration.storage import DRIVER
from resources.postgres.migrate import migrate
from resources.postgres.models import ModelEntry
from resources.settings import Settings


def main() -> int:
    """Migrate and say what was applied. Exit code 1 with one line when something is wrong."""
    try:
        settings = Settings.load()
        registry = load_registry(settings.embedding.models_file)
        applied = migrate(settings, [_entry(model) for model in registry.models if model.is_known_whole])
        create_dagster_tables(settings.require(settings.dagster.database_url, "CIXML_DAGSTER__DATABASE_URL"))
    except CixmlError as error:
        sys.stderr.write(f"migrate: {error.message}\n")
        return 1
    sys.stdout.write(f"migrate: {len(applied)} applied\n" + "".join(f"  {name}\n" for name in applied))
    return 0


def create_dagster_tables(url: str) -> None:
    """Create or upgrade Dagster's tables. Raises ConfigurationError on a driver that Dagster can't use.

    SQLAlchemy 2.1 picks psycopg 3 for a bare postgresql:// URL, and dagster-postgres then can't insert one event.
    """
    if not url.startswith(DRIVER):
        raise ConfigurationError(f"CIXML_DAGSTER__DATABASE_URL has to start with {DRIVER}")
    for storage in (PostgresRunStorage(url), PostgresEventLogStorage(url), PostgresScheduleStorage(url)):
        storage.upgrade()


def _entry(model: Model) -> ModelEntry:
    return ModelEntry(
        name=model.id,
        slug=model.slug,
        revision=model.revision,
        fingerprint=model.fingerprint,
        dimension=model.dimension,
        max_tokens=model.max_tokens,
        is_enabled=model.enabled,
    )


if __name__ == "__main__":
    sys.exit(main())
