"""How far a search reads its lists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from cixml_api import searching
from cixml_api.searching import QueryVector, Question, Searcher
from resources.postgres.search import Found, Hit


def hit(score: float) -> Hit:
    return Hit(
        score=score,
        chunk_id=uuid4(),
        document_id=UUID(int=1),
        url=None,
        external_id=None,
        title=None,
        text="",
        ordinal=0,
        start=0,
        end=0,
        version_id=UUID(int=2),
        fetched_at=datetime.now(UTC),
        published_at=None,
        language=None,
        metadata={},
    )


async def test_nothing_is_read_beyond_the_first_hit_under_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    depths = []

    @asynccontextmanager
    async def connected(_: Any) -> AsyncIterator[None]:
        yield None

    async def search(_: Any, *, top_k: int, **__: Any) -> Found:
        depths.append(top_k)
        return Found(hits=[hit(1 - 0.05 * place) for place in range(top_k)], candidates=100_000)

    monkeypatch.setattr(searching, "connected", connected)
    monkeypatch.setattr(searching, "search", search)
    searcher: Any = Searcher(None, embedders=[], cache=None)  # type: ignore[arg-type]
    vector = QueryVector(vector=np.zeros(1, dtype=np.float32), tokens=0, is_cached=True)
    found = await searcher._find("caller", None, Question(text="x", top_k=10, threshold=0.88), vector)
    assert found is not None
    assert [round(scored.score, 2) for scored in found[0]] == [1.0, 0.95, 0.9]
    assert depths == [11]
