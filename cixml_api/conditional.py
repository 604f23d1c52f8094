"""Conditional requests by strong ETags: `"VERSION-DIGEST"`, of the settings and of the answer's bytes."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel

from cixml_api import views
from resources.errors import PreconditionFailedError, PreconditionRequiredError


def tagged(request: Request, body: BaseModel, *, version: int, status: int = 200, **headers: str) -> Response:
    """Return the answer with its ETag; 304 where `If-None-Match` of a GET has it."""
    answer = views.answer(body, status=status, headers=headers)
    answer.headers["ETag"] = f'"{version}-{hashlib.sha256(answer.body).hexdigest()[:16]}"'
    if request.method == "GET" and _is_among(answer.headers["ETag"], request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers={"ETag": answer.headers["ETag"]})
    return answer


IfMatch = Annotated[
    str | None, Header(max_length=500, description="the `ETag` of a GET: else 412 when its settings were changed since")
]


def check_if_match(given: str | None, *, version: int, is_required: bool) -> None:
    """Raise PreconditionFailedError unless `If-Match` is of these settings, PreconditionRequiredError where it lacks.

    Of the tag its version counts: pages that were indexed since it was read change the digest, not the settings.
    """
    if given is None:
        if is_required:
            raise PreconditionRequiredError
        return
    tags = [tag.strip() for tag in given.split(",")]
    if "*" not in tags and not any(tag.startswith(f'"{version}-') for tag in tags):
        raise PreconditionFailedError


def _is_among(tag: str, header: str) -> bool:
    tags = [each.strip().removeprefix("W/") for each in header.split(",")]
    return tag in tags or "*" in tags
