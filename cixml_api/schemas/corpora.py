"""Corpora: settings, what is in them, grants."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from cixml_api import examples
from cixml_api.schemas.common import CORPUS_NAME, Answer, ListMetadata, Request
from resources.types import ChunkingStrategy

Role = Literal["reader", "writer", "owner"]


class ChunkingRequest(Request):
    """How the text is cut. Sizes in tokens of the model, special tokens included; what is left out is its default."""

    strategy: ChunkingStrategy = Field(
        default="recursive",
        description=(
            "`recursive` cuts at the largest unit (section, paragraph, line, sentence, word) that fills half a chunk; "
            "`headings` does so within sections, no chunk has text of two; `sentences` cuts and overlaps at sentences"
        ),
    )
    max_tokens: int | None = Field(default=None, ge=16, le=8192)
    overlap_tokens: int | None = Field(default=None, ge=0, le=4096)


class ExclusionsRequest(Request):
    """Elements that are left out of HTML pages, with all that is in them. Of classes the whole name counts."""

    tags: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]] = Field(default=[], max_length=50)
    classes: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_:-]{1,100}$")]] = Field(default=[], max_length=50)


class CorpusRequest(Request):
    """A corpus to make. Its name is unique among the living corpora of the caller."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CORPUS_REQUEST})

    name: str = Field(pattern=CORPUS_NAME)
    title: str | None = Field(default=None, min_length=1, max_length=200)
    chunking: ChunkingRequest = ChunkingRequest()
    exclusions: ExclusionsRequest = ExclusionsRequest()
    require_if_match: bool = Field(default=False, description="changes and deletion of it need `If-Match`")


class CorpusPatch(Request):
    """Settings to change; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CORPUS_PATCH})

    title: str | None = Field(default=None, min_length=1, max_length=200)
    require_if_match: bool | None = None
    exclusions: ExclusionsRequest | None = Field(default=None, description="holds for pages that are read from then on")


class GrantRequest(Request):
    """What another caller may do: a reader searches and lists, a writer also submits and deletes pages, an owner also
    changes the corpus and its grants."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.GRANT_REQUEST})

    role: Role


class Grant(Answer):
    """A caller's role in a corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.GRANT})

    caller_id: str
    role: Role
    granted_at: datetime


class GrantList(Answer):
    """Every grant of a corpus."""

    content: list[Grant]


class CorpusCounts(Answer):
    """What is live. `bytes` are those of the pages as fetched."""

    documents: int
    chunks: int
    bytes: int


class ChunkingRecord(Answer):
    """How the text is cut, in tokens of the model."""

    strategy: str
    max_tokens: int
    overlap_tokens: int


class ExclusionsRecord(Answer):
    """Elements that are left out of HTML pages."""

    tags: list[str]
    classes: list[str]


class IndexVersion(Answer):
    """What searches are answered by (`serving`), will be, or were."""

    id: str
    model: str
    kind: Literal["exact", "hnsw"]
    state: Literal["building", "ready", "serving", "retired"]
    chunking: ChunkingRecord
    created_at: datetime
    state_changed_at: datetime


class Freshness(Answer):
    """When the corpus's pages were last found current: the longest ago and the latest."""

    oldest: datetime | None
    newest: datetime | None


class Corpus(Answer):
    """What a caller searches. `address` is how this caller names it in every route, `role` what it may do;
    `partition` is its key in the pipeline. `grants` is null for who does not own it."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CORPUS})

    name: str
    owner: str
    address: str
    role: Role
    title: str | None
    require_if_match: bool
    exclusions: ExclusionsRecord
    partition: str
    created_at: datetime
    updated_at: datetime
    counts: CorpusCounts
    active_index: IndexVersion | None
    index_versions: list[IndexVersion]
    freshness: Freshness
    grants: list[Grant] | None


class CorpusList(Answer):
    content: list[Corpus]
    metadata: ListMetadata = Field(serialization_alias="_metadata")
