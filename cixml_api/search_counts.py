"""Searches for the usage table: counted in memory, written beside the requests, so that no search waits for a write.

A process that is killed loses the searches of its last second; one that is stopped loses none. A connection that breaks
while they are committed may count those of a second twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import NamedTuple

from cixml_api.every_second import EverySecond
from resources.errors import DatabaseUnavailableError
from resources.postgres.corpora import CorpusKey
from resources.postgres.pool import Pool, connected
from resources.postgres.usage import SearchCount, count_searches

MOST_AT_ONCE = 1000
_log = logging.getLogger("cixml.api")


class _Key(NamedTuple):
    caller_id: str
    day: date
    corpus: CorpusKey
    model: str


class SearchCounts:
    """Counts on their way to the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._searches: Counter[_Key] = Counter()
        self._tokens: Counter[_Key] = Counter()
        self._writing = asyncio.Lock()
        self._writer = EverySecond("count of searches", self.flush)

    def add(self, *, caller_id: str, corpus: CorpusKey, model: str, tokens: int) -> None:
        """Count a search that was answered. Costs no wait."""
        key = _Key(caller_id, datetime.now(UTC).date(), corpus, model)
        self._searches[key] += 1
        self._tokens[key] += tokens

    def start(self) -> None:
        """Begin to write, on the running loop."""
        self._writer.start()

    async def close(self) -> None:
        """Write what is left and end."""
        await self._writer.stop()
        try:
            await self.flush()
        except DatabaseUnavailableError as error:
            _log.error("%d searches are not counted: %s", self._searches.total(), error)

    async def flush(self) -> None:
        """Write what has come in until now. Raises DatabaseUnavailableError; nothing is dropped then."""
        async with self._writing:
            while keys := list(self._searches)[:MOST_AT_ONCE]:
                counts = self._take(keys)
                try:
                    async with connected(self._pool) as connection:
                        await count_searches(connection, counts)
                except BaseException:
                    for key, count in zip(keys, counts, strict=True):
                        self._searches[key] += count.searches
                        self._tokens[key] += count.tokens
                    raise

    def _take(self, keys: Iterable[_Key]) -> list[SearchCount]:
        return [
            SearchCount(
                caller_id=key.caller_id,
                day=key.day,
                corpus_owner=key.corpus.owner,
                corpus=key.corpus.name,
                model=key.model,
                searches=self._searches.pop(key),
                tokens=self._tokens.pop(key),
            )
            for key in keys
        ]
