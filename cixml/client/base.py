"""What requests and answers have in common: their bases, problems, pages of lists."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Scalar = str | int | float | bool | None
Metadata = dict[str, Scalar]
Entry = TypeVar("Entry")


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)


class ProblemField(Answer):
    pointer: str
    error_code: str
    detail: str


class Problem(Answer):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error_code: str
    request_id: str | None
    trace_id: str | None
    retryable: bool
    errors: list[ProblemField] = []
    violated_policies: list[str] = Field(default=[], alias="violated-policies")


class ErrorRecord(Answer):
    """Why an item or a job failed."""

    code: str
    failed_stage: str | None = None
    retryable: bool = False
    http_status: int | None = None
    attempts: int | None = None
    detail: str | None = None


class ListMetadata(Answer):
    limit: int
    order: str
    next: str | None
    total_records: int
    total_is_exact: bool
    warnings: list[str]


class Page(Answer, Generic[Entry]):
    """One answer of a list."""

    content: list[Entry]
    metadata: ListMetadata = Field(alias="_metadata")
