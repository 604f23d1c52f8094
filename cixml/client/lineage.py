"""The passport of a hit, as the API answers it."""

from __future__ import annotations

from datetime import datetime

from cixml.client.base import Answer
from cixml.client.types import Offsets, RobotsRecord


class PageOrigin(Answer):
    """The page as it came. Of a pushed text there is no server."""

    snapshot: str
    sha256: str
    bytes: int
    final_url: str | None
    http_status: int | None
    content_type: str
    charset: str | None
    etag: str | None
    last_modified: str | None
    fetched_at: datetime
    robots: RobotsRecord | None
    job_id: str | None
    item_id: str | None
    run_id: str | None


class TextOrigin(Answer):
    extractor: str | None
    text_sha256: str | None
    coverage: float | None
    language: str | None


class ChunkOrigin(Answer):
    """How the text was cut; `offsets` lead from the text layer to the chunk."""

    ordinal: int
    offsets: Offsets
    heading: str | None
    token_count: int
    text_sha256: str
    algorithm: str
    settings: dict[str, object] | None
    fingerprint: str
    chunked_at: datetime | None
    run_id: str | None


class VectorOrigin(Answer):
    model: str
    revision: str
    dimension: int
    fingerprint: str
    index_version: str
    kind: str
    state: str
    created_at: datetime


class HitLineage(Answer):
    """Where a hit comes from, from the bytes to the vector."""

    chunk_id: str
    document_id: str
    corpus: str
    url: str | None
    external_id: str | None
    is_live: bool
    live_from: datetime | None
    live_to: datetime | None
    partition: str
    page: PageOrigin
    text: TextOrigin
    chunk: ChunkOrigin
    vector: VectorOrigin | None
