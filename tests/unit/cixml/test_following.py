"""What the console shows of a job and of hits."""

from __future__ import annotations

import io

import httpx
from rich.console import Console

from cixml.client import Client
from cixml.following import follow, print_hits, print_job

ITEMS = {"total": 2, "queued": 0, "scraping": 0, "chunking": 0, "embedding": 0, "indexed": 1, "failed": 1}
USAGE = {"pages": 1, "chunks": 3, "embedding_tokens": 700, "cached_tokens": 20}
JOB = {"id": "job_1", "status": "partial", "items": ITEMS, "usage": USAGE}
FAILED = {"url": "http://a/[x]", "error": {"code": "http_4xx", "detail": "404"}}


def _answer(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/items"):
        return httpx.Response(200, json={"content": [FAILED], "_metadata": {"next": None}})
    return httpx.Response(200, json=JOB)


def _console() -> Console:
    return Console(file=io.StringIO(), width=200)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_an_ended_job_is_followed_to_its_numbers_and_failures() -> None:
    console = _console()
    with Client("http://api", "key", transport=httpx.MockTransport(_answer)) as client:
        print_job(console, client, follow(client, "job_1", console))
    shown = _text(console)
    assert "job_1: partial (1 indexed, 1 failed)" in shown
    assert "700 tokens embedded, 20 taken from before" in shown
    assert "http://a/[x]: http_4xx 404" in shown


def test_hits_show_rank_score_title_and_address() -> None:
    console = _console()
    hit = {"rank": 1, "score": 0.8312, "title": "Joins [2.6]", "url": "http://a/b", "text": "words " * 100}
    print_hits(console, {"results": [hit], "degraded": None})
    shown = _text(console)
    assert "1. Joins [2.6]" in shown
    assert "0.831" in shown
    assert "http://a/b" in shown
    assert "..." in shown


def test_no_hits_and_degradation_are_said() -> None:
    console = _console()
    print_hits(console, {"results": [], "degraded": "embedding_unavailable"})
    assert "embedding_unavailable" in _text(console)
    assert "no hits" in _text(console)
