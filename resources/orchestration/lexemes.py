"""Keeps what keyword search needs beside the pipeline: lexemes of chunk sets that were stored without, and counts.

A part of lifeline, on a thread and a connection of its own, a slice in each transaction.
"""

from __future__ import annotations

import threading
import time

from resources.orchestration.aside import Aside
from resources.postgres import lexemes
from resources.postgres.database import Database
from resources.settings import Settings

LIMITS = "-c statement_timeout=60s -c lock_timeout=1s"
CHUNKS_AT_ONCE = 500
REST_SECONDS = 10.0


class LexemeKeeper:
    """`step_aside` does on the thread what there is to do, then rests."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(
            settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL"), options=LIMITS
        )
        self._is_over = threading.Event()
        self._rests_until = 0.0
        self._aside = Aside("cixml-lexemes")

    def step_aside(self) -> None:
        """Go on, unless that is under way or rests. Raises what the pass before raised."""
        self._aside.do(self._keep)

    def step(self) -> bool:
        """Do one slice, in one transaction; False when there was nothing to do."""
        with self._database.transaction() as connection:
            return lexemes.fill_in(connection, limit=CHUNKS_AT_ONCE) > 0 or lexemes.count_next(connection)

    def close(self) -> None:
        """End the thread and its connection; a slice under way goes on to its end."""
        self._is_over.set()
        self._aside.close()
        self._database.close()

    def _keep(self) -> None:
        if time.monotonic() < self._rests_until:
            return
        while not self._is_over.is_set() and self.step():
            pass
        self._rests_until = time.monotonic() + REST_SECONDS
