"""Lists: opaque cursors, the envelope's metadata, and the Link header."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, TypeVar
from uuid import UUID

import orjson
from fastapi import Query, Request
from pydantic import TypeAdapter, ValidationError

from cixml_api.errors import VALUE, FieldProblem, InvalidFieldsError
from cixml_api.schemas import ListMetadata
from resources.postgres.corpora import COUNT_CAP

Row = TypeVar("Row")
Place = TypeVar("Place")

Limit = Annotated[int, Query(ge=1, le=100, description="Entries in one answer, 1 to 100")]
Cursor = Annotated[str | None, Query(max_length=500, description="`_metadata.next` of the answer before")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The metadata of one answer and its headers."""

    metadata: ListMetadata
    headers: dict[str, str]


def encode_cursor(*place: str | int | UUID | list[int]) -> str:
    """Return the opaque form of a place in a list."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def decode_cursor(cursor: str | None, form: TypeAdapter[Place]) -> Place | None:
    """Return the place of a cursor. Raises InvalidFieldsError when it is not one of this list."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return form.validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, ValidationError):
        detail = "the cursor is not one of this list and order: start again without it"
        raise InvalidFieldsError([FieldProblem(pointer="/cursor", number=VALUE, detail=detail)]) from None


def page(request: Request, *, limit: int, order: str, total: int, next_cursor: str | None) -> Page:
    """Describe one answer of a list. `total` was counted up to COUNT_CAP."""
    metadata = ListMetadata(
        limit=limit,
        order=order,
        next=next_cursor,
        total_records=min(total, COUNT_CAP - 1),
        total_is_exact=total < COUNT_CAP,
        warnings=[],
    )
    headers = {}
    if next_cursor:
        url = request.url.include_query_params(cursor=next_cursor)
        headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return Page(metadata=metadata, headers=headers)


def split(rows: list[Row], limit: int) -> tuple[list[Row], bool]:
    """Return the rows of this answer and whether more follow; `rows` was read with one above `limit`."""
    return rows[:limit], len(rows) > limit
