"""Documents of a corpus, their versions, chunks and sources."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from cixml_api import examples
from cixml_api.schemas.common import Answer, ExternalId, ListMetadata, Metadata, Request, StoredMetadata

MOST_TITLE_CHARACTERS = 300
CLEANED = re.compile(r"(?:/documents/\d+)?/(?:text|markdown)")
"""Where a body holds a document's text: what no text may hold is taken out there, as of a page's, not refused."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _clean(value: object) -> object:
    return _LONE_SURROGATE.sub("\ufffd", value.replace("\0", "")) if isinstance(value, str) else value


def _has_text(value: str) -> str:
    if not value.strip():
        raise ValueError("it holds no text: give some, or leave the document out")
    return value


Text = Annotated[str, BeforeValidator(_clean), AfterValidator(_has_text)]
Title = Annotated[str, Field(min_length=1, max_length=MOST_TITLE_CHARACTERS)]


class PushedDocument(Request):
    """A document that comes with the request: `text`, or `markdown`. In the corpus it is known by its `external_id`."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.PUSHED_DOCUMENT})

    external_id: ExternalId = Field(description="the caller's own id: what comes under it again replaces it")
    text: Text | None = None
    markdown: Text | None = Field(default=None, description="headings, tables and code are kept apart in it")
    title: Title | None = Field(default=None, description="else the text's own heading")
    metadata: Metadata = Field(default_factory=dict, description="merged into what is stored with the document")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.text is None) == (self.markdown is None):
            raise ValueError("give one of 'text' and 'markdown'")
        return self


class FileFields(Request):
    """What is said of a file that is pushed, beside the file."""

    external_id: ExternalId
    title: Title | None = None
    metadata: Metadata = Field(default_factory=dict)


class Document(Answer):
    """A document. `live` ones are found by searches; a `pending` one never was live (yet) and knows less of itself.

    `snapshot` is the version that is live, `changed_at` when it went live. A document that was pushed has no URL.
    """

    model_config = ConfigDict(json_schema_extra={"examples": examples.LISTED_DOCUMENT})

    id: str
    url: str | None
    external_id: str | None
    metadata: StoredMetadata
    status: str = Field(description="live or pending")
    title: str | None
    language: str | None
    content_type: str | None
    bytes: int | None
    chunk_count: int
    snapshot: str | None
    published_at: datetime | None = Field(description="as the page states it; null where it does not")
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
    published_at: datetime | None


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
