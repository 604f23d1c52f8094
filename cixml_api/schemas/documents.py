"""Documents of a corpus."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from cixml_api.schemas.common import Answer, ListMetadata


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
