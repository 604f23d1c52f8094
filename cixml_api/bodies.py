"""Reads a request's JSON body: 415, 400 and 422 with a pointer to each field that is wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cixml_api.errors import (
    CHARACTER,
    MISSING,
    RANGE,
    UNKNOWN,
    VALUE,
    FieldProblem,
    InvalidFieldsError,
    MalformedBodyError,
    MediaTypeError,
)

Body = TypeVar("Body", bound=BaseModel)

_NUMBERS = {"missing": MISSING, "extra_forbidden": UNKNOWN}
_RANGE_TYPES = ("too_long", "too_short", "greater_than", "less_than", "string_too_long", "string_too_short")


def body_of(
    model: type[Body], *, may_be_empty: bool = False, cleaned: re.Pattern[str] | None = None
) -> Callable[[Request], Awaitable[Body]]:
    """Return a dependency that gives the body as `model`. Name it after the caller: who is unknown gets 401 first.

    With `may_be_empty` no body at all stands for an empty object. Characters that no text may hold are refused, but at
    the pointers `cleaned`: there the model takes them out.
    """

    async def read(request: Request) -> Body:
        body = await request.body()
        if may_be_empty and not body:
            return validate(model, {})
        check_media_type(request.headers.get("content-type", ""))
        return validate(model, parse(body, cleaned))

    return read


def check_media_type(value: str) -> None:
    """Raise MediaTypeError unless it is JSON."""
    media_type = value.partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise MediaTypeError


def parse(body: bytes, cleaned: re.Pattern[str] | None = None) -> object:
    """Return the JSON value. Raises MalformedBodyError, or InvalidFieldsError for characters no text may hold."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _parse_slowly(body, error)
    if b"\\u0000" in body or b"\\ud" in body.lower():
        _refuse_characters(value, cleaned)
    return value


def validate(model: type[Body], value: object) -> Body:
    """Return the value as `model`. Raises InvalidFieldsError that names every field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise InvalidFieldsError([_field_problem(each) for each in details]) from error


def _parse_slowly(body: bytes, error: orjson.JSONDecodeError) -> object:
    """Tell lone surrogates, which orjson takes for bad JSON, from what is no JSON."""
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise MalformedBodyError(f"The body is not JSON: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _refuse_characters(value: object, cleaned: re.Pattern[str] | None) -> None:
    """Postgres' text holds neither a NUL nor half of a surrogate pair."""
    problems = [
        FieldProblem(
            pointer=pointer,
            number=CHARACTER,
            detail="the text holds a NUL or half of a surrogate pair: take it out",
        )
        for pointer, text in _strings(value)
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)
        and not (cleaned and cleaned.fullmatch(pointer))
    ]
    if problems:
        raise InvalidFieldsError(problems)


def _strings(value: object) -> Iterator[tuple[str, str]]:
    """Yield every string with its pointer, without recursion: the value may be nested as deep as the parser allows."""
    left: list[tuple[str, object]] = [("", value)]
    while left:
        pointer, found = left.pop()
        if isinstance(found, str):
            yield pointer, found
        elif isinstance(found, dict):
            for key, inner in found.items():
                step = f"{pointer}/{_escape(key)}"
                yield step, key
                left.append((step, inner))
        elif isinstance(found, list):
            left.extend((f"{pointer}/{position}", inner) for position, inner in enumerate(found))


def _field_problem(error: ErrorDetails) -> FieldProblem:
    kind = error["type"]
    number = _NUMBERS.get(kind, RANGE if kind.startswith(_RANGE_TYPES) else VALUE)
    return FieldProblem(pointer=_pointer(error["loc"]), number=number, detail=_detail(error))


def _detail(error: ErrorDetails) -> str:
    name = error["loc"][-1] if error["loc"] else "body"
    match error["type"]:
        case "missing":
            return f"the field {name!r} is missing: add it"
        case "extra_forbidden":
            return f"there is no field {name!r}: take it out, or mend its name"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case _:
            return error["msg"]


def _pointer(location: tuple[int | str, ...]) -> str:
    """Return the JSON pointer. Marks of a union's branches (in angle brackets) are no part of the body."""
    parts = [part for part in location if not (isinstance(part, str) and part.startswith("<"))]
    return "".join(f"/{_escape(str(part))}" for part in parts)


def _escape(part: str) -> str:
    text = part.replace("~", "~0").replace("/", "~1")
    return text.encode("utf-8", "backslashreplace").decode()
