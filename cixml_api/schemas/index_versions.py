"""Index versions: other indexes of a corpus, built beside the one that serves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from cixml_api import examples
from cixml_api.schemas.common import TRACE, Answer, Request
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
    """How far an index version is: documents that are cut for it, and whole in it; chunks that have their vector."""

    cut: Done
    documents: Done
    chunks: Done
    share: float
    eta_seconds: int | None


class IndexVersionError(Answer):
    """Why a version stands still (it is tried again), or why it failed."""

    code: str
    detail: str
    retryable: bool = False


class ActivationRequest(Request):
    """How an index version shall serve."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.ACTIVATION_REQUEST})

    force: bool = Field(default=False, description="also where it was found worse than what serves")


class Measures(Answer):
    """Means over the queries: quality is null without labels; times are of the search in Postgres, as it is served.

    The part of it that depends on the index: neither the query's vector nor what is read of the hits is in them.
    """

    model: str
    ndcg_at_10: float | None
    recall_at_10: float | None
    p50_ms: float
    p95_ms: float


class ComparisonLimits(Answer):
    """How much worse the version was allowed to be. Slower is what is so by both the ratio and the milliseconds."""

    max_quality_drop: float
    max_slowdown_ratio: float
    max_slowdown_ms: float


class ComparisonReport(Answer):
    """An index version beside the one that served then, by the corpus's labels, or by beginnings of its chunks.

    `serving` is null where its model could not be asked. `troubles` say in what it is worse than `limits` allow:
    nDCG@10 and recall@10 by the labels, the median time of a search. The overlap is told, not judged. `limits` is null
    in reports of before there were any for the time.
    """

    compared_at: datetime
    compared_with: str
    queries: int
    is_labelled: bool
    overlap_at_10: float | None
    candidate: Measures
    serving: Measures | None
    limits: ComparisonLimits | None = None
    is_good: bool
    troubles: list[str]


class Label(Request):
    """A question, and what answers it: documents by URL, by their `external_id`, or by id."""

    query: str = Field(min_length=1, max_length=2000)
    relevant: list[Annotated[str, Field(min_length=1, max_length=2048)]] = Field(min_length=1, max_length=100)


class LabelsRequest(Request):
    """The labels of a corpus, all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.LABELS_REQUEST})

    labels: list[Label] = Field(max_length=1000)


class LabelRecord(Answer):
    """A question, and what answers it."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.LABEL_RECORD})

    query: str
    relevant: list[str]


class LabelList(Answer):
    """Every label of a corpus."""

    content: list[LabelRecord]


class IndexVersionDetail(Answer):
    """An index of a corpus: on its way (`building`), able to serve (`ready`), `serving`, replaced (`retired`), or given
    up (`failed`). A retired one may serve again until `drop_after`. `from` is null for the first index of a corpus.

    `comparison` comes a moment after `ready`; one that finds it worse takes an activation back that came before.
    """

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
    comparison: ComparisonReport | None
    error: IndexVersionError | None
    created_at: datetime
    state_changed_at: datetime
    trace_id: str | None = Field(description=TRACE)


class IndexVersionList(Answer):
    """Every index version of a corpus, the oldest first."""

    content: list[IndexVersionDetail]
