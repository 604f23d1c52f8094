"""Deletions: which documents, how many, and the receipt."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, model_validator

from cixml_api import examples
from cixml_api.schemas.common import TRACE, Answer, ExternalId, Metadata, Request, is_moment

MOST_EXTERNAL_IDS = 1000


class DocumentFilter(Request):
    """Documents that pass every condition. One that lacks what a condition asks for does not pass it."""

    url_prefix: str | None = Field(default=None, min_length=1, max_length=2048, description="of the URL as submitted")
    external_ids: list[ExternalId] | None = Field(default=None, min_length=1, max_length=MOST_EXTERNAL_IDS)
    language: str | None = Field(default=None, min_length=1, max_length=35)
    fetched_before: Annotated[AwareDatetime, BeforeValidator(is_moment), Field(strict=False)] | None = Field(
        default=None, description="the live version was fetched before; RFC 3339, with its zone"
    )
    metadata: Annotated[Metadata, Field(min_length=1)] | None = Field(
        default=None, description="equal in each of these fields"
    )

    @model_validator(mode="after")
    def _has_a_condition(self) -> DocumentFilter:
        if not self.model_dump(exclude_none=True):
            raise ValueError("a filter needs a condition: delete the corpus to delete everything in it")
        return self


class DeletionRequest(Request):
    """Which documents to delete; with `dry_run` they are only counted."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DELETION_REQUEST})

    filter: DocumentFilter
    dry_run: bool = False


class DeletionCount(Answer):
    """How many documents a deletion would take now."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DELETION_COUNT})

    documents: int


class Removed(Answer):
    """What was removed until now. `jobs` and `items` were open and are cancelled or skipped: as records they stay.

    `relations` are the corpus's own ones, with an index.
    """

    documents: int = 0
    versions: int = 0
    page_bodies: int = Field(default=0, description="the same bytes of another document stay")
    chunk_sets: int = 0
    chunks: int = 0
    lexemes: int = Field(default=0, description="entries of chunks in the keyword index")
    vectors: int = Field(default=0, description="a text that another document has too keeps its vector")
    jobs: int = 0
    items: int = 0
    batches: int = 0
    relations: int = 0
    index_versions: int = 0
    grants: int = 0
    partitions: int = 0


class Receipt(Answer):
    """What became of a deletion. What it names is out of every search and list since `requested_at`.

    `done`: nothing of it is left in any store. `waits_for` says what keeps the rest, if anything.
    """

    model_config = ConfigDict(json_schema_extra={"examples": examples.RECEIPT})

    id: str
    kind: Literal["corpus", "document", "documents"]
    corpus: str
    status: Literal["pending", "running", "done"]
    waits_for: str | None
    requested_at: datetime
    finished_at: datetime | None
    trace_id: str | None = Field(description=TRACE)
    removed: Removed
