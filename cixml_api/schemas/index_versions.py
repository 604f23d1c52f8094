"""Index versions: other indexes of a corpus, built beside the one that serves."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from cixml_api import examples
from cixml_api.schemas.common import Answer, Request
from cixml_api.schemas.corpora import ChunkingRecord, ChunkingRequest

FillFrom = Literal["chunks", "text", "raw"]
Activate = Literal["manual", "auto"]


class IndexVersionRequest(Request):
    """Another index of the corpus, built from what is stored: nothing is fetched."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.INDEX_VERSION_REQUEST})

    model: str | None = Field(
        default=None, min_length=1, max_length=200, description="an enabled model; default: the one that serves"
    )
    fill_from: FillFrom = Field(
        default="chunks",
        alias="from",
        description=(
            "`chunks` embeds the chunks that there are; `text` cuts the stored texts anew; `raw` reads the stored "
            "pages anew, too"
        ),
    )
    chunking: ChunkingRequest | None = Field(
        default=None, description="how texts are cut, from `text` or `raw`; default: as they are cut now"
    )
    activate: Activate = Field(default="manual", description="`auto` lets it serve as soon as it is ready")


class Done(Answer):
    """How many of all."""

    done: int
    total: int


class FillProgress(Answer):
    """How far an index version is: documents that are whole in it, chunks that have their vector."""

    documents: Done
    chunks: Done
    share: float
    eta_seconds: int | None


class IndexVersionError(Answer):
    """Why a version stands still (it is tried again), or why it failed."""

    code: str
    detail: str
    retryable: bool = False


class IndexVersionDetail(Answer):
    """An index of a corpus: on its way (`building`), able to serve (`ready`), `serving`, replaced (`retired`), or given
    up (`failed`). A retired one may serve again until `drop_after`. `from` is null for the first index of a corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.INDEX_VERSION_DETAIL})

    id: str
    model: str
    kind: Literal["exact", "hnsw"]
    state: Literal["building", "ready", "serving", "retired", "failed"]
    chunking: ChunkingRecord
    fill_from: FillFrom | None = Field(alias="from")
    activate: Activate
    activation_requested_at: datetime | None
    drop_after: datetime | None
    progress: FillProgress | None
    error: IndexVersionError | None
    created_at: datetime
    state_changed_at: datetime


class IndexVersionList(Answer):
    """Every index version of a corpus, the oldest first."""

    content: list[IndexVersionDetail]
