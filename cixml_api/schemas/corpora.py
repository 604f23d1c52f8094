"""Corpora and their documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from cixml_api import examples
from cixml_api.schemas.common import Answer, ListMetadata


class CorpusCounts(Answer):
    documents: int
    chunks: int


class ActiveIndex(Answer):
    """The index version that answers searches."""

    id: str
    model: str
    kind: Literal["exact", "hnsw"]
    state: Literal["serving"] = "serving"
    chunking: dict[str, Any]


class Freshness(Answer):
    """When the corpus's pages were last found current: the longest ago and the latest."""

    oldest: datetime | None
    newest: datetime | None


class Corpus(Answer):
    """What a caller searches. `partition` is its key in the pipeline."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CORPUS})

    name: str
    partition: str
    created_at: datetime
    counts: CorpusCounts
    active_index: ActiveIndex | None
    freshness: Freshness


class CorpusList(Answer):
    content: list[Corpus]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


class Document(Answer):
    """A live document: a search can find it. `snapshot` is the version that is live."""

    id: str
    url: str
    external_id: str | None
    metadata: dict[str, Any]
    title: str | None
    language: str | None
    chunk_count: int
    snapshot: str
    fetched_at: datetime
    checked_at: datetime | None


class DocumentList(Answer):
    content: list[Document]
    metadata: ListMetadata = Field(serialization_alias="_metadata")
