"""Reads a request's JSON body: 415, 400 and 422 with a pointer to each field that is wrong."""

from __future__ import annotations

import gc
import json
import math
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import NoReturn, Optional, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cixml_api.errors import (
    CHARACTER,
    MISSING,
    MOST_FIELD_PROBLEMS,
    RANGE,
    UNKNOWN,
    VALUE,
    FieldProblem,
    InvalidFieldsError,
    MalformedBodyError,
    MediaTypeError,
)

Body = TypeVar("Body", bound=BaseModel)
_Path = Optional[tuple["_Path", str | int]]  # noqa: UP045  # a recursive alias: `|` takes no text
"""A place in the body: the place around it and the last step; None is the body itself."""

_NUMBERS = {"missing": MISSING, "extra_forbidden": UNKNOWN}
MOST_FIELDS = 1000
"""Of one object: each unknown one becomes an error of its own."""

_REFUSED = re.compile("[\0\ud800-\udfff]")
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
    """Return the JSON value. Raises MalformedBodyError, or InvalidFieldsError for what JSON allows and we do not.

    That is a name that occurs twice (which of the values is meant?), and characters that no text may hold.
    """
    wrong: list[_WrongObject] = []
    gc.disable()  # else it looks through millions of empty lists again and again: 1 s instead of 0.25 s
    try:
        value: object = json.loads(
            body.decode(),
            object_pairs_hook=partial(_object, wrong),
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(f"The body is not JSON: {error}") from error
    finally:
        gc.enable()
    if wrong:
        raise InvalidFieldsError([_object_problem(value)])
    if b"\\u0000" in body or b"\\ud" in body.lower():
        refuse_characters(value, cleaned)
    return value


def parse_text(text: str, *, pointer: str) -> object:
    """Return the JSON value of a field that holds JSON as text. Raises InvalidFieldsError."""
    try:
        return parse(text.encode())
    except MalformedBodyError as error:
        detail = f"the field {pointer[1:]!r} is not JSON: send an object as JSON text"
        raise InvalidFieldsError([FieldProblem(pointer=pointer, number=VALUE, detail=detail)]) from error
    except InvalidFieldsError as error:
        inner = [replace(each, pointer=pointer + each.pointer) for each in error.problems]
        raise InvalidFieldsError(inner) from error


def validate(model: type[Body], value: object) -> Body:
    """Return the value as `model`. Raises InvalidFieldsError that names every field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise InvalidFieldsError([_field_problem(each) for each in details]) from error


class _WrongObject(dict[str, object]):
    """An object that is refused: `field` occurs twice in it, or it has more fields than any may have (None)."""

    field: str | None = None


def _object(wrong: list[_WrongObject], pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if wrong or len(found) == len(pairs) <= MOST_FIELDS:  # one is enough to refuse the body
        return found
    wrong.append(_WrongObject(found))
    if len(pairs) <= MOST_FIELDS:
        wrong[-1].field = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return wrong[-1]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a number")
    return number


def _object_problem(value: object) -> FieldProblem:
    """Return what is wrong with the wrong object in it."""
    path, found = next((path, found) for path, found in _values(value) if isinstance(found, _WrongObject))
    if found.field is None:
        detail = f"an object may have {MOST_FIELDS} fields: take some out"
        return FieldProblem(pointer=_joined(path), number=RANGE, detail=detail)
    detail = f"the field {found.field!r} stands there twice: take one out"
    return FieldProblem(pointer=_joined((path, found.field)), number=VALUE, detail=detail)


def refuse_characters(value: object, cleaned: re.Pattern[str] | None = None) -> None:
    """Raise InvalidFieldsError for what Postgres' text does not hold: a NUL, half of a surrogate pair."""
    detail = "the text holds a NUL or half of a surrogate pair: take it out"
    problems = (
        FieldProblem(pointer=_joined(path), number=CHARACTER, detail=detail)
        for path, text in _strings(value)
        if _REFUSED.search(text) and not (cleaned and cleaned.fullmatch(_joined(path)))
    )
    if found := list(islice(problems, MOST_FIELD_PROBLEMS)):
        raise InvalidFieldsError(found)


def _strings(value: object) -> Iterator[tuple[_Path, str]]:
    """Yield every string and every name of a field with its path."""
    for path, found in _values(value):
        if isinstance(found, str):
            yield path, found
        elif isinstance(found, dict):
            for key in found:
                yield (path, key), key


def _values(value: object) -> Iterator[tuple[_Path, object]]:
    """Yield every value with its path, the outer ones first and without recursion: millions may be nested deeply."""
    left: deque[tuple[_Path, object]] = deque([(None, value)])
    while left:
        path, found = left.popleft()
        yield path, found
        if isinstance(found, dict):
            left.extend(((path, key), inner) for key, inner in found.items())
        elif isinstance(found, list):
            left.extend(((path, position), inner) for position, inner in enumerate(found))


def _joined(path: _Path) -> str:
    """Return the JSON pointer of a path."""
    steps = []
    while path is not None:
        path, step = path
        steps.append(f"/{escape(str(step))}")
    return "".join(reversed(steps))


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
    return "".join(f"/{escape(str(part))}" for part in parts)


def escape(part: str) -> str:
    """Return a name as a step of a JSON pointer."""
    text = part.replace("~", "~0").replace("/", "~1")
    return text.encode("utf-8", "backslashreplace").decode()
