"""The REST API for tests that look at its own JSON. It tries nothing again; the product's client is `cixml.Client`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, cast

import httpx

from resources.errors import CixmlError, DependencyError

Json = dict[str, Any]
ENDED = frozenset({"succeeded", "partial", "failed", "cancelled"})


class RefusedError(CixmlError):
    """The API refused the request."""


class UnansweredError(DependencyError):
    """The API does not answer."""


class JsonClient:
    """Speaks to one API with one key; a context manager that closes its connections."""

    def __init__(
        self, base_url: str, key: str, *, timeout_seconds: float = 30.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._base_url = base_url
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout_seconds,
            transport=transport,
            trust_env=False,  # a proxy for the outside must not get our own API's calls
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, corpus: str, urls: Sequence[str]) -> Json:
        """Create a job of these URLs; the corpus is made on first use."""
        return self._call("POST", "/v1/jobs", {"corpus": corpus, "urls": list(urls)})

    def job(self, job_id: str) -> Json:
        return self._call("GET", f"/v1/jobs/{job_id}")

    def items(self, job_id: str, *, status: str) -> Iterator[Json]:
        """Yield the job's items in this state, over all pages of the list."""
        parameters = {"status": status}
        while True:
            answer = self._call("GET", f"/v1/jobs/{job_id}/items", parameters=parameters)
            yield from answer["content"]
            following = answer["_metadata"].get("next")
            if not following:
                return
            parameters = {"status": status, "cursor": following}

    def search(self, corpus: str, query: str, *, top_k: int = 5) -> Json:
        return self._call("POST", f"/v1/corpora/{corpus}/search", {"query": query, "top_k": top_k})

    def _call(self, method: str, path: str, body: Json | None = None, parameters: dict[str, str] | None = None) -> Json:
        try:
            answer = self._http.request(method, path, json=body, params=parameters)
        except httpx.HTTPError as error:
            raise UnansweredError(
                f"the API at {self._base_url} does not answer ({error}): start it with 'cixml up'"
            ) from error
        if answer.is_error:
            raise RefusedError(_problem(answer))
        return cast(Json, answer.json())


def _problem(answer: httpx.Response) -> str:
    """Put an RFC 9457 body into one line: what is wrong, and which fields."""
    try:
        body = answer.json()
    except ValueError:
        return f"{answer.status_code} {answer.reason_phrase}"
    fields = [f"{error.get('pointer')}: {error.get('detail')}" for error in body.get("errors") or []]
    return "; ".join([f"{answer.status_code} {body.get('detail') or body.get('title')}", *fields])
