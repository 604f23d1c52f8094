"""What lifeline notes for /metrics: the state of Dagster's database, which the API has no login for, and orphans.

On a thread and connections of its own. Numbers of Dagster are believed for a minute; orphans are counted every hour,
since that reads more than a scrape may, and believed for three.
"""

from __future__ import annotations

import time

from resources.errors import DatabaseUnavailableError
from resources.orchestration.aside import Aside
from resources.postgres import state
from resources.postgres.database import Database
from resources.postgres.state import StateNumber
from resources.settings import Settings
from resources.telemetry import attributes as names

LIMITS = "-c statement_timeout=60s"
DAGSTER = "dagster"
NOTE_SECONDS = 4.0
VALID_SECONDS = 60.0
ORPHANS_SECONDS = 3600.0
ORPHANS_VALID_SECONDS = 3 * ORPHANS_SECONDS


class StateNotes:
    """Notes at a `step_aside`, if the last note is old enough."""

    def __init__(self, settings: Settings) -> None:
        url = settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL")
        self._database = Database(url, options=LIMITS)
        self._dagster = Database(settings.dagster_libpq_url(), options=LIMITS, has_vectors=False)
        self._aside = Aside("cixml-state-notes")
        self._noted_at = self._counted_at = float("-inf")

    def step_aside(self) -> None:
        """Note on the thread. Raises what the note before raised."""
        if time.monotonic() - self._noted_at > NOTE_SECONDS:
            self._noted_at = time.monotonic()
            self._aside.do(self.note)

    def note(self) -> None:
        """Note the state of Dagster's database, or that it does not answer; now and then the orphans."""
        numbers = self._ask_dagster()
        with self._database.transaction() as connection:
            state.note(connection, numbers, valid_seconds=VALID_SECONDS)
        if time.monotonic() - self._counted_at > ORPHANS_SECONDS:
            with self._database.transaction() as connection:
                state.note(connection, state.orphans(connection), valid_seconds=ORPHANS_VALID_SECONDS)
            self._counted_at = time.monotonic()

    def close(self) -> None:
        self._aside.close()
        self._database.close()
        self._dagster.close()

    def _ask_dagster(self) -> list[StateNumber]:
        try:
            with self._dagster.session() as connection:
                found = state.dagster_numbers(connection)
        except DatabaseUnavailableError:
            return [StateNumber(metric=names.UP, label=DAGSTER, number=0)]
        return [*found, StateNumber(metric=names.UP, label=DAGSTER, number=1)]
