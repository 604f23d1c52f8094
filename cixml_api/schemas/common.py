"""What every route shares: strict bases, errors, lists."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

from resources.types import Stage

CORPUS_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
CALLER_ID = r"^[A-Za-z0-9._-]{1,128}$"
CORPUS_ADDRESS = r"^([A-Za-z0-9._-]{1,128}:)?[a-z0-9][a-z0-9._-]{0,62}$"
"""An own corpus by its name, a granted one as `owner:name`."""
TRACE = "the trace of the request that asked for it, and of all that is done for it; null where no request did"
MOST_METADATA_CHARACTERS = 16_384
MOST_METADATA_FIELDS = 64
MOST_INTEGER = 2**63 - 1
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)


def is_moment(given: object) -> object:
    """Refuse what pydantic would take as well: a bare number, which it reads as seconds or as milliseconds."""
    if isinstance(given, int | float) or (isinstance(given, str) and not _MOMENT.fullmatch(given)):
        raise ValueError("it is no time as in RFC 3339, with its zone: 2026-11-24T10:00:00Z")
    return given


def _check_scalar(value: object) -> object:
    if isinstance(value, dict | list):
        raise ValueError("a value of the metadata is a text, a number, true, false or null: nest nothing in it")
    if isinstance(value, int) and abs(value) > MOST_INTEGER:
        raise ValueError(f"a number of the metadata may be {MOST_INTEGER} at most: send it as a text")
    return value


def _check_size(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(str(value)) > MOST_METADATA_CHARACTERS:
        raise ValueError(f"the metadata may have {MOST_METADATA_CHARACTERS} characters: store less of it")
    return value


Scalar = Annotated[
    JsonValue,
    BeforeValidator(_check_scalar),
    WithJsonSchema({"type": ["string", "integer", "number", "boolean", "null"]}),
]
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], Scalar],
    Field(max_length=MOST_METADATA_FIELDS),
    AfterValidator(_check_size),
]
"""What a caller stores with a document: a small map of scalars."""
StoredMetadata = dict[str, Scalar]
"""As it is told: a document may have got fields from several jobs."""
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


class RobotsVerdict(Answer):
    """What robots.txt said of the URL. `rule` is the line that decided, or the reason, in words."""

    allowed: bool
    rule: str
    fetched_at: datetime


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
