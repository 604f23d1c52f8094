"""The passport of a hit."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from cixml_api import search_examples as examples
from cixml_api.schemas.common import Answer, RobotsVerdict
from cixml_api.schemas.corpora import ChunkingRecord
from cixml_api.schemas.search import Offsets


class PageOrigin(Answer):
    """The page as it came: its bytes, and what its server and robots.txt said. A pushed text has no server."""

    snapshot: str
    sha256: str = Field(description="of the bytes; `GET .../documents/{id}/content?layer=raw` returns them")
    bytes: int
    final_url: str | None
    http_status: int | None
    content_type: str
    charset: str | None
    etag: str | None
    last_modified: str | None
    fetched_at: datetime
    robots: RobotsVerdict | None
    job_id: str | None = Field(description="the caller's own job; null for another's, and for what nobody noted")
    item_id: str | None
    run_id: str | None = Field(description="the Dagster run")


class TextOrigin(Answer):
    """The text layer of the page. It never changes once it is stored; `text_sha256` is of the whole of it."""

    extractor: str | None
    text_sha256: str | None
    coverage: float | None
    language: str | None


class ChunkOrigin(Answer):
    """How the text was cut. `offsets` lead from the text layer to the chunk, character by character."""

    ordinal: int
    offsets: Offsets
    heading: str | None
    token_count: int
    text_sha256: str
    algorithm: str
    settings: ChunkingRecord | None
    fingerprint: str
    chunked_at: datetime | None
    run_id: str | None = Field(description="the Dagster run")


class VectorOrigin(Answer):
    """What embedded the chunk, and the index that serves it."""

    model: str
    revision: str
    dimension: int
    fingerprint: str
    index_version: str
    kind: str
    state: str
    created_at: datetime = Field(description="when the index was asked for")
    serving_since: datetime
    embedded_at: datetime | None
    run_id: str | None = Field(
        description="the Dagster run that made the vector: of the page's job, or of a re-embedding"
    )


class HitLineage(Answer):
    """Where a hit comes from, from the bytes to the vector. `is_live`: a search can find it now."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.HIT_LINEAGE})

    chunk_id: str
    document_id: str
    corpus: str
    url: str | None
    external_id: str | None
    is_live: bool
    live_from: datetime | None
    live_to: datetime | None
    partition: str = Field(description="of the corpus in Dagster")
    page: PageOrigin
    text: TextOrigin
    chunk: ChunkOrigin
    vector: VectorOrigin | None = Field(description="null where no index serves this cut of the page")
