"""Search in one corpus, and in several."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, TypeAdapter

from cixml_api import schemas, views
from cixml_api.addresses import corpus_key
from cixml_api.bodies import body_of
from cixml_api.dependencies import AnyServices, Caller, Services
from cixml_api.filters import plain
from cixml_api.hit_details import HitDetails, details
from cixml_api.merging import is_comparable, merge
from cixml_api.openapi import problems, request_body
from cixml_api.pagination import decode_cursor, encode_cursor
from cixml_api.search_filters import compiled
from cixml_api.searching import Outcome, Question, ScoredHit
from resources.errors import InvalidRequestError
from resources.identifiers import Prefix, public_id
from resources.telemetry import attributes, metrics, tracing
from resources.types import CallerContext

MOST_PAGED = 1000
"""Results that a cursor leads to; who wants more asks a narrower question."""
CORPORA_AT_ONCE = 3
"""Each takes a connection of the pool; other callers need some."""
_PLACE: TypeAdapter[tuple[list[int], str]] = TypeAdapter(
    tuple[list[Annotated[int, Field(ge=0, le=MOST_PAGED)]], Annotated[str, Field(max_length=64)]]
)
"""How many results of each corpus were shown, and of which question."""

router = APIRouter(prefix="/v1", tags=["search"])


@router.post(
    "/corpora/{name}/search",
    operation_id="corpus_search",
    response_model=schemas.SearchAnswer,
    responses=problems("corpus_search", 400, 404, 413, 415, 422),
    openapi_extra=request_body(schemas.SearchRequest),
    summary="Search a corpus",
)
async def search_corpus(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    body: Annotated[schemas.SearchRequest, Depends(body_of(schemas.SearchRequest))],
) -> Response:
    """Return the chunks nearest to the query, best first.

    While the embedding server is away, `hybrid` answers by keywords alone and says so (`degraded`, and the header
    `Degraded: embedding`), `keyword` answers as ever, and `dense` answers 503 with Retry-After.
    """
    return await _search_one(request, caller, services, name, body)


@router.get(
    "/corpora/{name}/search",
    operation_id="corpus_search_link",
    response_model=schemas.SearchAnswer,
    responses=problems("corpus_search_link", 404, 422),
    summary="Search a corpus by an address",
)
async def search_by_link(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    q: Annotated[schemas.QueryText, Query(description="what is asked", examples=["how do I rotate an API key"])],
    top_k: Annotated[schemas.TopK, Query(description="results in one answer, 1 to 100")] = 10,
    mode: Annotated[schemas.Mode, Query(description=schemas.MODES)] = "dense",
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the answer before")] = None,
) -> Response:
    """Answer a question that stands in an address, as the POST does: for a quick look from a shell.

    What else can be asked (filters, groups, neighbours, highlights) takes the POST.
    """
    plain("q", q)
    body = schemas.SearchRequest(query=q, top_k=top_k, mode=mode, cursor=cursor)
    return await _search_one(request, caller, services, name, body)


async def _search_one(
    request: Request, caller: CallerContext, services: Services, name: str, body: schemas.SearchRequest
) -> Response:
    (offset,) = _passed(body, [name])
    asked = _question(body, offset=offset)
    tracing.note(attributes.CORPUS_NAME, corpus_key(caller, name).name)
    outcome = await _search(caller, services, name, asked)
    more = await details(services.pool, caller_id=caller.caller_id, outcome=outcome, question=body)
    took = _took([outcome], request)
    content = schemas.SearchAnswer(
        results=_results([(name, scored) for scored in outcome.hits], more, first=asked.offset + 1),
        query=schemas.QueryRecord(**_query(outcome)),
        total_candidates=outcome.candidates,
        degraded=_degraded([outcome]),
        took_ms=took,
        next=_next(body, [name], [asked.end]) if outcome.has_more else None,
    )
    return _answer(content, body, took)


@router.post(
    "/search",
    operation_id="corpora_search",
    response_model=schemas.CorporaSearchAnswer,
    responses=problems("corpora_search", 400, 404, 413, 415, 422),
    openapi_extra=request_body(schemas.CorporaSearchRequest),
    summary="Search several corpora",
)
async def search_corpora(
    request: Request,
    caller: Caller,
    services: AnyServices,
    body: Annotated[schemas.CorporaSearchRequest, Depends(body_of(schemas.CorporaSearchRequest))],
) -> Response:
    """Return the best chunks of all these corpora. One that is missing makes the answer 404."""
    if len({corpus_key(caller, name) for name in body.corpora}) < len(body.corpora):
        raise InvalidRequestError("a corpus stands there by two names: name each once", pointer="/corpora")
    more: dict[UUID, HitDetails] = {}
    passed = dict(zip(body.corpora, _passed(body, body.corpora), strict=True))
    outcomes = await _search_all(caller, services, body, passed)
    if body.threshold is not None and not is_comparable(outcomes.values()):
        raise InvalidRequestError(
            "the corpora are served by several models, whose cosines can't be compared: leave it out",
            pointer="/threshold",
        )
    merged = merge(outcomes, passed=passed, mode=body.mode, top_k=body.top_k)
    shown = Counter(name for name, _ in merged)
    found = sum(len(outcome.hits) for outcome in outcomes.values())
    has_more = found > len(merged) or any(outcome.has_more for outcome in outcomes.values())
    for name, outcome in outcomes.items():
        kept = replace(outcome, hits=[scored for corpus, scored in merged if corpus == name])
        more |= await details(services.pool, caller_id=caller.caller_id, outcome=kept, question=body)
    took = _took(list(outcomes.values()), request)
    content = schemas.CorporaSearchAnswer(
        results=_results(merged, more, first=sum(passed.values()) + 1),
        queries=[schemas.CorpusQueryRecord(corpus=name, **_query(outcome)) for name, outcome in outcomes.items()],
        total_candidates=sum(outcome.candidates for outcome in outcomes.values()),
        degraded=_degraded(list(outcomes.values())),
        took_ms=took,
        next=_next(body, body.corpora, [passed[name] + shown[name] for name in body.corpora]) if has_more else None,
    )
    return _answer(content, body, took)


async def _search_all(
    caller: CallerContext, services: Services, body: schemas.CorporaSearchRequest, passed: Mapping[str, int]
) -> dict[str, Outcome]:
    """Search the first corpus alone, so that the others find the query's vector in the cache; these some at once.

    Each is read from where its own results were shown to: so far as all of a page could be its own, and no farther.
    """
    first, *others = body.corpora
    question, free = _question(body), asyncio.Semaphore(CORPORA_AT_ONCE)

    async def one(name: str) -> Outcome:
        async with free:
            return await _search(caller, services, name, replace(question, offset=passed[name]))

    outcomes = [await one(first)]
    tasks = [asyncio.create_task(one(name)) for name in others]
    try:
        outcomes += await asyncio.gather(*tasks)
    finally:
        for task in tasks:  # of a search that failed the others are nobody's
            task.cancel()
    return dict(zip(body.corpora, outcomes, strict=True))


async def _search(caller: CallerContext, services: Services, name: str, question: Question) -> Outcome:
    corpus = corpus_key(caller, name)
    outcome = await services.searcher.search(caller_id=caller.caller_id, corpus=corpus, question=question)
    tokens = outcome.query.tokens if outcome.query else 0
    services.search_counts.add(caller_id=caller.caller_id, corpus=corpus, model=outcome.index.model, tokens=tokens)
    return outcome


def _question(body: schemas.Question, *, offset: int = 0) -> Question:
    tracing.note(attributes.OPERATION, attributes.READ)
    tracing.note(attributes.REQUEST_MODE, attributes.SYNC)
    tracing.note(attributes.SEARCH_TOP_K, body.top_k)
    return Question(
        text=body.query,
        top_k=body.top_k,
        mode=body.mode,
        where=compiled(body.filter),
        threshold=body.threshold,
        offset=offset,
        group_size=(body.group_size or 1) if body.group_by else None,
    )


def _passed(body: schemas.Question, corpora: Sequence[str]) -> list[int]:
    """Return how many results of each corpus the answers before showed.

    Raises InvalidRequestError for a cursor of another question.
    """
    place = decode_cursor(body.cursor, _PLACE)
    if place is None:
        return [0] * len(corpora)
    passed, digest = place
    if digest != _digest(body, corpora) or len(passed) != len(corpora) or sum(passed) >= MOST_PAGED:
        detail = "the cursor is of another question: send it with the same one, or start again without it"
        raise InvalidRequestError(detail, pointer="/cursor")
    return passed


def _next(body: schemas.Question, corpora: Sequence[str], passed: list[int]) -> str | None:
    """Return the cursor of what follows, None where it would lead too far."""
    return encode_cursor(passed, _digest(body, corpora)) if sum(passed) < MOST_PAGED else None


def _digest(body: schemas.Question, corpora: Sequence[str]) -> str:
    """Return what tells this question from others; how much is shown of its results does not."""
    asked = body.model_dump_json(include={"query", "mode", "filter", "threshold", "group_by", "group_size"})
    return hashlib.sha256(f"{asked} of {' '.join(corpora)}".encode()).hexdigest()[:16]


def _results(
    hits: Sequence[tuple[str, ScoredHit]], more: Mapping[UUID, HitDetails], *, first: int = 1
) -> list[schemas.SearchResult]:
    return [
        views.search_result(rank, scored, corpus=corpus, more=more.get(scored.hit.chunk_id))
        for rank, (corpus, scored) in enumerate(hits, start=first)
    ]


def _query(outcome: Outcome) -> dict[str, Any]:
    return {
        "model": outcome.index.model,
        "index_version": public_id(Prefix.VERSION, outcome.index.id),
        "tokens": outcome.query.tokens if outcome.query else 0,
        "embedding_cached": outcome.query is not None and outcome.query.is_cached,
    }


def _degraded(outcomes: Sequence[Outcome]) -> str | None:
    return "embedding_unavailable" if any(outcome.degraded for outcome in outcomes) else None


def _answer(
    content: schemas.SearchAnswer | schemas.CorporaSearchAnswer, body: schemas.Question, took: schemas.TookMilliseconds
) -> Response:
    metrics.search_duration_seconds.labels(body.mode, "total").observe(took.total / 1000)
    metrics.search_results.labels(body.mode).observe(len(content.results))
    headers = {"Server-Timing": ", ".join(f"{phase};dur={value}" for phase, value in took)}
    return views.answer(content, headers=headers | ({"Degraded": "embedding"} if content.degraded else {}))


def _took(outcomes: Sequence[Outcome], request: Request) -> schemas.TookMilliseconds:
    return schemas.TookMilliseconds(
        auth=_milliseconds(request.state.auth_seconds),
        embed=_milliseconds(sum(outcome.embed_seconds for outcome in outcomes)),
        search=_milliseconds(sum(outcome.search_seconds for outcome in outcomes)),
        total=_milliseconds(time.perf_counter() - request.state.started),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
