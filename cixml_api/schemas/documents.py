"""Documents of a corpus, their versions, chunks and sources."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from cixml_api import examples
from cixml_api.schemas.common import Answer, ListMetadata


class Document(Answer):
    """A document. `live` ones are found by searches; a `pending` one never was live (yet) and knows less of itself.

    `snapshot` is the version that is live, `changed_at` when it went live. A document that was pushed has no URL.
    """

    id: str
    url: str | None
    external_id: str | None
    metadata: dict[str, Any]
    status: str = Field(description="live or pending")
    title: str | None
    language: str | None
    content_type: str | None
    bytes: int | None
    chunk_count: int
    snapshot: str | None
    fetched_at: datetime | None
    changed_at: datetime | None
    checked_at: datetime | None


class DocumentList(Answer):
    content: list[Document]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


class DocumentVersion(Answer):
    """One content that a document had. `sha256` is of the stored bytes, `text_sha256` of the text layer in UTF-8."""

    id: str
    is_live: bool
    fetched_at: datetime
    live_from: datetime | None
    live_to: datetime | None
    final_url: str | None
    http_status: int | None
    etag: str | None
    last_modified: str | None
    content_type: str
    bytes: int
    sha256: str
    text_sha256: str | None
    title: str | None
    language: str | None


class DocumentDetail(Document):
    """One document with the versions that are still stored, the newest first, up to 100."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DOCUMENT})

    versions: list[DocumentVersion]


class Chunk(Answer):
    """One chunk: `start` and `end` are code points of the text layer; `heading` is the path of headings above it."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CHUNK})

    id: str
    ordinal: int
    text: str
    start: int
    end: int
    token_count: int
    heading: str | None


class ChunkList(Answer):
    content: list[Chunk]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


class Source(Answer):
    """Where a live document comes from: its URL, or the external id under which it was pushed."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SOURCE})

    url: str | None
    external_id: str | None
    document_id: str
    title: str | None
    fetched_at: datetime | None
    checked_at: datetime | None


class SourceList(Answer):
    content: list[Source]
    metadata: ListMetadata = Field(serialization_alias="_metadata")
