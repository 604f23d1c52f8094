"""The API's answers on index versions; `types` has all."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from cixml.client.base import Answer


class ChunkingRecord(Answer):
    strategy: str
    max_tokens: int
    overlap_tokens: int


class IndexVersion(Answer):
    id: str
    model: str
    kind: str
    state: str
    chunking: ChunkingRecord
    created_at: datetime
    state_changed_at: datetime


class Done(Answer):
    done: int
    total: int


class FillProgress(Answer):
    """How far an index is: documents that are cut for it, and whole in it; chunks that have their vector."""

    cut: Done
    documents: Done
    chunks: Done
    share: float
    eta_seconds: int | None

    @property
    def is_cut(self) -> bool:
        return self.cut.done >= self.cut.total

    @property
    def step(self) -> Done:
        """Return how far what is done now is: documents while they are cut, then chunks that get their vectors."""
        return self.chunks if self.is_cut else self.cut


class IndexVersionError(Answer):
    code: str
    detail: str
    retryable: bool


class Measures(Answer):
    """Means over the queries; quality is None without labels."""

    model: str
    ndcg_at_10: float | None
    recall_at_10: float | None
    p50_ms: float
    p95_ms: float


class ComparisonLimits(Answer):
    """How much worse the index was allowed to be."""

    max_quality_drop: float
    max_slowdown_ratio: float
    max_slowdown_ms: float


class ComparisonReport(Answer):
    """An index beside the one that served then."""

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


class LabelRecord(Answer):
    query: str
    relevant: list[str]


class LabelList(Answer):
    content: list[LabelRecord]


class IndexVersionDetail(Answer):
    """An index of a corpus. `fill_from` is what it was made of (`from` in JSON), None for the first of a corpus."""

    id: str
    model: str
    kind: str
    state: str
    chunking: ChunkingRecord
    fill_from: str | None = Field(alias="from")
    activate: str
    activation_requested_at: datetime | None
    drop_after: datetime | None
    progress: FillProgress | None
    comparison: ComparisonReport | None
    error: IndexVersionError | None
    created_at: datetime
    state_changed_at: datetime
    trace_id: str | None = None

    @property
    def is_settled(self) -> bool:
        """Return whether nothing is done to it now: it is ready, serves, or was given up."""
        is_asked = self.activation_requested_at is not None
        return self.state != "building" and not (self.state == "ready" and is_asked)


class IndexVersionList(Answer):
    content: list[IndexVersionDetail]
