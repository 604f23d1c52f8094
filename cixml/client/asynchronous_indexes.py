"""Index versions for asyncio. `synchronous_indexes` is made from this: see generate.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from cixml.client.core import changing, path_of, read, reading, starting, without_none
from cixml.client.index_types import IndexVersionDetail, IndexVersionList, LabelList, LabelRecord

if TYPE_CHECKING:
    from cixml.client.asynchronous import AsyncClient


class AsyncIndexVersions:
    """Other indexes of a corpus: by another model, cut another way, or built anew; beside the one that serves."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        corpus: str,
        *,
        model: str | None = None,
        source: Literal["chunks", "text", "raw"] = "chunks",
        max_tokens: int | None = None,
        overlap_tokens: int | None = None,
        strategy: str | None = None,
        activate: Literal["manual", "auto"] = "manual",
        idempotency_key: str | None = None,
    ) -> IndexVersionDetail:
        """Ask for one. Nothing is fetched: it is made of the chunks, the texts or the bytes (`raw`) that are stored."""
        chunking = without_none(max_tokens=max_tokens, overlap_tokens=overlap_tokens, strategy=strategy)
        body = without_none(model=model, chunking=chunking or None) | {"from": source, "activate": activate}
        call = starting("POST", path_of("corpora", corpus, "index-versions"), idempotency_key, body)
        return read(IndexVersionDetail, await self._client.send(call))

    async def list(self, corpus: str) -> Sequence[IndexVersionDetail]:
        """Return all of a corpus, the oldest first."""
        answer = await self._client.send(reading(path_of("corpora", corpus, "index-versions")))
        return read(IndexVersionList, answer).content

    async def get(self, corpus: str, version_id: str) -> IndexVersionDetail:
        answer = await self._client.send(reading(path_of("corpora", corpus, "index-versions", version_id)))
        return read(IndexVersionDetail, answer)

    async def activate(self, corpus: str, version_id: str, *, force: bool = False) -> IndexVersionDetail:
        """Let one serve that is `ready`, or that was replaced a while ago; it takes over within seconds.

        One that was found worse than what serves is refused (409), unless it is forced.
        """
        path = path_of("corpora", corpus, "index-versions", version_id, "activate")
        return read(
            IndexVersionDetail, await self._client.send(changing("POST", path, {"force": force}, is_repeatable=True))
        )

    async def delete(self, corpus: str, version_id: str) -> IndexVersionDetail:
        """Give one up that does not serve."""
        path = path_of("corpora", corpus, "index-versions", version_id)
        return read(IndexVersionDetail, await self._client.send(changing("DELETE", path, is_repeatable=True)))

    async def put_labels(self, corpus: str, labels: Mapping[str, Sequence[str]]) -> Sequence[LabelRecord]:
        """Say which documents (URLs, external ids, ids) answer which questions, in place of what was said before."""
        body = {"labels": [{"query": query, "relevant": [*relevant]} for query, relevant in labels.items()]}
        call = changing("PUT", path_of("corpora", corpus, "labels"), body, is_repeatable=True)
        return read(LabelList, await self._client.send(call)).content

    async def labels(self, corpus: str) -> Sequence[LabelRecord]:
        return read(LabelList, await self._client.send(reading(path_of("corpora", corpus, "labels")))).content

    async def wait(
        self, corpus: str, version_id: str, *, timeout_seconds: float = 3600.0, look_seconds: float = 0.5
    ) -> IndexVersionDetail:
        """Return it once it stands still: ready, serving, or given up. Raises TimeoutError."""
        until = time.monotonic() + timeout_seconds
        while not (version := await self.get(corpus, version_id)).is_settled:
            if time.monotonic() > until:
                raise TimeoutError(f"{version_id} is {version.state} after {timeout_seconds} s")
            await asyncio.sleep(look_seconds)
        return version
