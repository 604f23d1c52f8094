"""Filters of lists: what a query parameter may say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

from cixml_api.errors import VALUE, FieldProblem, InvalidFieldsError

Several = Annotated[str | None, Query(max_length=500, description="one or several, separated by commas")]
Moment = Annotated[AwareDatetime | None, Query(description="RFC 3339, with its zone")]


def several(name: str, given: str | None, known: Iterable[str]) -> list[str] | None:
    """Return the values of a filter. Raises InvalidFieldsError for one that is none."""
    if given is None:
        return None
    values, allowed = [value.strip() for value in given.split(",")], list(map(str, known))
    unknown = [value for value in values if value not in allowed]
    if unknown:
        detail = f"{unknown[0]!r} is none of its values: use {', '.join(allowed)}"
        raise InvalidFieldsError([FieldProblem(pointer=f"/{name}", number=VALUE, detail=detail)])
    return values


def plain(name: str, text: str | None) -> str | None:
    """Refuse a NUL, which Postgres takes for an error of ours."""
    if text and "\0" in text:
        raise InvalidFieldsError([FieldProblem(pointer=f"/{name}", number=VALUE, detail="it holds no NUL")])
    return text
