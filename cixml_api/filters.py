"""Filters of lists: what a query parameter may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated

from fastapi import Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BeforeValidator

from cixml_api.errors import UNKNOWN, VALUE, FieldProblem, InvalidFieldsError
from cixml_api.schemas.common import is_moment

Several = Annotated[str | None, Query(max_length=500, description="one or several, separated by commas")]
Moment = Annotated[AwareDatetime | None, BeforeValidator(is_moment), Query(description="RFC 3339, with its zone")]


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


def check_query(request: Request) -> None:
    """Refuse a parameter that the route does not have, and one that is given twice. Raises InvalidFieldsError."""
    route = request.scope.get("route")
    if not request.url.query or not isinstance(route, APIRoute):
        return
    known = _names(route.dependant)
    problems = []
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            detail = f"there is no parameter {name!r}: take it out, or mend its name"
            problems.append(FieldProblem(pointer=f"/{name}", number=UNKNOWN, detail=detail))
        elif count > 1:
            detail = f"the parameter {name!r} stands there {count} times: give it once"
            problems.append(FieldProblem(pointer=f"/{name}", number=VALUE, detail=detail))
    if problems:
        raise InvalidFieldsError(problems)


def _names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*map(_names, dependant.dependencies))
