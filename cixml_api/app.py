"""Builds the API: the one place that makes clients and hands them to the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from redis.asyncio import Redis

from cixml_api import errors, openapi
from cixml_api.access import Gate
from cixml_api.audit import AuditLog
from cixml_api.dependencies import Breaker, Services
from cixml_api.middleware import RequestFrame
from cixml_api.model_watch import ModelWatch
from cixml_api.open_streams import OpenStreams
from cixml_api.routes import (
    audit,
    corpora,
    deletions,
    document_actions,
    documents,
    files,
    fixed_names,
    health,
    hits,
    index_versions,
    items,
    job_actions,
    job_events,
    jobs,
    labels,
    pushes,
    quota,
    receipts,
    search,
    usage,
)
from cixml_api.search_counts import SearchCounts
from cixml_api.searching import Embedder, Searcher, VectorCache
from resources import fail_points
from resources.cache.claims import RedisClaims
from resources.cache.query_vectors import QueryVectorCache
from resources.cache.rate_limits import RateLimits
from resources.cache.redis import Scripts, make_async_client, memory, redis_errors
from resources.embedding.registry import Model, load_registry
from resources.embedding.servers import build_client
from resources.fingerprints import chunking_fingerprint
from resources.membership import KeyFileMembership, Membership
from resources.membership.claims import RememberingMembership
from resources.membership.service import MembershipClient
from resources.postgres.corpora import NewIndex
from resources.postgres.pool import create_dagster_pool, create_pool
from resources.settings import Settings
from resources.types import Chunking

TAGS = [
    {"name": "jobs", "description": "Submit URLs and see how far they are."},
    {"name": "corpora", "description": "Make, share and delete what is searched."},
    {"name": "documents", "description": "What is stored."},
    {"name": "deletions", "description": "Remove it, and have that confirmed."},
    {"name": "search", "description": "Ask it."},
    {"name": "limits", "description": "What one may ask for, and has used."},
    {"name": "operations", "description": "For operators' keys."},
    {"name": "health", "description": "For supervisors and operators; no key needed."},
]

ROUTES = (
    jobs,
    job_actions,
    job_events,
    items,
    fixed_names,
    search,
    hits,
    corpora,
    index_versions,
    labels,
    documents,
    pushes,
    files,
    document_actions,
    deletions,
    receipts,
    quota,
    usage,
    audit,
    health,
)
"""In the order of the document."""
Close = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """What embeds queries by each model, the breakers, and the cache of query vectors. `close` is called at the end."""

    embedders: tuple[Embedder, ...]
    breakers: tuple[Breaker, ...]
    cache: VectorCache | None
    ping_redis: Callable[[], Awaitable[None]] | None
    close: Close


def create_app(
    settings: Settings, *, membership: Membership | None = None, embedding: Embedding | None = None
) -> FastAPI:
    """Return the API. Connects to nothing: that happens at start-up, and without Postgres it answers 503."""
    fail_points.watch(settings.fail_points)
    registry = load_registry(settings.embedding.models_file)
    model = registry.serving(settings.embedding_model)
    embedding = embedding or build_embedding(settings, registry.enabled)
    pool = create_pool(settings)
    redis = make_async_client(settings.redis_url.get_secret_value()) if settings.redis_url else None
    known = membership or build_membership(settings, redis)
    services = Services(
        settings=settings,
        pool=pool,
        membership=known,
        gate=Gate(known, counts=RateLimits(redis), limits=settings.limits),
        audit=AuditLog(pool),
        search_counts=SearchCounts(pool),
        streams=OpenStreams(limit=settings.limits.open_streams),
        searcher=Searcher(pool, embedders=embedding.embedders, cache=embedding.cache),
        model_watch=ModelWatch(embedding.embedders),
        new_index=new_index(settings, model),
        models={each.id: each for each in registry.enabled},
        breakers=embedding.breakers,
        ping_redis=embedding.ping_redis,
        redis_memory=partial(memory, redis) if redis else None,
        dagster_pool=create_dagster_pool(settings) if settings.dagster.database_url else None,
    )

    closes = [embedding.close, *([redis.aclose] if redis else []), known.aclose]
    app = FastAPI(
        title="cixml",
        version=_version(),
        lifespan=_lifespan(services, closes),
        openapi_tags=TAGS,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for routes in ROUTES:
        app.include_router(routes.router)
    app.add_middleware(RequestFrame, max_body_bytes=settings.api.max_body_bytes, audit=services.audit)
    errors.install(app)
    openapi.install(app)
    return app


def _lifespan(services: Services, closes: Iterable[Close]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return what opens the pool and starts what writes beside the requests. All is closed in the opposite order."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for close in closes:
                stack.push_async_callback(close)
            for pool in (services.pool, services.dagster_pool):
                if pool is not None:
                    stack.push_async_callback(pool.close)
                    await pool.open(wait=False)
            for beside in (services.audit, services.search_counts):
                stack.push_async_callback(beside.close)
                beside.start()
            yield

    return lifespan


def build_membership(settings: Settings, redis: Redis | None) -> Membership:
    """Return the Membership service's adapter where its address is set, else the keys file's."""
    pepper = settings.require(settings.api.key_pepper, "CIXML_API__KEY_PEPPER")
    if not settings.membership.url:
        return KeyFileMembership(settings.api.keys_file or settings.home / "keys.json", pepper=pepper)
    service = MembershipClient(settings.membership.url, timeout_seconds=settings.membership.timeout_seconds)
    return RememberingMembership(service, pepper=pepper, store=RedisClaims(redis) if redis else None)


def build_embedding(settings: Settings, models: Iterable[Model]) -> Embedding:
    """Return a client for each enabled model: a corpus is searched by the model that serves it. Breakers and cache are
    in Redis where there is one.
    """
    redis = make_async_client(settings.redis_url.get_secret_value()) if settings.redis_url else None
    scripts = Scripts(redis) if redis else None
    built = [build_client(settings, model, scripts) for model in models]

    async def close() -> None:
        for client, _ in built:
            await client.aclose()
        if redis:
            await redis.aclose()

    return Embedding(
        embedders=tuple(client for client, _ in built),
        breakers=tuple(breaker for _, breaker in built),
        cache=QueryVectorCache(redis, ttl_seconds=settings.search.query_cache_seconds) if redis else None,
        ping_redis=_ping(redis) if redis else None,
        close=close,
    )


def new_index(settings: Settings, model: Model) -> NewIndex:
    """Return what a corpus made now is served by: the default model, cut as the settings or the model say."""
    given = settings.chunking
    chunking = Chunking(
        max_tokens=model.chunk_max_tokens if given.max_tokens is None else given.max_tokens,
        overlap_tokens=model.chunk_overlap_tokens if given.overlap_tokens is None else given.overlap_tokens,
    )
    fingerprint = chunking_fingerprint(chunking, model.tokenizer_sha256)
    return NewIndex(
        model_fingerprint=model.fingerprint,
        chunking=chunking,
        chunking_fp=fingerprint,
        window_tokens=model.max_tokens,
        tokenizer_sha256=model.tokenizer_sha256,
    )


def _ping(redis: Redis) -> Callable[[], Awaitable[None]]:
    async def ping() -> None:
        with redis_errors():
            await redis.ping()

    return ping


def _version() -> str:
    try:
        return version("cixml")
    except PackageNotFoundError:
        return "0"
