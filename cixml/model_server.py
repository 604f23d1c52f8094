"""A small OpenAI-compatible embedding server for all-MiniLM-L6-v2 on the CPU: `python -m cixml.model_server`.

It stands in for the production server on a machine without one. A text above the window is refused, never cut: a
vector of half a text would be stored as if it were the whole.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import numpy as np
import orjson
import typer
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from cixml.model.encoder import DIMENSION, MAX_TOKENS, MODEL_ID, Encoder
from cixml.model.lanes import Lanes, OverloadedError
from resources.errors import ConfigurationError
from resources.settings import Settings
from resources.telemetry import process

MAX_INPUTS = 2048
"""OpenAI's own limit on texts in one request."""

INLINE_CHARACTERS = 2000
"""Texts up to this size are tokenized on the event loop (below 0.5 ms); more goes to a thread."""

MODEL_NAMES = frozenset({MODEL_ID, f"sentence-transformers/{MODEL_ID}"})
DISCONNECT_CHECK_SECONDS = 1.0

SERVICE = "cixml-model"
_log = logging.getLogger("cixml.model_server")


class EmbeddingRequest(BaseModel):
    """The body of POST /v1/embeddings. Fields of OpenAI's that change nothing here are accepted and ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: str
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None)


class RefusedError(Exception):
    """The request is refused: an HTTP status and OpenAI's error code."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def create_app(encoder: Encoder, *, api_key: str | None = None) -> FastAPI:
    """Return the server. With `api_key`, /v1 wants it as a bearer token."""
    lanes = Lanes(encoder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        lanes.start()
        # The first run of a session allocates: not while somebody waits for it.
        await asyncio.to_thread(encoder.encode, encoder.tokenize(["warm up"]))
        yield
        await lanes.stop()

    app = FastAPI(title="cixml model server", lifespan=lifespan, openapi_url=None)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return _error(error.status, error.code, error.message, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _error(400, "invalid_request", f"{'.'.join(map(str, first['loc'][1:])) or 'body'}: {first['msg']}")

    @app.get("/health")
    async def health() -> dict[str, object]:
        return {"status": "ok", "model": MODEL_ID, "waiting_tokens": lanes.waiting_tokens}

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, object]:
        _check_key(request, api_key)
        model = {"id": MODEL_ID, "object": "model", "created": 0, "owned_by": "sentence-transformers"}
        return {"object": "list", "data": [model]}

    @app.post("/v1/embeddings")
    async def embeddings(request: Request, body: EmbeddingRequest) -> Response:
        _check_key(request, api_key)
        _check_model(body)
        ids = await _read_input(encoder, body.input)
        try:
            ticket = lanes.submit(ids)
        except OverloadedError:
            message = f"{lanes.waiting_tokens} tokens are waiting already"
            raise RefusedError(429, "rate_limit_exceeded", message, headers={"Retry-After": "2"}) from None
        await _wait(ticket.done, request)
        vectors = np.stack([vector for vector in ticket.vectors if vector is not None])
        return _answer(vectors, body.encoding_format, sum(map(len, ids)))

    return app


def _check_key(request: Request, api_key: str | None) -> None:
    given = request.headers.get("authorization", "")
    if api_key and not hmac.compare_digest(given.encode(), f"Bearer {api_key}".encode()):
        raise RefusedError(401, "invalid_api_key", "The API key is missing or wrong: send 'Authorization: Bearer KEY'")


def _check_model(body: EmbeddingRequest) -> None:
    if body.model not in MODEL_NAMES:
        raise RefusedError(404, "model_not_found", f"The model {body.model!r} does not exist; this serves {MODEL_ID}")
    if body.dimensions not in (None, DIMENSION):
        raise RefusedError(400, "invalid_request", f"{MODEL_ID} has {DIMENSION} dimensions, not {body.dimensions}")


async def _read_input(encoder: Encoder, given: str | list[str] | list[int] | list[list[int]]) -> list[list[int]]:
    """Return the ids of each text. Raises RefusedError for what is empty, too much, too long or no token."""
    if isinstance(given, str):
        texts: list[str] | list[list[int]] = [given]
    elif given and isinstance(given[0], int):
        texts = [given]
    else:
        texts = given  # type: ignore[assignment]  # pydantic has checked that they are of one kind
    if not texts or not all(texts):
        raise RefusedError(400, "invalid_request", "input is empty, or one of its texts is")
    if len(texts) > MAX_INPUTS:
        raise RefusedError(400, "invalid_request", f"input has {len(texts)} texts; the most is {MAX_INPUTS}")
    ids = await _to_ids(encoder, texts)
    for position, one in enumerate(ids):
        if len(one) > MAX_TOKENS:
            raise RefusedError(
                400,
                "context_length_exceeded",
                f"The maximum context length is {MAX_TOKENS} tokens; input {position} has {len(one)}",
            )
    return ids


async def _to_ids(encoder: Encoder, texts: list[str] | list[list[int]]) -> list[list[int]]:
    strings = [text for text in texts if isinstance(text, str)]
    if strings:
        if sum(map(len, strings)) <= INLINE_CHARACTERS:
            return encoder.tokenize(strings)
        return await asyncio.to_thread(encoder.tokenize, strings)
    numbers = [text for text in texts if not isinstance(text, str)]
    if not all(0 <= number < encoder.vocabulary_size for one in numbers for number in one):
        raise RefusedError(400, "invalid_request", f"a token id is between 0 and {encoder.vocabulary_size - 1}")
    return [encoder.with_special_tokens(one) for one in numbers]


async def _wait(done: asyncio.Future[None], request: Request) -> None:
    """Wait for a request's vectors; give up its place when the caller has gone."""
    while not done.done():
        await asyncio.wait({done}, timeout=DISCONNECT_CHECK_SECONDS)
        if not done.done() and await request.is_disconnected():
            done.cancel()
            raise RefusedError(499, "client_closed_request", "The caller has gone")
    done.result()


def _answer(vectors: np.ndarray[Any, np.dtype[np.float32]], encoding_format: str, tokens: int) -> Response:
    if encoding_format == "base64":
        rows: list[object] = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    else:
        rows = list(vectors)
    content = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        "model": MODEL_ID,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    kind = "invalid_request_error" if status < 429 else "server_error"
    content = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return Response(orjson.dumps(content), status_code=status, media_type="application/json", headers=headers)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8082,
    threads: Annotated[int, typer.Option(help="Threads of the model; 0 takes one per core.")] = 0,
) -> None:
    """Serve all-MiniLM-L6-v2 until stopped. With EMBEDDING_API_KEY set, callers must send it."""
    try:
        settings = Settings.load()
        key = settings.embedding_api_key.get_secret_value() if settings.embedding_api_key else None
        process.begin(settings, SERVICE)
        app = create_app(Encoder(threads=threads or None), api_key=key)
    except ConfigurationError as error:
        sys.stderr.write(f"model server: {error.message}\n")
        raise typer.Exit(code=2) from error
    _log.info("serving %s on http://%s:%d/v1", MODEL_ID, host, port)
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    typer.run(serve)
