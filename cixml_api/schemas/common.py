"""What every route shares: strict bases, errors, lists."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from resources.types import Stage

CORPUS_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
CALLER_ID = r"^[A-Za-z0-9._-]{1,128}$"
CORPUS_ADDRESS = r"^([A-Za-z0-9._-]{1,128}:)?[a-z0-9][a-z0-9._-]{0,62}$"
"""An own corpus by its name, a granted one as `owner:name`."""
MOST_METADATA_BYTES = 16_384


def _is_small(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(str(value)) > MOST_METADATA_BYTES:
        raise ValueError(f"the metadata of one document may have {MOST_METADATA_BYTES} characters: store less of it")
    return value


Metadata = Annotated[dict[str, JsonValue], AfterValidator(_is_small)]
"""What a caller stores with a document."""
ExternalId = Annotated[str, Field(min_length=1, max_length=256)]
"""A caller's own id of a document."""


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemField(Answer):
    """One field that is wrong."""

    pointer: str
    error_code: str
    detail: str


class Problem(Answer):
    """RFC 9457 problem details, with the house's `error_code`. `violated-policies` stands in a 429 alone."""

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
    failed_stage: Stage | None = None
    retryable: bool = False
    http_status: int | None = None
    attempts: int | None = None
    detail: str | None = None


class ListMetadata(Answer):
    """Where this answer stands in its list. `next` is the `cursor` of the next answer, null at the end."""

    limit: int
    order: str
    next: str | None
    total_records: int
    total_is_exact: bool
    warnings: list[str]
