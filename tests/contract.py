"""What the API serves, read from the app itself: a test that goes over it can't forget a new route."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

METHODS = ("get", "put", "post", "delete", "patch")
MULTIPART, JSON = "multipart/form-data", "application/json"
UNDOCUMENTED = {"/openapi.json", "/docs", "/docs/oauth2-redirect"}
"""The document itself and its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter in the path, the query or a header."""

    name: str
    where: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a route; `example` is a body that it takes, None where it takes none."""

    name: str
    method: str
    path: str
    parameters: list[Parameter]
    media_type: str | None
    example: Any
    responses: dict[str, dict[str, Any]] = field(repr=False)
    needs_key: bool

    @property
    def ids(self) -> list[str]:
        """Return the names in the path's braces."""
        return re.findall(r"{([a-z_]+)}", self.path)

    def at(self, **ids: str) -> str:
        """Return the path with these ids."""
        return self.path.format(**ids)

    def body(self) -> dict[str, Any]:
        """Return the arguments of an HTTP client that send the example."""
        if self.media_type is None:
            return {}
        if self.media_type == MULTIPART:
            return {"files": {"file": ("page.txt", b"One page of text.", "text/plain")}}
        return {"content": json.dumps(self.example).encode(), "headers": {"Content-Type": JSON}}


def operations(app: FastAPI) -> list[Operation]:
    """Return every operation, and check that the document has every route."""
    document = app.openapi()
    found = [
        _operation(document, path, method, route)
        for path, methods in document["paths"].items()
        for method, route in methods.items()
        if method in METHODS
    ]
    documented = {(each.path, each.method) for each in found}
    routed = {
        (context.path, method)
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if context.path not in UNDOCUMENTED and method != "HEAD"
    }
    assert documented == routed
    return found


def _operation(document: dict[str, Any], path: str, method: str, route: dict[str, Any]) -> Operation:
    content = route.get("requestBody", {}).get("content", {})
    media_type = next(iter(content), None)
    example = None
    if media_type == JSON:
        schema = _resolve(document, content[JSON]["schema"])
        example = schema["examples"][0]
    return Operation(
        name=route["operationId"],
        method=method.upper(),
        path=path,
        parameters=[
            Parameter(name=each["name"], where=each["in"], schema=each["schema"])
            for each in route.get("parameters", [])
        ],
        media_type=media_type,
        example=example,
        responses=route["responses"],
        needs_key=bool(route.get("security")),
    )


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found
