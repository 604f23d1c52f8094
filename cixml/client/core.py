"""What both clients share and neither sends: requests, answers, when to try again, the lines of an event stream."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from cixml.client.base import Problem
from cixml.client.errors import ApiError, ApiUnavailableError
from cixml.client.types import Corpus, Event, Item, Job, JobProgress
from resources.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
Json = dict[str, Any]
MOST_A_PAGE = 100
WAIT_SECONDS = 30
STREAM_SECONDS = 60.0
"""A stream that said nothing for so long is broken: a comment comes every 15 seconds."""
_LONGEST_PAUSE_SECONDS = 5.0
_EVENTS: Mapping[str, type[Job | Item | JobProgress]] = {"job": Job, "end": Job, "item": Item, "progress": JobProgress}


class Keep(Enum):
    """What `KEEP` is: a setting that stays as it is, where None would take it away."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `is_repeatable`: done twice it is the same as once, so a lost answer is asked for again."""

    method: str
    path: str
    is_repeatable: bool
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    json: object = None
    data: dict[str, str] | None = None
    files: dict[str, tuple[str, bytes, str | None]] | None = None
    good: frozenset[int] = frozenset()
    """Statuses that are no refusal here, beside all below 400."""


def reading(path: str, params: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None) -> Call:
    """Return a GET. Parameters that are None or empty are left out."""
    return Call(
        method="GET", path=path, params=parameters(params or {}), headers=dict(headers or {}), is_repeatable=True
    )


def starting(method: str, path: str, key: str | None, json: object = None) -> Call:
    """Return a request that starts a job. It has an Idempotency-Key, so that it can be repeated."""
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return Call(method=method, path=path, json=json, headers=headers, is_repeatable=True)


def changing(method: str, path: str, json: object = None, *, is_repeatable: bool, if_match: str | None = None) -> Call:
    headers = {"If-Match": if_match} if if_match else {}
    return Call(method=method, path=path, json=json, headers=headers, is_repeatable=is_repeatable)


def uploading(path: str, key: str | None, *, name: str, body: bytes, media_type: str | None, fields: Json) -> Call:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    files = {"file": (name, body, media_type)}
    return Call(method="POST", path=path, data=fields, files=files, headers=headers, is_repeatable=True)


def path_of(*parts: str) -> str:
    """Return `/v1/...` of these parts, quoted. A corpus's address keeps its colon."""
    return "/v1/" + "/".join(quote(part, safe=":") for part in parts)


def parameters(given: Mapping[str, object]) -> dict[str, str]:
    found = {}
    for name, value in given.items():
        if isinstance(value, str):
            found[name] = value
        elif isinstance(value, Sequence):
            if value:
                found[name] = ",".join(map(str, value))
        elif value is not None:
            found[name] = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return found


def without_none(**fields: object) -> Json:
    """Return the fields that are given."""
    return {name: value for name, value in fields.items() if value is not None}


def question(
    query: str,
    top_k: int,
    mode: str | None,
    where: Mapping[str, object] | None,
    threshold: float | None,
    group_size: int | None,
    neighbours: int | None,
    highlights: bool,
    explain: bool,
) -> Json:
    """Return the body of a search, with what is given."""
    return without_none(
        query=query,
        top_k=top_k,
        mode=mode,
        filter=where,
        threshold=threshold,
        group_by=None if group_size is None else "document",
        group_size=group_size,
        neighbours=neighbours,
        include=["highlights"] if highlights else None,
        explain=explain or None,
    )


def dumped(models: Sequence[BaseModel | str]) -> list[object]:
    """Return entries of a request's list as JSON."""
    return [each if isinstance(each, str) else each.model_dump(mode="json", exclude_none=True) for each in models]


def read_file(path: Path) -> bytes:
    return path.read_bytes()


def address_of(base_url: str | None) -> str:
    """Return the API's address: the one given, else CIXML_URL."""
    found = base_url or os.environ.get("CIXML_URL")
    if not found:
        raise ConfigurationError("no address of the API: give base_url, or set CIXML_URL")
    return found


