"""The API over a real Postgres, called in the process, and rows as the pipeline writes them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import psycopg
import uvicorn
from fastapi import FastAPI
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from cixml_api.app import Embedding, create_app
from resources.embedding.answer import Embedded
from resources.embedding.breaker import BreakerReport
from resources.embedding.breaker_local import BreakerState
from resources.embedding.registry import Model, Operation
from resources.membership import caller_id_of
from resources.postgres import lexemes
from resources.settings import Settings
from tests.database import PEPPER, default_model
from tests.fakes.embedding_server import _word_vector as word_vector

ALICE, BOB, OPERATOR = "key-of-alice", "key-of-bob", "key-of-the-operator"


class WordEmbedder:
    """Embeds in the process: texts with the same words have near vectors. `error` is raised instead when it is set."""

    def __init__(self) -> None:
        self.model: Model = default_model()
        self.error: Exception | None = None
        self.texts: list[str] = []
        self.served: frozenset[str] = frozenset({self.model.id})

    async def served_models(self) -> frozenset[str]:
        return self.served

    async def embed(self, texts: Sequence[str], *, operation: Operation) -> Embedded:
        if self.error:
            raise self.error
        self.texts += texts
        vectors = np.stack([word_vector(text, self.model.dimension) for text in texts])
        return Embedded(vectors=vectors, tokens=sum(len(text.split()) + 2 for text in texts))


class StillBreaker:
    """A breaker in the state it is told."""

    model_id = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        self.now = BreakerState.CLOSED

    async def state(self) -> BreakerReport:
        return BreakerReport(state=self.now, since_seconds=0, retry_after_seconds=0, reason="timeout", is_shared=True)


@dataclass(frozen=True, kw_only=True)
class Api:
    """The running API. `as_alice` and `as_bob` send their keys; `client` sends none."""

    app: FastAPI
    client: httpx.AsyncClient
    embedder: WordEmbedder
    breaker: StillBreaker
    keys_file: Path

    async def get(self, path: str, *, key: str = ALICE, **more: Any) -> httpx.Response:
        return await self.client.get(path, headers=authorization(key) | more.pop("headers", {}), **more)

    async def post(self, path: str, json: Any, *, key: str = ALICE, **more: Any) -> httpx.Response:
        return await self.client.post(path, json=json, headers=authorization(key) | more.pop("headers", {}), **more)

    async def send(self, method: str, path: str, *, key: str = ALICE, **more: Any) -> httpx.Response:
        headers = authorization(key) | more.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **more)


def authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def write_keys(path: Path, *keys: str) -> None:
    """Write a keys file; OPERATOR's key is an operator's."""
    records = [
        {
            "name": key,
            "caller_id": caller_id_of(key, PEPPER),
            "caller_type": "service",
            "scopes": ["caller", "operator"] if key == OPERATOR else ["caller"],
            "created_at": "2026-11-24T00:00:00Z",
        }
        for key in keys
    ]
    path.write_text(json.dumps(records))


@asynccontextmanager
async def running_api(settings: Settings) -> AsyncIterator[Api]:
    """Start the API with its lifespan. `settings.api.keys_file` gets the keys of Alice, Bob and the operator."""
    assert settings.api.keys_file
    write_keys(settings.api.keys_file, ALICE, BOB, OPERATOR)
    embedder, breaker = WordEmbedder(), StillBreaker()
    app = create_app(
        settings,
        embedding=Embedding(
            embedders=(embedder,), breakers=(breaker,), cache=None, ping_redis=_nothing, close=_nothing
        ),
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield Api(app=app, client=client, embedder=embedder, breaker=breaker, keys_file=settings.api.keys_file)


async def _nothing() -> None:
    return None


class _Server(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(api: Api, *, trusted_proxies: Sequence[str] = ()) -> AsyncIterator[str]:
    """Serve a running API on a port of loopback, as in production; returns its address."""
    server = _Server(
        uvicorn.Config(
            api.app,
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
        )
    )
    # Only where the protocol is named does asyncio turn Nagle's algorithm off: else each answer waits 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            await serving


def index_document(
    rows: psycopg.Connection[Any],
    *,
    corpus: str,
    owner: str,
    url: str,
    texts: Sequence[str],
    language: str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> UUID:
    """Write a live document with its chunks and vectors, as the pipeline does; returns its id. Commits."""
    register_vector(rows)
    connection = rows.cursor(row_factory=tuple_row)
    row = connection.execute(
        "SELECT c.id, v.chunking_fp, v.relation FROM cixml.corpora c JOIN cixml.index_versions v ON v.corpus_id = c.id "
        "WHERE c.name = %s AND c.owner = %s AND v.state = 'serving'",
        [corpus, caller_id_of(owner, PEPPER)],
    ).fetchone()
    assert row, "no such corpus"
    corpus_id, chunking_fp, relation = row
    document, version = uuid4(), uuid4()
    body = hashlib.sha256(url.encode()).digest()
    connection.execute("INSERT INTO cixml.page_bodies VALUES (%s, 'x') ON CONFLICT DO NOTHING", [body])
    connection.execute(
        "INSERT INTO cixml.documents (id, corpus_id, url_key, url, host, metadata, live_version_id, checked_at) "
        "VALUES (%s, %s, %s, %s, 'docs.example.com', %s, %s, now())",
        [document, corpus_id, url, url, Jsonb(metadata or {"n": 1}), version],
    )
    connection.execute(
        "INSERT INTO cixml.document_versions (id, document_id, corpus_id, fetch_seq, body_sha256, body_bytes, "
        "final_url, http_status, content_type, fetched_at, title, language) "
        "VALUES (%s, %s, %s, 1, %s, 1, %s, 200, 'text/html', now(), 'T', %s)",
        [version, document, corpus_id, body, url, language],
    )
    _store_chunks(rows, version, corpus_id, chunking_fp, texts)
    _store_vectors(rows, relation, corpus_id, texts)
    rows.commit()
    return document


def _store_chunks(
    rows: psycopg.Connection[Any], version: UUID, corpus_id: UUID, chunking_fp: str, texts: Sequence[str]
) -> None:
    cursor = rows.cursor(row_factory=tuple_row)
    chunk_set = cursor.execute(
        "INSERT INTO cixml.chunk_sets (document_version_id, corpus_id, chunking_fp, chunk_count, token_count) "
        "VALUES (%s, %s, %s, %s, 1) RETURNING id",
        [version, corpus_id, chunking_fp, len(texts)],
    ).fetchone()
    assert chunk_set
    cursor.executemany(
        "INSERT INTO cixml.chunks (chunk_set_id, ordinal, corpus_id, chunk_id, chunk_hash, start_offset, "
        "end_offset, token_count, text) VALUES (%s, %s, %s, %s, %s, 0, %s, 3, %s)",
        [(chunk_set[0], number, corpus_id, uuid4(), _hash(text), len(text), text) for number, text in enumerate(texts)],
    )
    kept, rows.row_factory = rows.row_factory, tuple_row
    lexemes.fill_in(rows, limit=1000)
    rows.row_factory = kept


def _store_vectors(rows: psycopg.Connection[Any], relation: str, corpus_id: UUID, texts: Sequence[str]) -> None:
    insert = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s) ON CONFLICT DO NOTHING").format(
        sql.Identifier("cixml", relation)
    )
    with rows.cursor(row_factory=tuple_row) as cursor:
        column = cursor.execute(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'embedding'",
            [f"cixml.{relation}"],
        ).fetchone()
        assert column
        cursor.executemany(
            insert, [(corpus_id, _hash(text), HalfVector(word_vector(text, column[0]))) for text in texts]
        )


def _hash(text: str) -> UUID:
    return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())
