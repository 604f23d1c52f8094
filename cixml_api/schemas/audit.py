"""The audit record as operators see it."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from cixml_api import examples
from cixml_api.schemas.common import Answer, ListMetadata


class AuditEntry(Answer):
    """One access. `route` is a template and `ids` what stood in its places; `made` is the id of what it made.

    No `caller_id`: the key was unknown. `status` 499: the caller went away before the answer.
    """

    model_config = ConfigDict(json_schema_extra={"examples": examples.AUDIT_ENTRY})

    id: str
    at: datetime
    caller_id: str | None
    peer: str
    method: str
    route: str
    ids: dict[str, str]
    status: int
    request_id: str
    trace_id: str


class AuditList(Answer):
    content: list[AuditEntry]
    metadata: ListMetadata = Field(serialization_alias="_metadata")
