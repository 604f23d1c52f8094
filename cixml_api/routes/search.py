"""Search in one corpus."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cixml_api import schemas, views
from cixml_api.addresses import corpus_key
from cixml_api.bodies import body_of
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems, request_body
from cixml_api.search_filters import compiled
from cixml_api.searching import Outcome, Question
from resources.identifiers import Prefix, public_id
from resources.telemetry import metrics

router = APIRouter(prefix="/v1/corpora", tags=["search"])


@router.post(
    "/{name}/search",
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
    corpus = corpus_key(caller, name)
    question = Question(
        text=body.query, top_k=body.top_k, mode=body.mode, where=compiled(body.filter), threshold=body.threshold
    )
    outcome = await services.searcher.search(caller_id=caller.caller_id, corpus=corpus, question=question)
    tokens = outcome.query.tokens if outcome.query else 0
    services.search_counts.add(caller_id=caller.caller_id, corpus=corpus, model=outcome.index.model, tokens=tokens)
    took = _took(outcome, auth_seconds=request.state.auth_seconds, started=request.state.started)
    metrics.search_duration_seconds.labels(body.mode, "total").observe(took.total / 1000)
    timing = ", ".join(f"{phase};dur={value}" for phase, value in took)
    headers = {"Server-Timing": timing} | ({"Degraded": "embedding"} if outcome.degraded else {})
    return views.answer(_answer(outcome, name, took), headers=headers)


def _answer(outcome: Outcome, corpus: str, took: schemas.TookMilliseconds) -> schemas.SearchAnswer:
    return schemas.SearchAnswer(
        results=[views.search_result(rank, hit, corpus=corpus) for rank, hit in enumerate(outcome.hits, start=1)],
        query=schemas.QueryRecord(
            model=outcome.index.model,
            index_version=public_id(Prefix.VERSION, outcome.index.id),
            tokens=outcome.query.tokens if outcome.query else 0,
            embedding_cached=outcome.query is not None and outcome.query.is_cached,
        ),
        total_candidates=outcome.candidates,
        degraded="embedding_unavailable" if outcome.degraded else None,
        took_ms=took,
    )


def _took(outcome: Outcome, *, auth_seconds: float, started: float) -> schemas.TookMilliseconds:
    return schemas.TookMilliseconds(
        auth=_milliseconds(auth_seconds),
        embed=_milliseconds(outcome.embed_seconds),
        search=_milliseconds(outcome.search_seconds),
        total=_milliseconds(time.perf_counter() - started),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
