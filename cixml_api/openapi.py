"""The OpenAPI document: request bodies and error answers, which the routes do not declare through FastAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cixml_api import errors, examples, schemas
from cixml_api.schemas import (
    ActivationRequest,
    CorporaSearchRequest,
    CorpusPatch,
    CorpusRequest,
    DeletionRequest,
    GrantRequest,
    IndexVersionRequest,
    JobRequest,
    LabelsRequest,
    Problem,
    PushedDocument,
    RetryRequest,
    SearchRequest,
)

DESCRIPTION = """
Give URLs, get a searchable corpus. A job is accepted at once (202) and worked on in the background; a page is
searchable when its item is `indexed` or `unchanged`.

- Clients must accept values of enums and fields of answers that are not listed here: they are added within `/v1`.
- Times are RFC 3339 in UTC. Ids are opaque.
- Errors are RFC 9457 problems. `error_code` is stable, `retryable` says whether the same request may succeed later,
  `errors` names each field that is wrong.
- Answers to a known key have `RateLimit-Policy` and `RateLimit`; a 429 has `Retry-After` and names the limits
  it reached in `violated-policies`. `GET /v1/quota` shows them all.
- `X-Request-Id` (up to 64 of `A-Za-z0-9._-`) and `traceparent` are taken over and answered.
"""

_BODIES: tuple[type[BaseModel], ...] = (
    ActivationRequest,
    CorporaSearchRequest,
    CorpusPatch,
    CorpusRequest,
    DeletionRequest,
    GrantRequest,
    IndexVersionRequest,
    JobRequest,
    LabelsRequest,
    PushedDocument,
    RetryRequest,
    SearchRequest,
)
_REF = "#/components/schemas/{model}"
_EXAMPLES = {
    400: (
        "malformed-body",
        "Malformed body",
        "The body is not JSON: unexpected end of data: line 1 column 9",
        100,
        False,
    ),
    401: (
        "unauthenticated",
        "Unauthenticated",
        "The API key is missing or unknown: send it as 'Authorization: Bearer KEY'.",
        201,
        False,
    ),
    403: ("forbidden", "Forbidden", "This key may not do that: an operator's key is needed.", 204, False),
    404: ("not-found", "Not found", "There is no such thing for this caller.", 1, False),
    409: ("nothing-to-retry", "Nothing to retry", "The job has no item that could be retried so.", 202, False),
    412: (
        "precondition-failed",
        "Precondition failed",
        "It was changed meanwhile: read it again and send its ETag as 'If-Match'.",
        212,
        False,
    ),
    413: ("body-too-large", "Body too large", "The body may have 10485760 bytes: split the request", 301, False),
    415: (
        "unsupported-media-type",
        "Unsupported media type",
        "The body's type is not JSON: send it as 'Content-Type: application/json'.",
        101,
        False,
    ),
    422: ("invalid-request", "Invalid request", "the field 'limt' is not known", 105, False),
    428: (
        "precondition-required",
        "Precondition required",
        "This corpus is changed only with 'If-Match': read it and send its ETag.",
        213,
        False,
    ),
    429: ("too-many-requests", "Too many requests", "6000 requests a minute are allowed: slow down", 302, True),
    503: ("database-unavailable", "Database unavailable", "The database does not answer.", 501, True),
}
_CONFLICTS = {
    "index_version_create": (
        "conflict",
        "Conflict",
        "37 of 5571 chunks have more than the 256 tokens that all-MiniLM-L6-v2 takes: ask for 'from': 'text' ...",
        211,
        False,
    ),
    "index_version_activate": ("conflict", "Conflict", "The index version is not filled yet: ...", 211, False),
    "index_version_delete": ("conflict", "Conflict", "This index version answers the searches: ...", 211, False),
    "corpus_create": ("conflict", "Conflict", "There is one already.", 211, False),
    "document_refresh": (
        "conflict",
        "Conflict",
        "The document was pushed, so there is no URL to fetch: ...",
        211,
        False,
    ),
}


def request_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Return what a route says of its body (`openapi_extra`); bodies.py validates it."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def problems(operation: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of its error answers (`responses`)."""
    return {status: _problem(operation, status) for status in (401, *statuses, 429, 503)}


def _problem(operation: str, status: int) -> dict[str, Any]:
    shown = _CONFLICTS.get(operation, _EXAMPLES[status]) if status == 409 else _EXAMPLES[status]
    kind, title, detail, number, retryable = shown
    example: dict[str, Any] = {
        "type": f"urn:cixml:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/v1/...",
        "error_code": f"cixml_{operation}_{number:03}",
        "request_id": "0193a5c27e5b4c0d9a0f3f0c5b1e2d4f",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "retryable": retryable,
        "errors": [],
    }
    if status == 422:
        code = f"cixml_{operation}_{errors.UNKNOWN:03}"
        example["errors"] = [{"pointer": "/limt", "error_code": code, "detail": example["detail"]}]
    description = title
    if status == 429:
        example["violated-policies"] = ["requests-per-minute"]
        description = "A limit is reached: 302 requests a minute, 303 a quota (GET /v1/quota), 304 unknown keys"
    schema = {"$ref": _REF.format(model="Problem")}
    return {"description": description, "content": {errors.MEDIA_TYPE: {"schema": schema, "example": example}}}


def install(app: FastAPI) -> None:
    """Make the app answer the completed document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
            )
            app.openapi_schema = _complete(found)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way FastAPI documents


def _complete(found: dict[str, Any]) -> dict[str, Any]:
    _, definitions = models_json_schema(
        [*((body, "validation") for body in _BODIES), (Problem, "serialization")], ref_template=_REF
    )
    models = found.setdefault("components", {}).setdefault("schemas", {})
    models.update(definitions["$defs"])
    for name in ("HTTPValidationError", "ValidationError", "JsonValue"):
        models.pop(name, None)
    _restore_examples(models)
    for schema in models.values():
        _show_list(schema, models)
    for path in found["paths"].values():
        for route in path.values():
            _drop_default_answer(route["responses"])
    return found


def _drop_default_answer(responses: dict[str, Any]) -> None:
    """Take out the 422 that FastAPI adds by itself: text in a path is never invalid here, it is not found."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]


def _restore_examples(found: dict[str, Any]) -> None:
    """Put back the nulls of examples, which FastAPI takes for fields that are not set."""
    for name, model in vars(schemas).items():
        if name in found and isinstance(model, type) and issubclass(model, BaseModel):
            extra = model.model_config.get("json_schema_extra")
            if isinstance(extra, dict):
                found[name]["examples"] = extra["examples"]


def _show_list(schema: dict[str, Any], models: dict[str, Any]) -> None:
    """Give a list that shows no example of its own one of its entries' example."""
    entries = schema.get("properties", {}).get("content", {}).get("items", {}).get("$ref")
    if entries is None or "examples" in schema:
        return
    example: dict[str, Any] = {"content": models[entries.rpartition("/")[2]]["examples"][:1]}
    if "_metadata" in schema["properties"]:
        example["_metadata"] = examples.LIST_METADATA
    schema["examples"] = [example]