def key_of(key: str | None) -> str:
    """Return the key: the one given, else CIXML_API_KEY."""
    found = key or os.environ.get("CIXML_API_KEY")
    if not found:
        raise ConfigurationError("no API key: give key, or set CIXML_API_KEY")
    return found


def read(model: type[Model], answer: httpx.Response) -> Model:
    """Return the answer's body. Raises ApiError for one that is not of this API."""
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        place = "/".join(map(str, wrong["loc"]))
        raise ApiError(
            f"the answer to {answer.request.url.path} is none of this API: {place}: {wrong['msg']}",
            status=answer.status_code,
        ) from error


def corpus_of(answer: httpx.Response) -> Corpus:
    """Return a corpus with the tag under which it was read."""
    return read(Corpus, answer).model_copy(update={"etag": answer.headers.get("ETag")})


def refusal(answer: httpx.Response) -> ApiError:
    """Return the error of an answer of 400 or above: one line that says what is wrong, and which fields."""
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        problem = None
    text = problem.detail if problem else answer.reason_phrase
    fields = [f"{each.pointer}: {each.detail}" for each in (problem.errors if problem else ())]
    message = "; ".join([f"{answer.status_code} {text}", *(each for each in fields if not each.endswith(text))])
    if len(fields) == 1 and fields[0].endswith(text):
        message = f"{answer.status_code} {fields[0]}"
    return ApiError(message, status=answer.status_code, problem=problem, retry_after_seconds=_seconds(answer.headers))


def _seconds(headers: httpx.Headers) -> float | None:
    given = headers.get("Retry-After", "")
    return float(given) if given.isdecimal() else None


class Tries:
    """How often a request is tried, and how long to wait in between: up to `seconds` after the first failure."""

    def __init__(self, call: Call, *, base_url: str, seconds: float) -> None:
        self._call = call
        self._base_url = base_url
        self._seconds = seconds
        self._until: float | None = None
        self._number = 0

    def after_refusal(self, error: ApiError) -> float:
        """Return how long to wait before the next try. Raises the error where there is none."""
        is_passing = error.status == 429 or (error.status == 503 and self._call.is_repeatable)
        if not (is_passing and error.retryable):
            raise error
        return self._pause(error, error.retry_after_seconds)

    def after_failure(self, error: httpx.TransportError) -> float:
        """Return how long to wait after no answer. Raises ApiUnavailableError."""
        found = ApiUnavailableError(
            f"the API at {self._base_url} does not answer ({str(error) or type(error).__name__}): "
            "start it with 'cixml up', or see CIXML_URL"
        )
        found.__cause__ = error
        was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        if was_sent and not self._call.is_repeatable:
            raise found
        return self._pause(found, None)

    def _pause(self, error: Exception, asked_seconds: float | None) -> float:
        self._number += 1
        spread = 0.5 + random.random()  # noqa: S311  # so that many clients don't come back at once
        seconds = asked_seconds or min(_LONGEST_PAUSE_SECONDS, 0.1 * 2**self._number) * spread
        now = time.monotonic()
        self._until = self._until or now + self._seconds
        if now + seconds > self._until:
            raise error
        return seconds


class EventLines:
    """Puts the lines of an event stream together; `last_id` is where another stream goes on."""

    def __init__(self) -> None:
        self.last_id = ""
        self._name = ""
        self._data: list[str] = []
        self._id = ""

    def forget(self) -> None:
        """Drop the part of an event that a broken stream left."""
        self._name, self._data, self._id = "", [], self.last_id

    def feed(self, line: str) -> Event | None:
        """Take a line; return the event that an empty one ends. Events of other kinds are left out."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._name = value
            elif name == "data":
                self._data.append(value)
            elif name == "id":
                self._id = value
            return None
        found, self._data = "\n".join(self._data), []
        name, self._name = self._name, ""
        if not found:
            return None
        self.last_id = self._id
        model = _EVENTS.get(name)
        return Event(name=name, id=self._id, data=model.model_validate_json(found)) if model else None
